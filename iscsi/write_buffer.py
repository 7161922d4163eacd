"""The data of one write at the target: what came, what was asked for, what is missing, what went wrong.

A write's data comes in sequences: the unsolicited one the command announced, then one per R2T, each with DataSN from 0
and an F bit at its end (RFC 7143 4.2.2.4, 11.7, 11.8). Sequences and the PDUs in them may come out of order where
DataSequenceInOrder or DataPDUInOrder say No. Three things may happen to a sequence besides its arrival:

- *A rule is broken*: data nobody asked for, too much, too little, at the wrong place. `fault` is set, nothing more is
  asked for, and once the sequences still open have ended the task is answered with it (7.8, 11.4.7.2).
- *PDUs are lost* (a digest error dropped them, which a hole in the DataSN run shows): at ErrorRecoveryLevel 0 a fault
  like any other; above that the missing stretch is asked for again by a recovery R2T (7.1.4.1, 7.8).
- *It does not end*: `end_stalled` treats what is missing as lost.
"""

from __future__ import annotations

from typing import Final

from iscsi.constants import RESERVED_TAG
from iscsi.negotiation import SessionParameters
from iscsi.pdu import DataOut
from iscsi.sense import NOT_ENOUGH_UNSOLICITED_DATA, PROTOCOL_CRC_ERROR, UNEXPECTED_UNSOLICITED_DATA, Sense
from iscsi.serial import lt

MAX_RECOVERIES: Final = 64
"""Recovery R2Ts one write may cost; a link that damages more than that carries nothing."""


class Burst:
    """One sequence that is due: an R2T's Buffer Offset and Desired Data Transfer Length, and how far it has come.

    ``ttt`` is reserved for the unsolicited one, which has no R2T. ``stat_sn`` is what the R2T showed, for its replica.
    ``came`` counts the bytes of all its PDUs, damaged ones too, once they are not simply the next ones.
    """

    __slots__ = ("came", "data_sn", "end", "gap", "lossy", "offset", "position", "r2t_sn", "stat_sn", "ttt")

    def __init__(self, ttt: int, r2t_sn: int, offset: int, length: int) -> None:
        self.ttt = ttt
        self.r2t_sn = r2t_sn
        self.offset = offset
        self.end = offset + length
        self.position = offset
        self.data_sn = 0
        self.came: int | None = None
        self.gap = False  # DataSN left one out
        self.lossy = False  # so that it need not be whole at its end
        self.stat_sn = 0

    @property
    def length(self) -> int:
        """Bytes asked for."""
        return self.end - self.offset


