"""The congestion windows themselves: what an acknowledgement, a loss, a time-out and a pause do to each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.env import ms, s
from sim.net.congestion import UNKNOWN_BYTES
from sim.net.cubic import Cubic, cube_root
from sim.net.newreno import NewReno, NewRenoByAcks
from sim.net.tcp_profiles import LINUX, WINDOWS_2003, WINDOWS_2012, TcpProfile

MSS = 1_000
RTT = ms(10)


@pytest.mark.parametrize(
    ("profile", "kind", "segments"),
    [(WINDOWS_2003, NewRenoByAcks, 2), (WINDOWS_2012, NewReno, 4), (LINUX, Cubic, 10)],
    ids=lambda value: getattr(value, "name", None),
)
def test_each_profile_begins_with_its_window(profile: TcpProfile, kind: type, segments: int) -> None:
    congestion = profile.congestion(MSS, profile.initial_segments)
    assert type(congestion) is kind
    assert (congestion.window, congestion.ssthresh) == (segments * MSS, UNKNOWN_BYTES)


@pytest.mark.parametrize("kind", [NewReno, Cubic])
def test_slow_start_doubles_the_window_per_round_trip(kind) -> None:
    congestion = kind(MSS, 4)
    for expected in (8, 16, 32):
        assert congestion.acknowledged(0, congestion.window, RTT) == expected * MSS


def test_counting_acknowledgements_slow_start_grows_by_half() -> None:
    # Eight segments bring four acknowledgements, and each opens the window by one.
    congestion = NewRenoByAcks(MSS, 8)
    assert congestion.acknowledged(0, 8 * MSS, RTT) == 12 * MSS
    assert congestion.acknowledged(0, 1, RTT) == 12 * MSS + 1


@pytest.mark.parametrize(("kind", "round_trips"), [(NewReno, 1), (NewRenoByAcks, 2)])
def test_congestion_avoidance_adds_a_segment_per_round_trip_or_per_two(kind, round_trips: int) -> None:
    congestion = kind(MSS, 20)
    assert congestion.lost(0, 20 * MSS) == 10 * MSS
    for window in (10, 11, 12):
        for _ in range(round_trips):
            assert congestion.window == window * MSS
            for _ in range(window // 2):  # an acknowledgement for two segments
                congestion.acknowledged(0, 2 * MSS, RTT)
            if window % 2:
                congestion.acknowledged(0, MSS, RTT)
    assert congestion.window >= 12 * MSS


@pytest.mark.parametrize(("kind", "kept"), [(NewReno, 5), (NewRenoByAcks, 5), (Cubic, 7)])
def test_a_loss_costs_half_the_window_or_three_tenths(kind, kept: int) -> None:
    congestion = kind(MSS, 10)
    assert congestion.lost(0, 10 * MSS) == kept * MSS
    assert congestion.ssthresh == kept * MSS


@pytest.mark.parametrize("kind", [NewReno, NewRenoByAcks, Cubic])
def test_no_loss_leaves_less_than_two_segments_and_a_time_out_leaves_one(kind) -> None:
    congestion = kind(MSS, 2)
    assert congestion.lost(0, 2 * MSS) == 2 * MSS
    assert congestion.timed_out(0, 2 * MSS) == MSS
    assert congestion.ssthresh == 2 * MSS


def test_a_pause_halves_the_window_per_time_out_down_to_the_first_one() -> None:
    congestion = Cubic(MSS, 10)
    congestion.acknowledged(0, 90 * MSS, RTT)
    assert congestion.rested(ms(450), ms(200)) == 25 * MSS
    assert congestion.rested(s(3_600), ms(200)) == 10 * MSS


def test_a_small_window_is_not_opened_by_a_pause() -> None:
    congestion = Cubic(MSS, 10)
    congestion.timed_out(0, 10 * MSS)
    assert congestion.rested(s(10), ms(200)) == MSS


def test_cubic_returns_to_the_window_of_the_last_loss_after_k_seconds() -> None:
    # RFC 9438 4.2: K = cbrt((W_max - cwnd) / C); from 1000 to 700 segments with C = 0.4 that is cbrt(750) = 9.086 s.
    congestion = Cubic(MSS, 1_000)
    congestion.lost(0, 1_000 * MSS)
    at_ns = 0
    while congestion.window < 999 * MSS:
        at_ns += RTT * 10
        congestion.acknowledged(at_ns, congestion.window, RTT * 10)
        assert at_ns < s(20)
    assert at_ns / 1e9 == pytest.approx(750 ** (1 / 3), abs=1.5)  # the last segment comes late: the curve is flat there
    # And then it takes off: at 2 K it is above by as much as it was below at 0.
    congestion.acknowledged(2 * 9_086_000_000 - RTT, 10**9, RTT)
    assert congestion.window > 1_250 * MSS


def test_cubic_remembers_less_of_a_window_that_shrinks() -> None:
    # RFC 9438 4.7, fast convergence: a second loss below the first one aims at 0.85 of where it happened.
    congestion = Cubic(MSS, 100)
    congestion.lost(0, 100 * MSS)
    congestion.lost(RTT, 70 * MSS)
    at_ns = s(1)
    for _ in range(400):
        at_ns += RTT
        congestion.acknowledged(at_ns, 1, RTT)  # time passes, next to nothing is acknowledged
    assert congestion._origin == 70 * MSS * 17 // 20


def test_on_a_short_network_cubic_grows_as_newreno_with_its_own_decrease_would() -> None:
    # RFC 9438 4.3: nine seventeenths of a segment per round trip until it is where it was, then one.
    congestion = Cubic(MSS, 100)
    congestion.lost(0, 100 * MSS)
    at_ns = 0
    rounds = 0
    while congestion.window < 80 * MSS:
        at_ns += RTT // 100
        rounds += 1
        congestion.acknowledged(at_ns, congestion.window, RTT // 100)
    assert rounds == pytest.approx(10 * 17 / 9, abs=1)


@given(st.integers(0, 10**60))
def test_the_cube_root_is_exact(number: int) -> None:
    root = cube_root(number)
    assert root**3 <= number < (root + 1) ** 3


EVENT = st.tuples(st.sampled_from(["ack", "loss", "time-out", "pause"]), st.integers(1, 200_000))


@given(kind=st.sampled_from([NewReno, NewRenoByAcks, Cubic]), events=st.lists(EVENT, max_size=60))
def test_a_window_is_a_whole_number_and_never_less_than_a_segment(kind, events: list[tuple[str, int]]) -> None:
    congestion = kind(MSS, 4)
    at_ns = 0
    for event, size in events:
        at_ns += size * 1_000
        before = congestion.window
        match event:
            case "ack":
                assert congestion.acknowledged(at_ns, size, RTT) >= before
            case "loss":
                congestion.lost(at_ns, min(size, congestion.window))
            case "time-out":
                congestion.timed_out(at_ns, min(size, congestion.window))
            case "pause":
                assert congestion.rested(size * 1_000, ms(200)) <= before
        assert type(congestion.window) is int
        assert congestion.window >= MSS
        assert congestion.ssthresh >= 2 * MSS
