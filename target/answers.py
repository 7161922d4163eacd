"""What a task is answered: Data-In PDUs with the status in the last of them, or a SCSI Response (RFC 7143 11.4, 11.7).

A read's data is cut to what the initiator takes and to MaxBurstLength; a good status travels in the last Data-In PDU
(phase collapse, 11.7.2), any other in a SCSI Response, and so does every status of a bidirectional command. Above
ErrorRecoveryLevel 0 the end of every burst but the last asks for an acknowledgment (the A bit), which lets the array
forget what it keeps in case it has to be sent again.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

from iscsi.constants import RESERVED_TAG, ScsiStatus
from iscsi.negotiation import SessionParameters
from iscsi.pdu import DataIn, Pdu, ScsiCommand, ScsiResponse, maker
from iscsi.pieces import Pieces
from iscsi.transfer import Residual, residual, segments
from iscsi.window import CommandWindow
from target.command import ScsiResult
from target.retained import Retained

_data_in = maker(DataIn)
_GOOD = ScsiStatus.GOOD  # an enum's attribute is slow to look up
_NO_RESIDUAL = Residual(False, False, 0)


class Recipient(Protocol):
    """What an answer needs of the connection it leaves through, in order.

    ``params`` are the session's with this connection's own lengths; ``one_pdu_bytes`` is the most that one Data-In PDU
    may carry and still end its burst.
    """

    window: CommandWindow[Any]
    stat_sn: int
    retained: Retained | None
    params: SessionParameters
    one_pdu_bytes: int

    def send(self, pdu: Pdu) -> None:
        """Queue a PDU for the wire."""


def answer_read(connection: Recipient, command: ScsiCommand, result: ScsiResult) -> None:
    """The data of a read and its status."""
    data = result.data
    actual = len(data)
    if actual > command.edtl:
        data = data[: command.edtl]
    if not data:
        respond(connection, command, result, 0, actual)
        return
    collapse = result.status == _GOOD
    if collapse and actual == command.edtl and actual <= connection.one_pdu_bytes:  # as most reads go
        window = connection.window
        stat_sn = connection.stat_sn
        connection.stat_sn = (stat_sn + 1) & 0xFFFFFFFF
        connection.send(
            _data_in(
                has_status=True,
                itt=command.itt,
                stat_sn=stat_sn,
                exp_cmd_sn=window.exp_cmd_sn,
                max_cmd_sn=window.max_cmd_sn,
                data=cast(bytes, data),  # see _send_data
            )
        )
        return
    count = _send_data(connection, command, data, 0, residual(command.edtl, actual) if collapse else None)
    if not collapse:
        respond(connection, command, result, count, actual)


def answer_bidirectional(
    connection: Recipient, command: ScsiCommand, result: ScsiResult, read_length: int, moved: int, r2ts: int
) -> None:
    """The data of a bidirectional command's read part, then its status.

    ``read_length`` is the expected length of the read part, ``moved`` how many bytes the write part moves, and
    ``r2ts`` how many R2Ts it took: they and the Data-In PDUs share one run of numbers (4.2.2.4).
    """
    sent = _send_data(connection, command, result.data[:read_length], r2ts, None)
    respond(connection, command, result, r2ts + sent, moved, residual(read_length, len(result.data)))


def respond(
    connection: Recipient,
    command: ScsiCommand,
    result: ScsiResult,
    data_sn: int,
    actual: int,
    read_residual: Residual = _NO_RESIDUAL,
) -> None:
    """A SCSI Response PDU; ``actual`` is what the SCSI layer moved or would have moved, in bytes."""
    window = connection.window
    left = residual(command.edtl, actual)
    stat_sn = connection.stat_sn
    connection.stat_sn = (stat_sn + 1) & 0xFFFFFFFF
    sense = result.sense
    connection.send(
        ScsiResponse(
            status=result.status,
            itt=command.itt,
            stat_sn=stat_sn,
            exp_cmd_sn=window.exp_cmd_sn,
            max_cmd_sn=window.max_cmd_sn,
            exp_data_sn=data_sn,
            overflow=left.overflow,
            underflow=left.underflow,
            residual=left.count,
            bidi_overflow=read_residual.overflow,
            bidi_underflow=read_residual.underflow,
            bidi_residual=read_residual.count,
            data=len(sense).to_bytes(2, "big") + sense if sense else b"",
        )
    )


def _send_data(
    connection: Recipient, command: ScsiCommand, data: bytes | Pieces, first_sn: int, collapse: Residual | None
) -> int:
    """Data-In PDUs numbered from ``first_sn``; the last has a good status, if there is ``collapse`` to go with it.

    Returns how many there were.
    """
    params, window, retained = connection.params, connection.window, connection.retained
    length, data_sn = len(data), first_sn
    # A part of a view or of pieces is no copy, and it is only measured and sent. CRC32C wants bytes.
    view = memoryview(data) if isinstance(data, bytes) and not params.data_digest else data
    for part in segments(0, length, params.peer_max_recv_data_segment_length, params.max_burst_length):
        with_status = collapse is not None and part.offset + part.length == length
        left = collapse if with_status and collapse is not None else _NO_RESIDUAL
        tag = RESERVED_TAG
        if retained is not None and part.final and part.offset + part.length < length:
            tag = retained.next_tag(command.itt)
        connection.send(
            DataIn(
                final=part.final,
                acknowledge=tag != RESERVED_TAG,
                has_status=with_status,
                overflow=left.overflow,
                underflow=left.underflow,
                lun=command.lun if tag != RESERVED_TAG else 0,
                itt=command.itt,
                ttt=tag,
                stat_sn=connection.stat_sn if with_status else 0,
                exp_cmd_sn=window.exp_cmd_sn,
                max_cmd_sn=window.max_cmd_sn,
                data_sn=data_sn,
                buffer_offset=part.offset,
                residual=left.count,
                data=cast(bytes, view[part.offset : part.offset + part.length]),
            )
        )
        data_sn += 1
    if collapse is not None:
        connection.stat_sn = (connection.stat_sn + 1) & 0xFFFFFFFF
    return data_sn - first_sn
