"""The trace: every part of a segment and of an event is in the hash, in order."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from harness.trace import FLUSH_LINES, Trace
from sim.loop import SimLoop
from sim.net import LINUX, Address, Network, Nic
from sim.net.segment import Segment


@pytest.fixture(scope="module")
def nics() -> dict[str, Nic]:
    host = Network(SimLoop(), 1).add_host("w2k3", LINUX)
    return {name: host.add_nic(name, None, 22) for name in "AB"}


class Sent(NamedTuple):
    """A segment as its NIC takes it."""

    time_ns: int = 1_000
    nic: str = "A"
    src: Address = ("192.168.50.105", 2815)
    dst: Address = ("192.168.51.1", 3260)
    flags: int = 0x10
    seq: int = 1
    ack: int = 2
    window: int = 65535
    payload: bytes = b"payload"

    def to(self, trace: Trace, nics: dict[str, Nic]) -> None:
        segment = Segment((self.dst, self.src), self.flags, self.seq, self.ack, self.window, self.payload)
        trace.segment(self.time_ns, nics[self.nic], segment)


SEGMENT = Sent()


def hash_of(nics: dict[str, Nic], *sent: Sent) -> str:
    trace = Trace()
    for one in sent:
        one.to(trace, nics)
    return trace.sha256()


@pytest.mark.parametrize(
    "change",
    [
        {"time_ns": 1_001},
        {"nic": "B"},
        {"src": ("192.168.50.105", 2816)},
        {"dst": ("192.168.51.2", 3260)},
        {"flags": 0x18},
        {"seq": 3},
        {"ack": 3},
        {"window": 1},
        {"payload": b"payloaD"},
        {"payload": b""},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_any_part_of_a_segment_is_another_run(change: dict[str, Any], nics: dict[str, Nic]) -> None:
    assert hash_of(nics, SEGMENT._replace(**change)) != hash_of(nics, SEGMENT)


def test_numbers_are_those_of_the_wire(nics: dict[str, Nic]) -> None:
    around = SEGMENT._replace(seq=SEGMENT.seq + (1 << 32), ack=SEGMENT.ack + (1 << 32))
    assert hash_of(nics, around) == hash_of(nics, SEGMENT)


def test_order_is_part_of_the_run(nics: dict[str, Nic]) -> None:
    later = SEGMENT._replace(seq=9)
    assert hash_of(nics, SEGMENT, later) != hash_of(nics, later, SEGMENT)


def test_events_count_too() -> None:
    one, other = Trace(), Trace()
    one.event(5, "fault", name="cable")
    other.event(5, "fault", name="other cable")
    assert len({one.sha256(), other.sha256(), Trace().sha256()}) == 3


def test_asking_for_the_hash_in_between_changes_nothing(nics: dict[str, Nic]) -> None:
    asked, unasked = Trace(), Trace()
    for number in range(2 * FLUSH_LINES):
        one = SEGMENT._replace(seq=number)
        one.to(asked, nics)
        one.to(unasked, nics)
        if number % 100 == 0:
            asked.sha256()
    assert asked.sha256() == unasked.sha256()
