"""Reassembly takes bytes in any order, any number of times, and says what it holds beyond the holes."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sim.net.tcp_receive import MAX_SACK_BLOCKS, ReceiveStream

MESSAGE = bytes(range(200))


def stream(buffer_bytes: int = 65_535) -> ReceiveStream:
    received = ReceiveStream(buffer_bytes)
    received.start(0, 1_460, None)
    return received


def test_blocks_name_the_newest_data_first() -> None:
    received = stream()
    for start in (20, 60, 40, 100, 120):
        received.take(start, MESSAGE[start : start + 10])
    assert received.sack_blocks() == ((120, 130), (20, 30), (40, 50))
    received.take(30, MESSAGE[30:40])
    assert received.sack_blocks() == ((20, 50), (60, 70), (100, 110))
    assert len(received.sack_blocks()) == MAX_SACK_BLOCKS
    received.take(0, MESSAGE[:20])
    assert b"".join(received.hand_over()) == MESSAGE[:50]


def test_a_segment_that_begins_before_what_is_wanted_adds_only_what_is_new() -> None:
    received = stream()
    received.take(0, MESSAGE[:50])
    received.take(70, MESSAGE[70:80])
    received.take(30, MESSAGE[30:75])
    assert b"".join(received.hand_over()) == MESSAGE[:80]
    assert received.next == 80
    assert received.runs == []


@given(st.lists(st.tuples(st.integers(0, 199), st.integers(1, 80)), max_size=30))
def test_any_pieces_in_any_order_give_the_message(pieces: list[tuple[int, int]]) -> None:
    received = stream()
    got = b""
    for start, length in [*pieces, *((start, 20) for start in range(180, -1, -20))]:
        received.take(start, MESSAGE[start : start + length])
        got += b"".join(received.hand_over())
        assert got == MESSAGE[: received.next]
        blocks = sorted(received.sack_blocks())
        assert all(received.next < start < end for start, end in blocks)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(blocks))
    assert got == MESSAGE


def test_the_window_opens_by_whole_segments_only() -> None:
    received = stream(10_000)
    received.take(0, bytes(10_000))
    assert received.window_field() == 0
    received.hand_over()
    assert received.wants_update()
    assert received.window_field() == 10_000
    received.take(10_000, bytes(1_000))
    received.hand_over()
    assert received.window_field() == 9_000  # the edge stays
    received.take(11_000, bytes(1_000))
    received.hand_over()
    assert received.window_field() == 10_000
