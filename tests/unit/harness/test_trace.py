"""The trace: every part of a segment and of an event is in the hash, in order."""

from __future__ import annotations

from typing import Any

import pytest

from harness.trace import FLUSH_LINES, Trace
from sim.net.segment import SegmentRecord

SEGMENT = SegmentRecord(
    time_ns=1_000,
    nic="w2k3/A",
    src_mac="02:00:00:00:00:01",
    dst_mac="02:00:00:00:00:02",
    src=("192.168.50.105", 2815),
    dst=("192.168.51.1", 3260),
    flags=0x10,
    seq=1,
    ack=2,
    window=65535,
    payload=b"payload",
    frames=1,
    mss=1460,
    sack=(),
    options=None,
    timestamps=None,
)


def hash_of(*records: SegmentRecord) -> str:
    trace = Trace()
    for record in records:
        trace.segment(record)
    return trace.sha256()


@pytest.mark.parametrize(
    "change",
    [
        {"time_ns": 1_001},
        {"nic": "w2k3/B"},
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
def test_a_change_of_any_part_of_a_segment_is_another_run(change: dict[str, Any]) -> None:
    assert hash_of(SEGMENT._replace(**change)) != hash_of(SEGMENT)


def test_order_is_part_of_the_run() -> None:
    later = SEGMENT._replace(seq=9)
    assert hash_of(SEGMENT, later) != hash_of(later, SEGMENT)


def test_events_count_too() -> None:
    one, other = Trace(), Trace()
    one.event(5, "fault", name="cable")
    other.event(5, "fault", name="other cable")
    assert len({one.sha256(), other.sha256(), Trace().sha256()}) == 3


def test_asking_for_the_hash_in_between_changes_nothing() -> None:
    asked, unasked = Trace(), Trace()
    for number in range(2 * FLUSH_LINES):
        record = SEGMENT._replace(seq=number)
        asked.segment(record)
        unasked.segment(record)
        if number % 100 == 0:
            asked.sha256()
    assert asked.sha256() == unasked.sha256()
