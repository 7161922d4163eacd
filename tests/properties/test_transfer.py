"""Both ends of a transfer against each other: for any lengths and parameters the data arrives, or an error says why."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iscsi.constants import RESERVED_TAG
from iscsi.negotiation import SessionParameters
from iscsi.pdu import DataIn, DataOut
from iscsi.transfer import DataOutPlan, ReadBuffer, data_out_run, segments
from iscsi.write_buffer import WriteBuffer
from tests.support.parameters import small_parameters

lengths = st.integers(0, 12_000) | st.sampled_from((0, 1, 511, 512, 513, 2000))

longer_than_any_first_burst = st.integers(2001, 12_000)


def content(length: int) -> bytes:
    """Bytes in which any two places nearby differ, so that a wrong offset shows."""
    return (b"".join(n.to_bytes(3, "big") for n in range(length // 3 + 1)))[:length]


def open_write(data: bytes, params: SessionParameters, wanted: int | None = None) -> tuple[WriteBuffer, list[DataOut]]:
    """A write command as it reaches the target, and the unsolicited Data-Out PDUs behind it."""
    plan = DataOutPlan.of(len(data), params)
    buffer = WriteBuffer(len(data), data[: plan.immediate], not plan.final, params.as_seen_by_peer(), wanted)
    assert plan.immediate <= params.peer_max_recv_data_segment_length
    run = data_out_run(
        data, plan.immediate, plan.unsolicited, params=params, lun=0, itt=1, ttt=RESERVED_TAG, exp_stat_sn=0
    )
    return buffer, list(run)


def solicited(buffer: WriteBuffer, data: bytes, params: SessionParameters) -> Iterator[DataOut]:
    """Ask for as much as the target may at a time; answer as the initiator does, in the order of the R2Ts."""
    answers: deque[Iterator[DataOut]] = deque()
    due_sn, due_offset, ttt = 0, buffer.received, 100
    while True:
        while (burst := buffer.next_burst(ttt, params.as_seen_by_peer())) is not None:
            assert len(buffer.open_bursts) <= params.max_outstanding_r2t
            assert (burst.r2t_sn, burst.offset) == (due_sn, due_offset)
            assert 0 < burst.length <= min(params.max_burst_length, len(data) - burst.offset)
            run = data_out_run(data, burst.offset, burst.length, params=params, lun=0, itt=1, ttt=ttt, exp_stat_sn=0)
            answers.append(run)
            due_sn, due_offset, ttt = due_sn + 1, due_offset + burst.length, ttt + 1
        if not answers:
            return
        yield from answers.popleft()


@settings(deadline=None, max_examples=150)
@given(length=lengths, wanted=st.none() | lengths, params=small_parameters())
def test_a_write_arrives_whole(length: int, wanted: int | None, params: SessionParameters) -> None:
    """All of it, or what the command wants of it and what came unasked."""
    data = content(length)
    buffer, unsolicited = open_write(data, params, wanted)
    for pdu in unsolicited:
        assert not buffer.complete
        assert 0 < len(pdu.data) <= params.peer_max_recv_data_segment_length
        buffer.take(pdu)
    unasked = buffer.received
    assert unasked <= params.first_burst_length
    for pdu in solicited(buffer, data, params):
        assert not buffer.complete
        assert 0 < len(pdu.data) <= params.peer_max_recv_data_segment_length
        buffer.take(pdu)
    assert buffer.complete
    assert buffer.content() == data[: length if wanted is None else max(wanted, unasked)]


def sound_run(data: bytes, params: SessionParameters) -> list[DataOut]:
    """All Data-Out PDUs of a write, in order."""
    buffer, unsolicited = open_write(data, params)
    for pdu in unsolicited:
        buffer.take(pdu)
    run = [*unsolicited]
    for pdu in solicited(buffer, data, params):
        buffer.take(pdu)
        run.append(pdu)
    return run


def replay(data: bytes, params: SessionParameters, stream: list[DataOut]) -> WriteBuffer:
    """A target that receives ``stream`` for a write of ``data`` up to the first fault; it asks as early as it may."""
    buffer, _ = open_write(data, params)
    ttt = 100
    for pdu in stream:
        while buffer.next_burst(ttt, params.as_seen_by_peer()) is not None:
            ttt += 1
        if not buffer.take(pdu) or buffer.fault is not None:
            break
    return buffer


def refused(buffer: WriteBuffer) -> bool:
    """True when the data did not go through: a fault, or the rest is still missed."""
    return buffer.fault is not None or not buffer.complete


FAULTS: dict[str, Callable[[DataOut], DataOut]] = {
    "DataSN too high": lambda pdu: replace(pdu, data_sn=pdu.data_sn + 1),
    "offset too high": lambda pdu: replace(pdu, buffer_offset=pdu.buffer_offset + 1),
    "offset too low": lambda pdu: replace(pdu, buffer_offset=max(0, pdu.buffer_offset - 1)),
    "F bit flipped": lambda pdu: replace(pdu, final=not pdu.final),
    "a byte too many": lambda pdu: replace(pdu, data=pdu.data + b"!"),
    "a byte too few": lambda pdu: replace(pdu, data=pdu.data[:-1]),
    "another tag": lambda pdu: replace(pdu, ttt=pdu.ttt ^ 1),
    "solicited for unsolicited or the reverse": lambda pdu: replace(
        pdu, ttt=100 if pdu.ttt == RESERVED_TAG else RESERVED_TAG
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@settings(deadline=None, max_examples=40)
@given(length=longer_than_any_first_burst, params=small_parameters(), data=st.data())
def test_one_faulty_data_out_is_refused_there_or_at_the_next(
    fault: str, length: int, params: SessionParameters, data: st.DataObject
) -> None:
    written = content(length)
    run = sound_run(written, params)
    place = data.draw(st.integers(0, len(run) - 1))
    faulty = FAULTS[fault](run[place])
    assume(faulty != run[place])
    assert refused(replay(written, params, [*run[:place], faulty, *run[place + 1 : place + 2]]))


@settings(deadline=None, max_examples=100)
@given(length=longer_than_any_first_burst, params=small_parameters(), data=st.data())
def test_a_lost_repeated_or_overtaken_data_out_is_noticed(
    length: int, params: SessionParameters, data: st.DataObject
) -> None:
    written = content(length)
    run = sound_run(written, params)
    place = data.draw(st.integers(0, len(run) - 1))
    before, pdu, after = run[:place], run[place], run[place + 1 :]
    if after:
        assert refused(replay(written, params, [*before, pdu, pdu, *after]))
        assert refused(replay(written, params, [*before, *after]))
        assert refused(replay(written, params, [*before, after[0], pdu, *after[1:]]))
    else:
        assert not replay(written, params, before).complete, "the last one is still missed"


@settings(deadline=None, max_examples=150)
@given(
    offset=st.integers(0, 1 << 32),
    length=lengths,
    max_segment=st.integers(512, 2000),
    max_burst=st.integers(512, 5000),
)
def test_segments_cover_a_transfer_without_gap_or_overlap(
    offset: int, length: int, max_segment: int, max_burst: int
) -> None:
    at, burst_begin = offset, offset
    for part in segments(offset, length, max_segment, max_burst):
        assert part.offset == at
        assert 0 < part.length <= max_segment
        at += part.length
        whole_burst = at - burst_begin == min(max_burst, offset + length - burst_begin)
        assert part.final is whole_burst
        if part.final:
            burst_begin = at
    assert at == burst_begin == offset + length


@settings(deadline=None, max_examples=100)
@given(length=lengths, spare=st.integers(0, 600), params=small_parameters())
def test_a_read_arrives_whole(length: int, spare: int, params: SessionParameters) -> None:
    """A target may send less than was asked for (``spare``): that is an underflow, not an error."""
    data = content(length)
    buffer = ReadBuffer(length + spare)
    sent = 0
    for part in segments(0, length, params.max_recv_data_segment_length, params.max_burst_length):
        piece = data[part.offset : part.offset + part.length]
        buffer.take(DataIn(final=part.final, data_sn=sent, buffer_offset=part.offset, data=piece))
        sent += 1
    assert (buffer.content(), buffer.received, buffer.data_sn) == (data, length, sent)


@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 200))
def test_empty_data_in_pdus_cost_no_memory(count: int) -> None:
    buffer = ReadBuffer(512)
    for data_sn in range(count):
        buffer.take(DataIn(final=False, data_sn=data_sn))
    assert buffer._parts == []
