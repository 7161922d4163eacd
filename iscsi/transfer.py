"""Moving a command's data: Data-In runs, unsolicited and solicited Data-Out, residuals (RFC 7143 4.2.5.2, 11.7, 11.8).

Both sides plan from the same functions. `segments` cuts a transfer into data segments and bursts; `DataOutPlan` says
what a write sends unasked; `ReadBuffer` is the initiator's memory of what has arrived, in the order that
DataPDUInOrder=Yes and DataSequenceInOrder=Yes demand, the only values the host of this project negotiates. The target's
memory of a write is `iscsi.write_buffer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from iscsi.constants import RESERVED_TAG
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.negotiation import SessionParameters
from iscsi.pdu import DataIn, DataOut
from iscsi.serial import MASK


@dataclass(frozen=True, slots=True)
class Segment:
    """One data segment of a transfer: ``offset`` and ``length`` in bytes, ``final`` when it ends its burst."""

    offset: int
    length: int
    final: bool


def segments(offset: int, length: int, max_segment: int, max_burst: int) -> Iterator[Segment]:
    """Cut ``length`` bytes from ``offset`` on into segments; F is set on the last of each burst (11.7.1)."""
    if length and (max_segment < 1 or max_burst < 1):
        raise LocalProtocolError(f"{length} bytes cannot move in segments of {max_segment} and bursts of {max_burst}")
    end = offset + length
    burst_end = min(end, offset + max_burst)
    while offset < end:
        size = min(max_segment, burst_end - offset)
        yield Segment(offset, size, offset + size == burst_end)
        offset += size
        if offset == burst_end:
            burst_end = min(end, offset + max_burst)


@dataclass(frozen=True, slots=True)
class Residual:
    """What the SCSI layer had (``actual``) against the Expected Data Transfer Length (11.4.5)."""

    overflow: bool
    underflow: bool
    count: int


def residual(expected: int, actual: int) -> Residual:
    """Residual of a transfer in which the SCSI layer wanted to move ``actual`` bytes where ``expected`` were named.

    A CDB can name more than the count can hold: then it is as large as it gets.
    """
    if actual < expected:
        return Residual(False, True, expected - actual)
    return Residual(actual > expected, False, min(actual - expected, MASK))


class Unsolicited(Enum):
    """Which data a write may send before any R2T (the table of 4.2.5.2)."""

    NONE = "InitialR2T=Yes, ImmediateData=No"
    IMMEDIATE = "InitialR2T=Yes, ImmediateData=Yes"
    DATA_OUT = "InitialR2T=No, ImmediateData=No"
    BOTH = "InitialR2T=No, ImmediateData=Yes"

    @classmethod
    def of(cls, params: SessionParameters) -> Unsolicited:
        """The row of the table that a session negotiated."""
        if params.initial_r2t:
            return cls.IMMEDIATE if params.immediate_data else cls.NONE
        return cls.BOTH if params.immediate_data else cls.DATA_OUT


@dataclass(frozen=True, slots=True)
class DataOutPlan:
    """How a write of ``length`` bytes begins: bytes in the command itself, then in unsolicited Data-Out PDUs.

    ``final`` is the F bit of the command: no unsolicited Data-Out follows.
    """

    immediate: int
    unsolicited: int

    @property
    def final(self) -> bool:
        """The command's F bit."""
        return self.unsolicited == 0

    @classmethod
    def of(cls, length: int, params: SessionParameters) -> DataOutPlan:
        """Send as much unasked as the session allows: together min(FirstBurstLength, length) (11.3.4, 13.14)."""
        first_burst = min(length, params.first_burst_length)
        immediate = min(first_burst, params.peer_max_recv_data_segment_length) if params.immediate_data else 0
        return cls(immediate, 0 if params.initial_r2t else first_burst - immediate)


def data_out_run(
    data: bytes, offset: int, length: int, *, params: SessionParameters, lun: int, itt: int, ttt: int, exp_stat_sn: int
) -> Iterator[DataOut]:
    """The Data-Out PDUs of one sequence: unsolicited (``ttt`` reserved) or the answer to one R2T.

    ``data`` is the whole write; ``offset`` and ``length`` name the bytes of it that go. An R2T that asks for others is
    the peer's fault and has to be refused before; here it would be ours.
    """
    if offset < 0 or offset + length > len(data):
        raise LocalProtocolError(f"bytes {offset} to {offset + length} are not all in a write of {len(data)}")
    for data_sn, part in enumerate(segments(offset, length, params.peer_max_recv_data_segment_length, length)):
        yield DataOut(
            final=part.final,
            lun=lun if ttt != RESERVED_TAG else 0,
            itt=itt,
            ttt=ttt,
            exp_stat_sn=exp_stat_sn,
            data_sn=data_sn,
            buffer_offset=part.offset,
            data=data[part.offset : part.offset + part.length],
        )


class ReadBuffer:
    """The data of one read at the initiator. ``expected`` bytes bound the memory."""

    __slots__ = ("_data_sn", "_parts", "expected", "received", "wanted")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.received = 0
        self._data_sn = 0
        self._parts: list[bytes] = []

    def take(self, pdu: DataIn) -> None:
        """Take one Data-In PDU. Raises RemoteProtocolError on a gap, a repeat or more than was asked for."""
        if pdu.data_sn != self._data_sn:
            raise RemoteProtocolError(f"Data-In with DataSN {pdu.data_sn} where {self._data_sn} was due")
        if pdu.buffer_offset != self.received:
            raise RemoteProtocolError(f"Data-In at offset {pdu.buffer_offset} where {self.received} was due")
        if self.received + len(pdu.data) > self.expected:
            raise RemoteProtocolError(f"Data-In reaches past the {self.expected} bytes that were asked for")
        self._data_sn += 1
        self.received += len(pdu.data)
        if pdu.data:
            self._parts.append(pdu.data)

    @property
    def data_sn(self) -> int:
        """How many Data-In PDUs have come: what the response's ExpDataSN has to say."""
        return self._data_sn

    def content(self) -> bytes:
        """What has arrived, in order."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
