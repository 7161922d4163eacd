"""Loss: holes are repaired from SACK blocks in a round trip or two, tails by time-out; no more is sent again."""

from collections.abc import Callable

import pytest

from sim.env import ms, s
from sim.net.segment import Segment
from sim.net.tcp_profiles import LINUX, WINDOWS_2003
from sim.rng import stream
from tests.unit.sim.net.wire import Wire


def connected(profile=LINUX) -> Wire:
    wire = Wire(profile)
    wire.handshake()
    wire.client.write(wire.now_ns, bytes(500_000))  # slow start is over: the peer's window is the limit
    wire.run()
    wire.log.clear()
    wire.got[wire.server].clear()
    return wire


def the(number: int) -> Callable[[Segment], bool]:
    seen = []

    def lose(segment: Segment) -> bool:
        if segment.payload:
            seen.append(segment)
        return bool(segment.payload) and len(seen) == number

    return lose


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_hole_is_filled_without_waiting_for_the_timer(number: int) -> None:
    wire = connected(WINDOWS_2003)
    message = bytes(range(256)) * 256
    wire.lose = the(number)
    start = wire.now_ns
    wire.client.write(start, message[:65_000])
    wire.run(start + ms(5))
    assert wire.got[wire.server] == message[:65_000]
    lost = [segment for segment in wire.sent if segment.payload][number - 1]
    assert sum(len(segment.payload) for segment in wire.sent if segment.resent) == len(lost.payload)
    assert wire.client.send.unacknowledged_bytes == 0


def test_a_lost_tail_is_sent_again_when_the_timer_expires() -> None:
    wire = connected()
    wire.lose = the(1)
    start = wire.now_ns
    wire.client.write(start, b"alone")
    wire.run(start + LINUX.min_rto_ns)
    assert wire.got[wire.server] == b""
    wire.run(start + LINUX.min_rto_ns + wire.latency_ns)
    assert wire.got[wire.server] == b"alone"


def test_after_a_blackhole_everything_is_sent_again_as_soon_as_one_segment_gets_through() -> None:
    wire = connected(WINDOWS_2003)
    message = bytes(range(250)) * 260
    start = wire.now_ns
    wire.lose = lambda segment: wire.now_ns < start + s(1)
    wire.client.write(start, message)
    # Windows repeats 0.3, 0.9 and 2.1 seconds after the first attempt; the last of these gets through. It is a lone
    # segment, so its acknowledgement is delayed; then the window opens from one segment, a round trip at a time.
    wire.run(start + ms(2_100) + WINDOWS_2003.delayed_ack_ns + ms(2))
    assert wire.got[wire.server] == message
    # One segment per time-out while it was dark, then everything once.
    assert sum(len(segment.payload) for segment in wire.sent) <= 2 * len(message) + 2 * 1_460


@pytest.mark.parametrize("percent", [1, 5, 20])
@pytest.mark.parametrize("direction", ["data", "everything"])
def test_a_stream_survives_random_loss(percent: int, direction: str) -> None:
    wire = connected()
    draws = stream(percent, f"loss of {direction}")
    wire.lose = lambda segment: draws.chance(percent / 100) if segment.payload or direction == "everything" else False
    message = draws.bytes(2_000_000)
    start = wire.now_ns
    wire.client.write(start, message)
    wire.client.finish(start)
    wire.run(start + s(600))
    assert wire.got[wire.server] == message
    assert wire.server.peer_finished
    if percent == 1:
        resent = sum(len(segment.payload) for segment in wire.sent if segment.resent)
        assert resent < len(message) // 5


def test_part_of_a_burst_can_be_lost() -> None:
    wire = connected(WINDOWS_2003)
    message = bytes(range(250)) * 250
    start = wire.now_ns
    wire.client.write(start, message)
    burst = wire.client.outgoing[1]
    mss = 1_460
    head = Segment(burst.flow, burst.flags, burst.seq, burst.ack, burst.window, burst.payload[:mss])
    tail = Segment(burst.flow, burst.flags, burst.seq + 2 * mss, burst.ack, burst.window, burst.payload[2 * mss :])
    wire.client.outgoing[1:2] = [head, tail]
    wire.run(start + ms(5))
    assert wire.got[wire.server] == message
    [resent] = [segment for segment in wire.sent if segment.resent]
    assert (resent.seq, len(resent.payload)) == (burst.seq + mss, mss)
