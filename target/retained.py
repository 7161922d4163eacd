"""What a connection has sent and may have to send again: above ErrorRecoveryLevel 0 (RFC 7143 7.1.4, 11.16).

Every PDU with a StatSN of its own is kept until the initiator's ExpStatSN acknowledges it, and a read's Data-In PDUs as
long as its status, unless a DataACK SNACK has acknowledged them before. What is kept is bounded; when the bound is
reached the oldest goes, and a SNACK for it is rejected. At level 0 no connection has one of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from iscsi.constants import RESERVED_TAG
from iscsi.pdu import R2T, DataIn, NopIn, Pdu, ScsiResponse
from iscsi.serial import lt
from iscsi.transfer import segments

MAX_PDUS: Final = 4096
"""PDUs kept per connection."""


@dataclass(slots=True)
class SentRead:
    """The Data-In PDUs of one command that are not acknowledged, in order; ``next_sn`` is the DataSN after the last.

    ``dropped`` tells that some that are not acknowledged either had to go; ``tags`` are those of its A bits.
    """

    pdus: list[DataIn] = field(default_factory=list)
    next_sn: int = 0
    acknowledged: int = 0
    stat_sn: int | None = None
    dropped: bool = False
    tags: list[int] = field(default_factory=list)


class Retained:
    """See the module's text. ``limit_bytes`` bounds the data segments kept."""

    __slots__ = ("_acknowledgments", "_bytes", "_last_tag", "_pdus", "_reads", "_statuses", "limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._statuses: dict[int, Pdu] = {}  # by StatSN, ascending
        self._reads: dict[int, SentRead] = {}  # by task tag, in the order they began
        self._acknowledgments: dict[int, int] = {}  # target transfer tag of an A bit to its task tag
        self._bytes = 0
        self._pdus = 0
        self._last_tag = 0

    @property
    def bytes(self) -> int:
        """Data kept."""
        return self._bytes

    def next_tag(self, itt: int) -> int:
        """A target transfer tag for a Data-In PDU that asks for an acknowledgment."""
        self._last_tag = (self._last_tag + 1) % RESERVED_TAG
        self._acknowledgments[self._last_tag] = itt
        return self._last_tag

    # -- what goes out ---------------------------------------------------------------------------------------------

    def keep(self, pdu: Pdu) -> None:
        """A PDU is being sent for the first time."""
        if isinstance(pdu, DataIn):
            self._keep_data(pdu)
        elif isinstance(pdu, R2T) or (isinstance(pdu, NopIn) and pdu.itt == RESERVED_TAG):
            return  # neither has a StatSN of its own; an R2T is kept by its task
        elif isinstance(pdu, ScsiResponse) and (read := self._reads.get(pdu.itt)) is not None:
            read.stat_sn = pdu.stat_sn
        if not isinstance(pdu, DataIn) or pdu.has_status:
            self._statuses[pdu.stat_sn] = pdu  # type: ignore[attr-defined]
            self._pdus += 1
            self._bytes += 0 if isinstance(pdu, DataIn) else len(pdu.data)
        while self._pdus > MAX_PDUS or self._bytes > self.limit_bytes:
            self._drop_oldest()

    def acknowledge(self, exp_stat_sn: int) -> None:
        """The initiator has every status below ``exp_stat_sn``, and the data that belonged to them."""
        statuses = self._statuses
        while statuses and lt(first := next(iter(statuses)), exp_stat_sn):
            pdu = statuses.pop(first)
            self._pdus -= 1
            if not isinstance(pdu, DataIn):
                self._bytes -= len(pdu.data)
            if isinstance(pdu, DataIn | ScsiResponse):
                self._forget_read(pdu.itt)

    # -- what is asked for again -----------------------------------------------------------------------------------

    def statuses(self, first: int, count: int) -> list[Pdu] | None:
        """The PDUs with these StatSNs (``count`` 0: all from ``first`` on; both 0: all); None when one is not here."""
        if not count:
            return [pdu for stat_sn, pdu in self._statuses.items() if not first or not lt(stat_sn, first)]
        if count > len(self._statuses):
            return None
        found = [self._statuses.get((first + number) & 0xFFFFFFFF) for number in range(count)]
        return None if None in found else [pdu for pdu in found if pdu is not None]

    def status_of(self, itt: int) -> ScsiResponse | DataIn | None:
        """What ended the task with this tag, if the initiator has not acknowledged it."""
        for pdu in reversed(self._statuses.values()):
            if isinstance(pdu, ScsiResponse | DataIn) and pdu.itt == itt:
                return pdu
        return None

    def release(self, itt: int) -> None:
        """The task is another connection's now."""
        status = self.status_of(itt)
        if status is not None:
            del self._statuses[status.stat_sn]
            self._pdus -= 1
            self._bytes -= 0 if isinstance(status, DataIn) else len(status.data)
        self._forget_read(itt)

    def read(self, itt: int) -> SentRead | None:
        """What was sent of a read whose status is not acknowledged."""
        return self._reads.get(itt)

    def acknowledge_data(self, tag: int, data_sn: int) -> bool:
        """A DataACK SNACK: every Data-In PDU below ``data_sn`` has come; False when it acknowledges what it cannot."""
        itt = self._acknowledgments.get(tag)
        read = None if itt is None else self._reads.get(itt)
        if read is None or not read.acknowledged <= data_sn <= read.next_sn:
            return False
        read.acknowledged = data_sn
        while read.pdus and read.pdus[0].data_sn < data_sn:
            self._let_go(read)
        return True

    def resegment(self, itt: int, tag: int, max_segment: int, max_burst: int) -> list[Pdu] | None:
        """An R-Data SNACK: all data that is not acknowledged anew, in PDUs that fit, then the response with the tag.

        None when nothing of the task is kept, or not all of what would be needed.
        """
        read = self._reads.get(itt)
        if read is None or read.dropped or read.stat_sn is None:
            return None
        status = self._statuses[read.stat_sn]
        old, first_sn = read.pdus, read.acknowledged
        data = b"".join(bytes(pdu.data) for pdu in old)
        start = old[0].buffer_offset if old else 0
        parts = [
            DataIn(
                final=part.final,
                itt=itt,
                data_sn=first_sn + number,
                buffer_offset=part.offset,
                data=data[part.offset - start : part.offset - start + part.length],
            )
            for number, part in enumerate(segments(start, len(data), max_segment, max_burst))
        ]
        read.pdus = parts
        self._pdus += len(parts) - len(old)
        read.next_sn = first_sn + len(parts)
        response = _response_of(status, tag, read.next_sn)
        self._statuses[read.stat_sn] = response
        return [*parts, response]

    # -- inside ----------------------------------------------------------------------------------------------------

    def _keep_data(self, pdu: DataIn) -> None:
        read = self._reads.get(pdu.itt)
        if read is None or read.stat_sn is not None:  # the tag is used again before its last status was acknowledged
            self._forget_read(pdu.itt)
            read = self._reads[pdu.itt] = SentRead(acknowledged=pdu.data_sn)
        read.pdus.append(pdu)
        read.next_sn = pdu.data_sn + 1
        if pdu.acknowledge:
            read.tags.append(pdu.ttt)
        if pdu.has_status:
            read.stat_sn = pdu.stat_sn
        self._pdus += 1
        self._bytes += len(pdu.data)

    def _let_go(self, read: SentRead) -> None:
        self._bytes -= len(read.pdus.pop(0).data)
        self._pdus -= 1

    def _forget_read(self, itt: int) -> None:
        read = self._reads.pop(itt, None)
        if read is None:
            return
        self._bytes -= sum(len(pdu.data) for pdu in read.pdus)
        self._pdus -= len(read.pdus)
        for tag in read.tags:
            self._acknowledgments.pop(tag, None)

    def _drop_oldest(self) -> None:
        """Make room: the data of the oldest read that has some, else the oldest status."""
        for read in self._reads.values():
            if read.pdus:
                read.dropped = True
                while read.pdus:
                    self._let_go(read)
                return
        pdu = self._statuses.pop(next(iter(self._statuses)))
        self._pdus -= 1
        if not isinstance(pdu, DataIn):
            self._bytes -= len(pdu.data)
        if isinstance(pdu, DataIn | ScsiResponse):
            self._forget_read(pdu.itt)


def _response_of(status: Pdu, tag: int, data_sn: int) -> ScsiResponse:
    """The SCSI Response that takes the place of ``status``, under the same StatSN (11.4.4)."""
    if isinstance(status, ScsiResponse):
        return replace(status, snack_tag=tag, exp_data_sn=data_sn)
    assert isinstance(status, DataIn), "a read's status is in one or the other"
    return ScsiResponse(
        status=status.status,
        itt=status.itt,
        snack_tag=tag,
        stat_sn=status.stat_sn,
        exp_data_sn=data_sn,
        overflow=status.overflow,
        underflow=status.underflow,
        residual=status.residual,
    )
