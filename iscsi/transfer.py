"""Moving a command's data: Data-In runs, unsolicited and solicited Data-Out, residuals (RFC 7143 4.2.5.2, 11.7, 11.8).

Both sides plan from the same functions. `segments` cuts a transfer into data segments and bursts; `DataOutPlan` says
what a write sends unasked; `WriteBuffer` is the target's memory of what has arrived and what must still be asked for;
`ReadBuffer` the initiator's. Order is checked as DataPDUInOrder=Yes and DataSequenceInOrder=Yes demand, the only
values this project's ends negotiate at ErrorRecoveryLevel 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from iscsi.constants import RESERVED_TAG
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.negotiation import SessionParameters
from iscsi.pdu import DataIn, DataOut


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
    """Residual of a transfer in which the SCSI layer wanted to move ``actual`` bytes where ``expected`` were named."""
    if actual < expected:
        return Residual(False, True, expected - actual)
    return Residual(actual > expected, False, actual - expected)


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


@dataclass(frozen=True, slots=True)
class Burst:
    """A stretch of a write the target asks for: an R2T's Buffer Offset and Desired Data Transfer Length."""

    ttt: int
    r2t_sn: int
    offset: int
    length: int


class WriteBuffer:
    """The data of one write at the target: what came, what was asked for, what is still missing.

    ``expected`` is the command's Expected Data Transfer Length in bytes. ``wanted`` is how much of it the command
    can use: no R2T asks for more, so it and FirstBurstLength bound the memory.
    """

    __slots__ = (
        "_asked",
        "_data_sn",
        "_first",
        "_parts",
        "_unsolicited",
        "expected",
        "open_bursts",
        "r2t_sn",
        "received",
        "wanted",
    )

    def __init__(
        self,
        expected: int,
        immediate: bytes,
        more_unsolicited: bool,
        params: SessionParameters,
        wanted: int | None = None,
    ) -> None:
        if immediate and not params.immediate_data:
            raise RemoteProtocolError("immediate data arrived although ImmediateData=No was negotiated")
        if more_unsolicited and params.initial_r2t:
            raise RemoteProtocolError("unsolicited data was announced although InitialR2T=Yes was negotiated")
        if len(immediate) > min(expected, params.first_burst_length):
            raise RemoteProtocolError(
                f"{len(immediate)} bytes of immediate data; at most min(FirstBurstLength "
                f"{params.first_burst_length}, expected length {expected}) may come"
            )
        self.expected = expected
        self.wanted = expected if wanted is None else min(wanted, expected)
        self._parts: list[bytes] = [immediate] if immediate else []
        self.received = len(immediate)
        self._first = min(expected, params.first_burst_length)
        self._unsolicited = more_unsolicited
        self._data_sn = 0
        self._asked = self._first if more_unsolicited else self.received
        self.open_bursts: list[Burst] = []
        self.r2t_sn = 0

    @property
    def complete(self) -> bool:
        """All wanted bytes are here and nothing asked for or announced is open."""
        return self.received >= self.wanted and not self._unsolicited and not self.open_bursts

    @property
    def data_due(self) -> bool:
        """Data-Out PDUs are still on their way, asked for or announced."""
        return self._unsolicited or bool(self.open_bursts)

    def next_burst(self, ttt: int, params: SessionParameters) -> Burst | None:
        """The next R2T to send, if one is wanted now and MaxOutstandingR2T allows it."""
        if self._unsolicited or self._asked >= self.wanted or len(self.open_bursts) >= params.max_outstanding_r2t:
            return None
        burst = Burst(ttt, self.r2t_sn, self._asked, min(params.max_burst_length, self.wanted - self._asked))
        self.r2t_sn += 1
        self._asked += burst.length
        self.open_bursts.append(burst)
        return burst

    def take(self, pdu: DataOut) -> None:
        """Take one Data-Out PDU. Raises RemoteProtocolError when it is not the next byte of what is due."""
        if pdu.ttt == RESERVED_TAG:
            if not self._unsolicited:
                raise RemoteProtocolError("unexpected unsolicited data: none was announced for this task")
            end = self._first
        else:
            if not self.open_bursts or self.open_bursts[0].ttt != pdu.ttt:
                raise RemoteProtocolError(f"Data-Out for target transfer tag 0x{pdu.ttt:08x}, which is not the one due")
            end = self.open_bursts[0].offset + self.open_bursts[0].length
        if pdu.data_sn != self._data_sn:
            raise RemoteProtocolError(f"Data-Out with DataSN {pdu.data_sn} where {self._data_sn} was due")
        after = pdu.buffer_offset + len(pdu.data)
        if pdu.buffer_offset != self.received or after > end:
            raise RemoteProtocolError(
                f"Data-Out carries bytes {pdu.buffer_offset} to {after}; "
                f"due is what follows byte {self.received} up to {end}"
            )
        if pdu.final != (after == end):
            raise RemoteProtocolError(
                f"Data-Out {'ends' if pdu.final else 'does not end'} its sequence at byte {after}; it should at {end}"
            )
        if pdu.data:
            self._parts.append(pdu.data)
        self.received = after
        self._data_sn += 1
        if pdu.final:
            self._data_sn = 0
            if pdu.ttt == RESERVED_TAG:
                self._unsolicited = False
            else:
                self.open_bursts.pop(0)

    def content(self) -> bytes:
        """What has arrived, in order."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


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
