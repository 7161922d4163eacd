"""SNACK: the initiator asks for PDUs again, or acknowledges data (RFC 7143 11.16).

A SNACK for what was never sent, or has been acknowledged, is a protocol error of its sender's and rejected as such; one
for what is not kept any more is rejected as a SNACK. In both cases the task goes on, or its status has already been
sent, so that no CHECK CONDITION is due (11.17.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from iscsi.constants import RESERVED_TAG, RejectReason
from iscsi.pdu import DataIn, Pdu, SnackRequest
from target.retained import Retained, SentRead

if TYPE_CHECKING:
    from target.connection import TargetConnection


class SnackType(IntEnum):
    """11.16.1."""

    DATA_OR_R2T = 0
    STATUS = 1
    DATA_ACK = 2
    R_DATA = 3


def on_snack(connection: TargetConnection, request: SnackRequest) -> None:
    """Carry out a SNACK, or reject it."""
    retained = connection.retained
    carry_out = _BY_TYPE.get(request.type)
    if retained is None:
        connection.reject(RejectReason.SNACK_REJECT, request)  # ErrorRecoveryLevel 0
    elif carry_out is None:
        connection.reject(RejectReason.INVALID_PDU_FIELD, request)
    elif (reason := carry_out(connection, retained, request)) is not None:
        connection.reject(reason, request)


def _status(connection: TargetConnection, retained: Retained, request: SnackRequest) -> RejectReason | None:
    pdus = retained.statuses(request.beg_run, request.run_length)
    if pdus is None:
        return RejectReason.PROTOCOL_ERROR
    for pdu in pdus:
        _resend(connection, pdu)
    return None


def _data(connection: TargetConnection, retained: Retained, request: SnackRequest) -> RejectReason | None:
    """Data-In PDUs of a read, or R2Ts of a write that waits for their data; of a bidirectional command both."""
    first, count = request.beg_run, request.run_length
    repeated = not connection.session.discovery and connection.tasks.repeat_r2ts(request.itt, first, count, connection)
    read = retained.read(request.itt)
    if read is None:
        return None if repeated else RejectReason.PROTOCOL_ERROR
    end = first + count if count else read.next_sn
    if end > read.next_sn or (count and first < read.acknowledged):
        return RejectReason.PROTOCOL_ERROR
    pdus = [pdu for pdu in read.pdus if first <= pdu.data_sn < end]
    if _has_lost(read, pdus, max(first, read.acknowledged), end):
        return RejectReason.SNACK_REJECT
    room = connection.params.peer_max_recv_data_segment_length
    if any(len(pdu.data) > room for pdu in pdus):
        return RejectReason.PROTOCOL_ERROR  # an R-Data SNACK is due: they have to be cut anew
    for pdu in pdus:
        _resend(connection, pdu)
    return None


def _data_ack(connection: TargetConnection, retained: Retained, request: SnackRequest) -> RejectReason | None:
    if request.run_length or not retained.acknowledge_data(request.ttt, request.beg_run):
        return RejectReason.INVALID_DATA_ACK
    return None


def _r_data(connection: TargetConnection, retained: Retained, request: SnackRequest) -> RejectReason | None:
    if request.beg_run or request.run_length or request.ttt in (0, RESERVED_TAG):
        return RejectReason.INVALID_PDU_FIELD
    read = retained.read(request.itt)
    if read is None:
        return RejectReason.PROTOCOL_ERROR
    params = connection.params
    pdus = retained.resegment(
        request.itt, request.ttt, params.peer_max_recv_data_segment_length, params.max_burst_length
    )
    if pdus is None:
        return RejectReason.SNACK_REJECT
    for pdu in pdus:
        _resend(connection, pdu)
    return None


_BY_TYPE: Final[Mapping[int, Callable[[TargetConnection, Retained, SnackRequest], RejectReason | None]]] = (
    MappingProxyType(
        {
            SnackType.DATA_OR_R2T: _data,
            SnackType.STATUS: _status,
            SnackType.DATA_ACK: _data_ack,
            SnackType.R_DATA: _r_data,
        }
    )
)


def _has_lost(read: SentRead, pdus: list[DataIn], first: int, end: int) -> bool:
    return read.dropped and len(pdus) < end - first


def _resend(connection: TargetConnection, pdu: Pdu) -> None:
    """An exact replica, but for ExpCmdSN and MaxCmdSN, which are those of now (11.16)."""
    window = connection.window
    again: Any = pdu
    connection.resend(replace(again, exp_cmd_sn=window.exp_cmd_sn, max_cmd_sn=window.max_cmd_sn))
