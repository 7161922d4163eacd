"""What TCP delivers is held against what was written, also when an address and port are used again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.check.streams import Stream, StreamWatch
from sim.net.segment import Flow

HOST, ARRAY = ("192.168.50.101", 1025), ("192.168.51.1", 3260)
OUT: Flow = (HOST, ARRAY)
BACK: Flow = (ARRAY, HOST)


def watch(damaged: list[Flow] | None = None) -> StreamWatch:
    return StreamWatch(lambda: 0, None if damaged is None else damaged.append)


def connect(streams: StreamWatch) -> tuple[Stream, Stream]:
    return streams.opened(OUT), streams.opened(BACK)


def why(streams: StreamWatch) -> str:
    """What was found; empty when all was well."""
    judgement = streams.judgement()
    assert judgement is not None
    return "" if judgement.ok else judgement.why


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(0, 40), max_size=6)


@given(data=st.binary(min_size=1, max_size=40), written=CUTS, delivered=CUTS)
def test_however_the_bytes_are_cut_they_are_the_same(data: bytes, written: list[int], delivered: list[int]) -> None:
    streams = watch()
    host, array = connect(streams)
    host.written(pieces(data, written))
    for piece in pieces(data, delivered):
        array.delivered(piece)
    array.finished()

    assert why(streams) == ""


@given(data=st.binary(min_size=1, max_size=40), written=CUTS, delivered=CUTS, at=st.integers(0, 39))
def test_one_wrong_byte_is_seen(data: bytes, written: list[int], delivered: list[int], at: int) -> None:
    streams = watch()
    host, array = connect(streams)
    host.written(pieces(data, written))
    wrong = bytearray(data)
    wrong[at % len(data)] ^= 1
    for piece in pieces(bytes(wrong), delivered):
        array.delivered(piece)

    assert "bytes were delivered that differ" in why(streams)


def test_bytes_that_nobody_wrote_are_seen() -> None:
    streams = watch()
    _, array = connect(streams)
    array.delivered(b"login")

    assert "5 bytes were delivered that nobody had written" in why(streams)


def test_more_than_was_written_is_seen() -> None:
    streams = watch()
    host, array = connect(streams)
    host.written([b"log"])
    array.delivered(b"login")

    assert "bytes were delivered that differ" in why(streams)


def test_a_fin_before_the_last_bytes_is_seen() -> None:
    streams = watch()
    host, array = connect(streams)
    host.written([b"login"])
    array.delivered(b"log")
    array.finished()

    assert "the FIN was delivered, and 2 bytes before it were not" in why(streams)


def test_bytes_after_the_end_are_seen() -> None:
    streams = watch()
    host, array = connect(streams)
    host.written([b"login"])
    array.ended()
    array.delivered(b"login")

    assert "5 bytes were delivered after the connection had ended" in why(streams)


def test_the_last_words_of_a_socket_that_is_gone_may_still_arrive() -> None:
    streams = watch()
    host, array = connect(streams)
    host.written([b"bye"])
    host.ended()
    array.delivered(b"bye")
    array.finished()

    assert why(streams) == ""


def test_a_host_that_boots_uses_a_port_again_while_the_array_has_the_old_socket() -> None:
    streams = watch()
    old, lingering = connect(streams)
    old.ended()
    host = streams.opened(OUT)  # after the boot
    lingering.ended()  # the old socket learns of it
    array = streams.opened(BACK)
    host.written([b"login"])
    array.delivered(b"login")

    assert why(streams) == ""


def test_what_was_written_to_a_socket_that_is_gone_is_not_kept() -> None:
    streams = watch()
    host, array = connect(streams)
    host.written([b"old"])
    array.ended()
    host.written([b"older"])
    host.ended()
    host, array = connect(streams)
    host.written([b"new"])
    array.delivered(b"new")

    assert why(streams) == ""


@pytest.mark.parametrize(("came", "damage"), [(b"lozin", True), (b"loginn", False)])
def test_where_a_cable_may_change_bytes_their_number_still_counts(came: bytes, damage: bool) -> None:
    damaged: list[Flow] = []
    streams = watch(damaged)
    host, array = connect(streams)
    host.written([b"login"])
    array.delivered(came)

    judgement = streams.judgement()
    assert judgement is not None
    assert (judgement.ok, judgement.unknown, damaged) == (damage, damage, [BACK] if damage else [])


def test_without_a_socket_nothing_is_judged() -> None:
    assert watch().judgement() is None
