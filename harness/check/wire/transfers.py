"""The rules of one command's data: where each piece begins, how long it may be, which one is the last.

Each function is told of a PDU, keeps the `copies.Task` it belongs to, and yields what is wrong with it: the rule in a
word, and how it was broken. Sources: RFC 7143 4.2.5.2 (which data when), 11.7 and 11.8 (the PDUs), 13.10 to 13.18 (the
keys that limit them).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.check.wire.copies import OpenR2t, Task
from harness.check.wire.scan import NO_TAG, Header
from harness.check.wire.terms import Terms

__all__ = ["Complaint", "began", "data_in_length", "data_out", "r2t"]

Complaint = tuple[str, str]


_FINAL: Final = 0x80


def began(task: Task, length: int, final: bool, terms: Terms) -> Iterator[Complaint]:
    """A command that writes was sent with ``length`` bytes of data; ``final``: no unsolicited data follows."""
    first_burst = terms.first_burst
    if length:
        if not terms.immediate_data:
            yield "immediate data", f"{length} bytes came with a command, and ImmediateData is No"
        if length > first_burst:
            yield "burst length", f"{length} bytes of immediate data are more than FirstBurstLength"
        if length > task.edtl:
            yield "burst length", f"{length} bytes of immediate data came with a write of {task.edtl}"
        yield from _segment(length, terms.target_segment)
    if final:
        task.asked = length
    else:
        if terms.initial_r2t:
            yield "unsolicited data", "the host announces unsolicited data, and InitialR2T is Yes"
        task.asked = task.unsolicited_end = min(first_burst, task.edtl)


def data_out(task: Task, header: Header, terms: Terms) -> Iterator[Complaint]:
    """The host sends data."""
    ttt, offset, length = header.w20, header.w40, header.data_length
    final = bool(header.flags & _FINAL)
    yield from _segment(length, terms.target_segment)
    if ttt == NO_TAG:
        yield from _unsolicited(task, offset, length, header.w36, final)
        return
    asked = None if task.r2ts is None else task.r2ts.get(ttt)
    if asked is None:
        yield "R2T", f"Data-Out with tag {ttt:#x}, which no open R2T has"
        return
    if header.w36 != asked.data_sn:
        yield "DataSN", f"Data-Out {header.w36} came for {asked.data_sn}"
    if offset != asked.at or offset + length > asked.end:
        yield "data offset", f"{length} bytes at {offset}, and {asked.at} to {asked.end} are asked for"
    asked.data_sn = header.w36 + 1
    asked.at = offset + length
    task.moved += length
    if final:
        if asked.at != asked.end:
            yield "data offset", f"the last Data-Out of a burst ends at {asked.at}, not at {asked.end}"
        assert task.r2ts is not None
        del task.r2ts[ttt]
    elif asked.at >= asked.end:
        yield "final bit", f"the Data-Out that ends a burst at {asked.end} has no F bit"


def _unsolicited(task: Task, offset: int, length: int, data_sn: int, final: bool) -> Iterator[Complaint]:
    end = task.unsolicited_end
    if offset != task.moved or offset + length > end:
        yield "data offset", f"{length} unsolicited bytes at {offset} after {task.moved}, of {end} in all"
    if data_sn != task.unsolicited:
        yield "DataSN", f"unsolicited Data-Out {data_sn} came for {task.unsolicited}"
    task.unsolicited = data_sn + 1
    task.moved = offset + length
    if final != (task.moved >= end):
        which = "has the F bit" if final else "has no F bit"
        yield "final bit", f"the unsolicited Data-Out that ends at {task.moved} of {end} {which}"


def r2t(task: Task, header: Header, terms: Terms) -> Iterator[Complaint]:
    """The array asks for data."""
    ttt, offset, length = header.w20, header.w40, header.w44
    if header.w36 != task.r2t_sn:
        yield "R2T", f"R2TSN {header.w36} came for {task.r2t_sn}"
    if offset != task.asked or offset + length > task.edtl or not length:
        whole = f"of a write of {task.edtl} bytes, {task.asked} of them asked for"
        yield "R2T", f"the array asks for {length} bytes at {offset} {whole}"
    if length > terms.max_burst:
        yield "burst length", f"an R2T for {length} bytes is more than MaxBurstLength"
    if ttt == NO_TAG:
        yield "R2T", "its tag is the one that means none"
    if task.r2ts is None:
        task.r2ts = {}
    elif ttt in task.r2ts:
        yield "R2T", f"two open R2Ts of one command have tag {ttt:#x}"
    task.r2ts[ttt] = OpenR2t(offset, length)
    if len(task.r2ts) > terms.max_r2ts:
        yield "R2T", f"{len(task.r2ts)} R2Ts are open at once, more than MaxOutstandingR2T"
    task.r2t_sn = header.w36 + 1
    task.asked = offset + length


def data_in_length(task: Task, length: int, final: bool, with_status: int, terms: Terms) -> Iterator[Complaint]:
    """Data has come; only called where more than one PDU or one with odd flags brings it."""
    yield from _segment(length, terms.initiator_segment)
    task.burst += length
    if task.burst > terms.max_burst:
        yield "burst length", f"{task.burst} bytes of Data-In without an F bit are more than MaxBurstLength"
    if with_status and not final:
        yield "final bit", "a Data-In has the S bit and not the F bit"
    if final:
        task.burst = 0


def _segment(length: int, limit: int) -> Iterator[Complaint]:
    if length > limit:
        yield "segment length", f"{length} bytes in one PDU are more than MaxRecvDataSegmentLength, {limit}"
