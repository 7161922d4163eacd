"""Loss recovery, one exchange at a time: duplicates, partial acknowledgements, time-outs, the tail probe."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from sim.env import ms, s
from sim.net.segment import Segment
from sim.net.tcp_profiles import LINUX, WINDOWS_2003, WINDOWS_2012, TcpProfile
from tests.unit.sim.net.wire import Wire

MSS = 1_460
WITHOUT_SACK = replace(WINDOWS_2012, sack=False)


def warm(profile: TcpProfile, segments: int = 40) -> Wire:
    """A connection whose window is open, with nothing under way."""
    wire = Wire(profile)
    wire.handshake()
    wire.client.write(wire.now_ns, bytes(segments * MSS * 8))
    wire.run()
    wire.log.clear()
    wire.got[wire.server].clear()
    return wire


def frames(wire: Wire, lost: Callable[[int], bool]) -> None:
    """Let the client's next bursts travel frame by frame; frame number n of them is lost if `lost(n)`."""
    count = 0
    outgoing = []
    for segment in wire.client.outgoing:
        for frame in range(segment.frames):
            if not lost(count):
                outgoing.append(segment.piece(frame, frame) if segment.frames > 1 else segment)
            count += 1
    wire.client.outgoing = outgoing


def resent(wire: Wire) -> list[tuple[int, int]]:
    """(First frame, how many) of what was sent again, counted from the first byte of the message."""
    base = wire.client.send.next - len(wire.got[wire.server])
    return [((each.seq - base) // MSS, each.frames) for each in wire.sent if each.resent]


@pytest.mark.parametrize("profile", [WINDOWS_2003, WINDOWS_2012, LINUX, WITHOUT_SACK], ids=lambda each: each.name)
def test_one_lost_frame_is_repaired_within_two_round_trips(profile: TcpProfile) -> None:
    wire = warm(profile)
    message = bytes(range(256)) * 114
    start = wire.now_ns
    wire.client.write(start, message)
    before = wire.client.send.cwnd
    frames(wire, lambda number: number == 3)
    wire.run(start + 3 * 2 * wire.latency_ns)
    assert wire.got[wire.server] == message
    assert sum(each.frames for each in wire.sent if each.resent) == 1
    # The window is cut once: to half (seven tenths on Linux) of what was under way.
    assert wire.client.send.cwnd < before
    assert wire.client.send.cwnd == wire.client._congestion.ssthresh


@pytest.mark.parametrize(("profile", "duplicates"), [(replace(WINDOWS_2003, sack=False), 2), (WITHOUT_SACK, 3)])
def test_without_sack_it_takes_so_many_duplicates(profile: TcpProfile, duplicates: int) -> None:
    for beyond in (duplicates - 1, duplicates):
        wire = warm(profile)
        start = wire.now_ns
        wire.client.write(start, bytes(MSS * (1 + beyond)))
        frames(wire, lambda number: number == 0)
        wire.run(start + ms(10))
        assert len([each for each in wire.sent if each.resent]) == (beyond == duplicates)


def test_without_sack_a_partial_acknowledgement_asks_for_the_next_hole() -> None:
    # RFC 6582: one hole per round trip, and none of it by time-out.
    wire = warm(WITHOUT_SACK)
    start = wire.now_ns
    message = bytes(range(250)) * 210  # 36 frames
    wire.client.write(start, message)
    frames(wire, lambda number: number in (2, 9, 20))
    wire.run(start + ms(1))
    assert wire.got[wire.server] == message
    assert resent(wire) == [(2, 1), (9, 1), (20, 1)]


def test_with_sack_all_holes_are_repaired_in_one_round_trip_and_nothing_else_is_sent_again() -> None:
    wire = warm(WINDOWS_2012)
    start = wire.now_ns
    message = bytes(range(250)) * 210
    wire.client.write(start, message)
    frames(wire, lambda number: number in (2, 9, 20))
    wire.run(start + 4 * wire.latency_ns + 1)
    assert wire.got[wire.server] == message
    assert resent(wire) == [(2, 1), (9, 1), (20, 1)]


def test_a_lost_retransmission_is_found_by_a_stack_with_rack_and_costs_the_others_a_time_out() -> None:
    took_ms = {}
    for profile in (LINUX, replace(LINUX, name="linux without RACK", probe_slack_ns=None)):
        wire = warm(profile)
        start = wire.now_ns
        wire.client.write(start, bytes(2_000 * MSS))  # what is sent later shows that the retransmission is overdue
        frames(wire, lambda number: number == 3)
        gone: list[Segment] = []
        wire.lose = lambda segment, gone=gone: bool(segment.resent and not gone and (gone.append(segment) or True))
        wire.run(start + s(2))
        assert len(wire.got[wire.server]) == 2_000 * MSS
        took_ms[profile.name] = max(  # the last one
            (at_ns - start) / 1e6 for at_ns, each in wire.log if each.resent
        )
    assert took_ms["linux"] < 5
    assert took_ms["linux without RACK"] > LINUX.min_rto_ns / 1e6


def test_reordering_below_the_threshold_causes_no_retransmission() -> None:
    for profile in (WINDOWS_2003, WINDOWS_2012, LINUX):
        wire = warm(profile)
        wire.client.write(wire.now_ns, bytes(20 * MSS))
        frames(wire, lambda number: False)
        late = wire.client.outgoing.pop(5)
        wire.client.outgoing.insert(5 + profile.dup_threshold - 1, late)
        before = wire.client.send.cwnd
        wire.run(wire.now_ns + s(1))
        assert len(wire.got[wire.server]) == 20 * MSS
        assert not [each for each in wire.sent if each.resent], profile.name
        assert wire.client.send.cwnd >= before


def test_a_time_out_leaves_one_segment_and_slow_start_brings_half_the_window_back() -> None:
    wire = warm(WINDOWS_2012)
    start = wire.now_ns
    wire.lose = lambda segment: wire.now_ns < start + ms(250)
    wire.client.write(start, bytes(40 * MSS))
    wire.run(start + WINDOWS_2012.min_rto_ns + ms(20))
    assert wire.client.send.cwnd == MSS
    assert wire.client._congestion.ssthresh == 20 * MSS
    again = [each for each in wire.sent if each.resent]
    assert [each.frames for each in again] == [1]
    wire.run()
    assert len(wire.got[wire.server]) == 40 * MSS
    assert 20 * MSS <= wire.client.send.cwnd <= 22 * MSS


@pytest.mark.parametrize(
    (
        "profile",
        "after_ms",
    ),
    [
        # The first time-out is the profile's smallest; each one doubles; so many retries, then it is over.
        (WINDOWS_2003, [300, 900, 2_100, 4_500, 9_300]),
        (WINDOWS_2012, [300, 900, 2_100, 4_500, 9_300]),
        (
            LINUX,
            [200, 600, 1_400, 3_000, 6_200, 12_600, 25_400, 51_000, 102_200, 204_600]
            + [204_600 + 120_000 * step for step in range(1, 6)],
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_time_outs_come_when_rfc_6298_and_the_profile_say(profile: TcpProfile, after_ms: list[int]) -> None:
    wire = warm(profile)
    wire.lose = lambda segment: True
    start = wire.now_ns
    wire.client.write(start, b"into the dark")
    wire.run()
    sent_ms = [(at_ns - start) / 1e6 for at_ns, each in wire.log if each.payload]
    assert sent_ms == [0, *after_ms]
    assert len(after_ms) == profile.data_retries
    assert isinstance(wire.client.error, TimeoutError)


# -- the tail, RFC 8985 7 ----------------------------------------------------------------------------------------------


def test_a_lost_tail_is_probed_for_after_two_round_trips_where_the_stack_does_that() -> None:
    for profile in (LINUX, WINDOWS_2012):
        wire = warm(profile)
        start = wire.now_ns
        message = bytes(8 * wire.client.send.mss)
        wire.client.write(start, message)
        frames(wire, lambda number: number >= 7)
        wire.run(start + s(1))
        assert wire.got[wire.server] == message
        [again_ns] = [at_ns for at_ns, each in wire.log if each.resent]
        round_trips = 2 * wire.client._rto.srtt_ns
        after_ns = again_ns - start - 2 * wire.latency_ns
        if profile is LINUX:
            assert after_ns == pytest.approx(round_trips + LINUX.probe_slack_ns, rel=0.3)
            assert after_ns < ms(20)
        else:
            # The seventh frame is alone, so its acknowledgement is delayed, and the timer starts with that.
            assert after_ns == WINDOWS_2012.min_rto_ns + WINDOWS_2012.delayed_ack_ns


def test_a_probe_that_closes_the_gap_counts_as_a_loss() -> None:
    wire = warm(LINUX)
    before = wire.client.send.cwnd
    wire.client.write(wire.now_ns, bytes(8 * MSS))
    frames(wire, lambda number: number >= 7)
    wire.run(wire.now_ns + s(1))
    assert wire.client.send.cwnd < before
    assert wire.client.send.clean


def test_a_probe_brings_the_news_of_a_whole_lost_burst() -> None:
    # All is lost; the probe's SACK shows it, and no time-out is needed.
    wire = warm(LINUX)
    start = wire.now_ns
    wire.client.write(start, bytes(8 * MSS))
    frames(wire, lambda number: True)
    wire.run(start + LINUX.min_rto_ns // 2)
    assert len(wire.got[wire.server]) == 8 * MSS


def test_a_single_segment_is_not_probed_for() -> None:
    wire = warm(LINUX)
    start = wire.now_ns
    wire.client.write(start, bytes(100))
    frames(wire, lambda number: True)
    wire.run(start + s(1))
    [again_ns] = [at_ns for at_ns, each in wire.log if each.resent]
    assert again_ns - start == LINUX.min_rto_ns


def test_a_probe_goes_once_and_then_the_timer_counts() -> None:
    wire = warm(LINUX)
    start, probe_ns, time_out_ns = wire.now_ns, wire.client._rto.alarm_ns, LINUX.min_rto_ns
    assert ms(2) < probe_ns < ms(20)
    wire.lose = lambda segment: True
    wire.client.write(start, bytes(8 * MSS))
    wire.run(start + s(1))
    times_ns = [at_ns - start for at_ns, each in wire.log if each.resent]
    assert times_ns == [probe_ns, probe_ns + time_out_ns, probe_ns + 3 * time_out_ns]


def test_a_pause_shrinks_the_window_on_linux_only() -> None:
    for profile, shrinks in ((LINUX, True), (WINDOWS_2003, False), (WINDOWS_2012, False)):
        wire = warm(profile)
        before = wire.client.send.cwnd
        wire.run(wire.now_ns + s(30))
        wire.client.write(wire.now_ns, bytes(MSS))
        assert (wire.client.send.cwnd < before) is shrinks
        if shrinks:
            assert wire.client.send.cwnd == profile.initial_segments * 1_448
