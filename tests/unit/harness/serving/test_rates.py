"""Rates out of counters: over the last looks, per connection and per address, with what has ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.serving.rates import LOOKS, Meter, Rates
from target.server import Ended, Traffic

A, B = "127.0.107.2", "127.0.107.3"


@dataclass
class Line:
    """A connection as the meter sees it."""

    number: int
    local: str
    traffic: Traffic = field(default_factory=Traffic)


class Server:
    """A server that has just these connections."""

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)

    def connections(self) -> list[Line]:
        return self.lines


def meter(server: Server) -> Meter:
    return Meter(server)  # type: ignore[arg-type]


def test_a_rate_is_what_was_counted_over_the_last_looks() -> None:
    line = Line(1, A)
    watched = meter(Server(line))
    for second in range(10):
        line.traffic = Traffic(reads=100 * second, writes=10 * second, sent_bytes=4096 * second)
        watched.look(float(second))
    assert watched.of_connection(1) == Rates(100.0, 10.0, 0.0, 4096.0)
    line.traffic = Traffic(reads=900 + 700, writes=90, sent_bytes=4096 * 9)
    watched.look(10.0)
    assert watched.of_connection(1) == Rates(400.0, 5.0, 0.0, 2048.0), f"the last {LOOKS} looks"


def test_before_the_second_look_there_is_no_rate() -> None:
    watched = meter(Server(Line(1, A, Traffic(reads=5))))
    assert watched.of_connection(1) == Rates()
    watched.look(1.0)
    assert watched.of_connection(1) == Rates()
    watched.look(1.0)
    assert watched.of_connection(1) == Rates()


def test_an_address_sums_its_connections_and_keeps_those_that_ended() -> None:
    first, second, other = Line(1, A), Line(2, A), Line(3, B)
    server = Server(first, second, other)
    watched = meter(server)
    watched.look(0.0)
    first.traffic, second.traffic, other.traffic = Traffic(reads=10), Traffic(reads=20), Traffic(writes=5)
    watched.look(1.0)
    assert watched.of_address(A).reads == 30.0
    server.lines.remove(first)
    watched.ended(Ended(1, "127.0.0.1", A, None, first.traffic, "closed"))
    watched.look(2.0)
    assert watched.of_address(A).reads == 15.0
    assert watched.of_connection(1) == Rates()
    assert watched.count(2.0).addresses == {A: Traffic(reads=30), B: Traffic(writes=5)}


@pytest.mark.parametrize("address", [B, "127.0.107.9"])
def test_where_nobody_is_nothing_happens(address: str) -> None:
    watched = meter(Server(Line(1, A, Traffic(reads=5))))
    watched.look(0.0)
    watched.look(1.0)
    assert watched.of_address(address) == Rates()