class WriteBuffer:
    """See the module's text.

    ``expected`` is the command's Expected Data Transfer Length in bytes. ``wanted`` is how much of it the command can
    use: no R2T asks for more, so it and FirstBurstLength bound the memory. ``received`` counts the bytes that lie
    without a gap from the beginning.
    """

    __slots__ = (
        "_again",
        "_area",
        "_asked",
        "_in_order",
        "_missing",
        "_parts",
        "_pdus_in_order",
        "_recover",
        "_recoveries",
        "_size",
        "expected",
        "fault",
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
        self.expected = expected
        self.wanted = expected if wanted is None else min(wanted, expected)
        self.fault: Sense | None = None
        first = min(expected, params.first_burst_length)
        if (immediate and not params.immediate_data) or (more_unsolicited and params.initial_r2t):
            self.fault = UNEXPECTED_UNSOLICITED_DATA
        elif len(immediate) > first:
            self.fault = NOT_ENOUGH_UNSOLICITED_DATA
        self._parts: list[bytes] = [immediate] if immediate and self.fault is None else []
        self.received = sum(map(len, self._parts))
        self.open_bursts: list[Burst] = []
        self._asked = self.received
        if more_unsolicited:
            self.open_bursts.append(Burst(RESERVED_TAG, 0, self.received, max(first - self.received, 0)))
            self._asked = max(first, self.received)
        self.r2t_sn = 0
        self._in_order = params.data_sequence_in_order
        self._pdus_in_order = params.data_pdu_in_order
        self._recover = params.error_recovery_level > 0
        self._recoveries = 0
        self._size = max(self.wanted, self._asked)
        self._area: bytearray | None = None
        self._missing: list[tuple[int, int]] = []  # stretches of the area not there yet, ascending
        self._again: list[tuple[int, int]] = []  # stretches lost, to be asked for again

    @property
    def complete(self) -> bool:
        """Nothing asked for or announced is open, and all wanted bytes are here, or a fault makes them pointless."""
        return not self.open_bursts and (self.received >= self.wanted or self.fault is not None)

    @property
    def data_due(self) -> bool:
        """Data-Out PDUs are still on their way, asked for or announced."""
        return bool(self.open_bursts)

    def next_burst(self, ttt: int, params: SessionParameters) -> Burst | None:
        """The next R2T to send, if one is wanted now and MaxOutstandingR2T allows it; what was lost comes first."""
        bursts = self.open_bursts
        if self.fault is not None or len(bursts) >= params.max_outstanding_r2t:
            return None
        if self._again:
            offset, end = self._again.pop(0)
        elif (bursts and bursts[0].ttt == RESERVED_TAG) or self._asked >= self.wanted:
            return None  # announced data comes first, or all has been asked for
        else:
            offset, end = self._asked, min(self._asked + params.max_burst_length, self.wanted)
            self._asked = end
        burst = Burst(ttt, self.r2t_sn, offset, end - offset)
        self.r2t_sn += 1
        bursts.append(burst)
        return burst

    def take(self, pdu: DataOut) -> bool:
        """Take one Data-Out PDU; False when it names a transfer tag that is not open, which changes nothing."""
        bursts, ttt, data = self.open_bursts, pdu.ttt, pdu.data
        burst = bursts[0] if bursts and bursts[0].ttt == ttt else self._find(ttt)
        if burst is None:
            if ttt != RESERVED_TAG:
                return False
            self._fail(UNEXPECTED_UNSOLICITED_DATA)
            if not pdu.final:  # what follows it has to be waited for, too
                bursts.append(Burst(RESERVED_TAG, 0, 0, 0))
            return True
        after = pdu.buffer_offset + len(data)
        if (
            self._area is None  # as nearly all go: the very next bytes
            and pdu.data_sn == burst.data_sn
            and pdu.buffer_offset == burst.position == self.received
            and after <= burst.end
            and pdu.final == (after == burst.end)
            and burst is bursts[0]
            and self.fault is None
        ):
            if data:
                self._parts.append(data)
            self.received = burst.position = after
            if pdu.final:
                del bursts[0]
            else:
                burst.data_sn += 1
            return True
        self._take_unusual(pdu, burst, damaged=False)
        return True

    def take_damaged(self, pdu: DataOut) -> bool:
        """A Data-Out PDU whose data failed its digest: its header still says what is lost. False as for `take`."""
        burst = self._find(pdu.ttt)
        if burst is None:
            return False
        self._take_unusual(pdu, burst, damaged=True)
        return True

    def abandon(self) -> None:
        """Nothing of the write is wanted any more; what is on its way is waited for, and nothing more asked for."""
        self._fail(UNEXPECTED_UNSOLICITED_DATA)

    def end_stalled(self) -> None:
        """The open sequences have not ended in time: what is missing of them counts as lost."""
        for burst in list(self.open_bursts):
            burst.lossy = True
            self._end(burst)

    def restart(self, r2t_sn: int) -> None:
        """The connection is another one: what is open there is asked for again, by R2Ts numbered from ``r2t_sn`` on.

        A number above those that were sent is ignored (RFC 7143 11.5.6).
        """
        self.end_stalled()
        if r2t_sn <= self.r2t_sn:
            self.r2t_sn = r2t_sn

    def content(self) -> bytes:
        """What has arrived, in order."""
        if self._area is not None:
            return bytes(memoryview(self._area)[: self.received])
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    # -- what is not the next byte ---------------------------------------------------------------------------------

    def _find(self, ttt: int) -> Burst | None:
        return next((burst for burst in self.open_bursts if burst.ttt == ttt), None)

    def _fail(self, fault: Sense) -> None:
        """The first fault is the one that counts. What has come is of no use any more."""
        if self.fault is None:
            self.fault = fault
            self._parts, self._area, self._missing, self._again = [], None, [], []

    def _take_unusual(self, pdu: DataOut, burst: Burst, damaged: bool) -> None:
        if pdu.data_sn != burst.data_sn:
            if self._recover and lt(pdu.data_sn, burst.data_sn):
                return  # a repeat
            burst.gap = True
            self._lose(burst)
        burst.data_sn = (pdu.data_sn + 1) & 0xFFFFFFFF
        start, after = pdu.buffer_offset, pdu.buffer_offset + len(pdu.data)
        moved_back = self._pdus_in_order and start < burst.position
        skipped = self._pdus_in_order and start != burst.position and not burst.lossy
        out_of_turn = self._in_order and burst is not self.open_bursts[0]
        burst.came = (burst.position - burst.offset if burst.came is None else burst.came) + len(pdu.data)
        endless = burst.came >= burst.length and not pdu.final
        if start < burst.offset or after > burst.end or moved_back or skipped or out_of_turn or endless:
            self._fail(NOT_ENOUGH_UNSOLICITED_DATA)
        burst.position = after
        if damaged:
            self._lose(burst)
        elif self.fault is None and pdu.data:
            self._place(start, pdu.data)
        if pdu.final:
            self._end(burst)

    def _lose(self, burst: Burst) -> None:
        """A PDU of this sequence did not arrive whole."""
        burst.lossy = True
        if not self._recover:
            self._fail(PROTOCOL_CRC_ERROR)

    def _place(self, start: int, data: bytes) -> None:
        """Put data where it belongs and strike it off what is missing."""
        if self._area is None:
            self._area = bytearray(self._size)
            self._area[: self.received] = b"".join(self._parts)
            self._parts = []
            self._missing = [(self.received, self._size)] if self.received < self._size else []
        after = start + len(data)
        self._area[start:after] = data
        left: list[tuple[int, int]] = []
        for hole_start, hole_end in self._missing:
            if after <= hole_start or hole_end <= start:
                left.append((hole_start, hole_end))
                continue
            if hole_start < start:
                left.append((hole_start, start))
            if after < hole_end:
                left.append((after, hole_end))
        self._missing = left
        self.received = left[0][0] if left else self._size

    def _end(self, burst: Burst) -> None:
        """The sequence has had its last PDU: ask again for what it did not bring, or call that a fault."""
        self.open_bursts.remove(burst)
        if self.fault is not None:
            return
        holes = self._holes(burst)
        if burst.gap and burst.came is not None and burst.came >= burst.length:
            self._fail(PROTOCOL_CRC_ERROR)  # every byte came, and still the numbers left one out: nothing was lost
        elif not holes:
            return
        elif not burst.lossy:
            self._fail(NOT_ENOUGH_UNSOLICITED_DATA)
        elif not self._recover or self._recoveries >= MAX_RECOVERIES:
            self._fail(PROTOCOL_CRC_ERROR)
        else:
            self._recoveries += 1
            self._again.append((holes[0][0], holes[-1][1]))  # one R2T: the last may be repeated, not split (13.19)

    def _holes(self, burst: Burst) -> list[tuple[int, int]]:
        """What is missing of the stretch the sequence was to bring."""
        missing = self._missing if self._area is not None else [(self.received, self._size)]
        holes = ((max(start, burst.offset), min(end, burst.end)) for start, end in missing)
        return [(start, end) for start, end in holes if start < end]
