"""What TCP delivers is held against what was written, also when an address and port are used again."""

from __future__ import annotations

from harness.check.streams import StreamWatch
from sim.net.segment import Flow

HOST, ARRAY = ("192.168.50.101", 1025), ("192.168.51.1", 3260)
OUT: Flow = (HOST, ARRAY)
BACK: Flow = (ARRAY, HOST)


def watch(*, damage: bool = False) -> StreamWatch:
    return StreamWatch(lambda: 0, damage=damage)


def connect(streams: StreamWatch) -> None:
    streams.opened(OUT)
    streams.opened(BACK)


def test_what_was_written_is_what_is_delivered() -> None:
    streams = watch()
    connect(streams)
    streams.written(OUT, [b"log", b"in"])
    streams.delivered(BACK, b"logi")
    streams.delivered(BACK, b"n")

    assert streams.judgement().ok


def test_bytes_that_nobody_wrote_are_seen() -> None:
    streams = watch()
    connect(streams)
    streams.delivered(BACK, b"login")

    assert "nobody had written" in streams.judgement().why


def test_a_host_that_boots_uses_a_port_again_while_the_array_has_the_old_socket() -> None:
    streams = watch()
    connect(streams)
    streams.opened(OUT)  # after the boot
    streams.ended(BACK)  # the old socket learns of it
    streams.opened(BACK)
    streams.written(OUT, [b"login"])
    streams.delivered(BACK, b"login")

    assert streams.judgement().ok


def test_what_was_written_to_a_socket_that_is_gone_is_not_waited_for() -> None:
    streams = watch()
    connect(streams)
    streams.written(OUT, [b"old"])
    streams.ended(BACK)
    streams.ended(OUT)
    connect(streams)
    streams.written(OUT, [b"new"])
    streams.delivered(BACK, b"new")

    assert streams.judgement().ok


def test_damage_shows_unless_the_network_may_do_it() -> None:
    for damage in (False, True):
        streams = watch(damage=damage)
        connect(streams)
        streams.written(OUT, [b"login"])
        streams.delivered(BACK, b"lozin")

        assert streams.judgement().ok is damage
