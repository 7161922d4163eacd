"""What each PDU of an initiator does in full-feature phase: two tables (RFC 7143 4.2.2.1, 11).

`NORMAL` and `DISCOVERY` say what is done with a PDU when it arrives; a PDU that is in neither has no place there, and
says its sender is broken. Those that are numbered by CmdSN are delivered when their turn has come, by `_DELIVER`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from iscsi.constants import RESERVED_TAG, RejectReason
from iscsi.errors import RemoteProtocolError
from iscsi.framer import BrokenStream, DamagedPdu, LostPdu, RefusedPdu
from iscsi.pdu import (
    DataOut,
    LogoutRequest,
    NopIn,
    NopOut,
    Pdu,
    ScsiCommand,
    SnackRequest,
    TextRequest,
    TmfRequest,
)
from target.logout import log_out
from target.management import manage
from target.snack import on_snack

if TYPE_CHECKING:
    from target.connection import TargetConnection

Handler = Callable[["TargetConnection", Any], None]
Handlers = Mapping[type, Handler]


def deliver(connection: TargetConnection, pdu: Pdu) -> None:
    """Act on a numbered PDU whose turn it is."""
    _DELIVER[type(pdu)](connection, pdu)


def has_no_place(connection: TargetConnection, pdu: Any) -> None:
    """A PDU that its sender may not send here."""
    raise RemoteProtocolError(
        f"{type(pdu).__name__} has no place in {'discovery' if connection.session.discovery else 'this session'}",
        reject_reason=RejectReason.PROTOCOL_ERROR,
    )


# -- on arrival --------------------------------------------------------------------------------------------------------


def _command(connection: TargetConnection, pdu: ScsiCommand) -> None:
    """As `_numbered`, shorter: most of what arrives is a command, and it is its turn."""
    if pdu.itt == RESERVED_TAG:
        raise _reserved_tag(pdu)
    if pdu.immediate or connection.window.take_next(pdu.cmd_sn):
        connection.tasks.start(pdu, connection)
    else:
        connection.window.hold(pdu.cmd_sn, (connection, pdu))
        connection.session.deliver_held()


def _numbered(connection: TargetConnection, pdu: Any) -> None:
    """Deliver at once what is immediate or next in CmdSN order; hold what came early."""
    if pdu.itt == RESERVED_TAG and not isinstance(pdu, NopOut):
        raise _reserved_tag(pdu)
    window = connection.window
    if pdu.immediate or window.take_next(pdu.cmd_sn):
        deliver(connection, pdu)
        if connection.session.tasks is not None:
            connection.tasks.settle()
    else:
        window.hold(pdu.cmd_sn, (connection, pdu))
    if window.held:
        connection.session.deliver_held()


def _data_out(connection: TargetConnection, pdu: DataOut) -> None:
    connection.tasks.data_out(pdu, connection)


def _damaged(connection: TargetConnection, pdu: DamagedPdu) -> None:
    """The PDU is discarded; of a Data-Out its header still says what has to come again (7.8)."""
    connection.reject_header(RejectReason.DATA_DIGEST_ERROR, pdu.header)
    if isinstance(pdu.pdu, DataOut) and not connection.session.discovery:
        connection.tasks.damaged(pdu.pdu, connection)


def _refused(connection: TargetConnection, pdu: RefusedPdu) -> None:
    assert pdu.error.reject_reason is not None, "what cannot be made a PDU has a reason"
    connection.reject_header(pdu.error.reject_reason, pdu.header)


def _lost(connection: TargetConnection, pdu: LostPdu) -> None:
    if not connection.session.discovery:
        connection.tasks.lost(connection)


def _broken(connection: TargetConnection, stream: BrokenStream) -> None:
    raise stream.error


# -- when its turn has come --------------------------------------------------------------------------------------------


def _start(connection: TargetConnection, pdu: ScsiCommand) -> None:
    connection.tasks.start(pdu, connection)


def _nop_out(connection: TargetConnection, pdu: NopOut) -> None:
    _release(connection, pdu)
    if pdu.itt == RESERVED_TAG:  # the answer to our ping
        connection.answered(pdu.ttt)
        return
    room = connection.params.peer_max_recv_data_segment_length
    numbers = connection.numbers(connection.take_stat_sn())
    connection.send(NopIn(itt=pdu.itt, data=pdu.data[:room], **numbers))


def _text(connection: TargetConnection, pdu: TextRequest) -> None:
    _release(connection, pdu)
    window = connection.window
    try:
        answer = connection.texts.receive(pdu, connection.stat_sn, window.exp_cmd_sn, window.max_cmd_sn)
    except RemoteProtocolError as error:  # the negotiation has failed, and the session goes on with what it had (7.12)
        connection.reject(error.reject_reason or RejectReason.PROTOCOL_ERROR, pdu)
        return
    connection.take_stat_sn()  # not before: a request that is rejected leaves it to the Reject
    connection.send(answer)


def _logout(connection: TargetConnection, pdu: LogoutRequest) -> None:
    _release(connection, pdu)
    log_out(connection, pdu)


def _task_management(connection: TargetConnection, pdu: TmfRequest) -> None:
    _release(connection, pdu)
    manage(connection, pdu)


def _release(connection: TargetConnection, pdu: Any) -> None:
    """These PDUs are done as soon as they are delivered: the place in the window opens before the answer tells it."""
    if not pdu.immediate:
        connection.window.release()


def _reserved_tag(pdu: Pdu) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"{type(pdu).__name__} with the reserved task tag", reject_reason=RejectReason.INVALID_PDU_FIELD
    )


_DELIVER: Final[Handlers] = MappingProxyType(
    {
        ScsiCommand: _start,
        NopOut: _nop_out,
        TextRequest: _text,
        LogoutRequest: _logout,
        TmfRequest: _task_management,
    }
)

DISCOVERY: Final[Handlers] = MappingProxyType(
    {
        NopOut: _numbered,
        TextRequest: _numbered,
        LogoutRequest: _numbered,
        SnackRequest: on_snack,
        DamagedPdu: _damaged,
        RefusedPdu: _refused,
        LostPdu: _lost,
        BrokenStream: _broken,
    }
)
"""A discovery session has texts and a logout, and no tasks (4.3)."""

NORMAL: Final[Handlers] = MappingProxyType(
    {**DISCOVERY, ScsiCommand: _command, TmfRequest: _numbered, DataOut: _data_out}
)


def recovering(handlers: Handlers) -> Handlers:
    """The same above ErrorRecoveryLevel 0: the ExpStatSN every PDU carries is heard first."""
    return {kind: _acknowledging(handler) if issubclass(kind, Pdu) else handler for kind, handler in handlers.items()}


def _acknowledging(handler: Handler) -> Handler:
    def act(connection: TargetConnection, pdu: Any) -> None:
        assert connection.retained is not None, "only such connections have these handlers"
        connection.retained.acknowledge(pdu.exp_stat_sn)
        handler(connection, pdu)

    return act
