"""dm-multipath's path selectors and path groups, row by row (FACTS E.1, E.2)."""

import pytest

from initiator_model.dsm import Dsm, PolicyRequest
from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import PathWish
from initiator_model.policies.catalog import SelectorOptions, policy_named
from initiator_model.policies.dm_historical_service_time import DmHistoricalServiceTime, fixed_power
from initiator_model.policies.path_groups import FailBackMode, Grouping
from initiator_model.requests import Io

ACTIVE, STANDBY, FAILED = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY, PathState.FAILED
KIB = 1024


class Map:
    """A map with a clock; paths are named by their place in it."""

    def __init__(
        self, policy: str, *priorities: int, grouping: Grouping = "multibus", failback: FailBackMode = "manual"
    ) -> None:
        self.now_ns = 0
        self.dsm = Dsm(
            policy_named(policy),
            options=SelectorOptions(grouping=grouping, failback=failback),
            clock=lambda: self.now_ns,
        )
        self.paths = [
            Path(source="", portal="", scsi_address=ScsiAddress(1, 0, n, 0), priority=priority)
            for n, priority in enumerate(priorities)
        ]
        for path in self.paths:
            self.dsm.add_path(path)

    def choose(self, kib: int = 4) -> int:
        path = self.dsm.choose(Io(size_bytes=kib * KIB))
        assert path is not None
        return self.paths.index(path)

    def use(self, count: int) -> list[int]:
        return [self.choose() for _ in range(count)]

    def fail(self, index: int) -> None:
        self.dsm.path_failed(self.paths[index], "down")

    def reinstate(self, index: int) -> None:
        self.dsm.path_recovered(self.paths[index], "up")

    @property
    def states(self) -> str:
        letters = {ACTIVE: "A", STANDBY: "s", FAILED: "F"}
        return "".join(letters[path.state] for path in self.paths)


# -- round-robin -------------------------------------------------------------------------------------------------------


def test_round_robin_takes_the_head_and_puts_it_at_the_tail() -> None:
    assert Map("dm-round-robin", 1, 1, 1).use(7) == [0, 1, 2, 0, 1, 2, 0]


def test_round_robin_puts_a_path_that_returns_at_the_head() -> None:
    bench = Map("dm-round-robin", 1, 1, 1)
    assert bench.use(1) == [0]
    bench.fail(0)
    assert bench.use(3) == [1, 2, 1]
    bench.reinstate(0)
    assert bench.use(4) == [0, 2, 1, 0]  # Windows' Round Robin would have gone on with 2


# -- queue-length ------------------------------------------------------------------------------------------------------


def test_queue_length_takes_the_fewest_in_flight_and_rotates_ties() -> None:
    bench = Map("dm-queue-length", 1, 1, 1)
    assert bench.use(4) == [0, 1, 2, 0]  # nothing is ever in flight: the chosen path goes to the tail
    # the list is 1 2 0 now
    bench.paths[1].take(4 * KIB)
    assert bench.use(1) == [2]  # the first idle one ends the scan: 1 0 2
    bench.paths[2].take(4 * KIB)
    bench.paths[0].take(4 * KIB)
    bench.paths[0].take(4 * KIB)
    assert bench.use(1) == [1]  # 1 and 2 have one each, 0 has two; strictly fewer: 0 2 1
    assert bench.use(1) == [2]


def test_queue_length_puts_a_path_that_returns_at_the_tail() -> None:
    bench = Map("dm-queue-length", 1, 1, 1)
    bench.fail(0)
    bench.reinstate(0)
    assert bench.use(3) == [1, 2, 0]


# -- service-time ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("throughputs", "in_flight_kib", "incoming_kib", "chosen"),
    [
        ((1, 1), (8, 4), 4, 1),  # equal throughputs: the fewer bytes
        ((1, 1), (4, 4), 4, 0),  # a tie: the first
        ((1, 2), (4, 4), 4, 1),  # equal bytes: the higher throughput
        ((1, 4), (0, 8), 4, 1),  # 4/1 against (8+4)/4
        ((1, 4), (0, 32), 4, 0),  # 4/1 against (32+4)/4
        ((1, 2), (4, 12), 4, 1),  # (4+4)/1 = (12+4)/2: the higher throughput
        ((2, 1), (12, 4), 4, 0),
        ((0, 1), (0, 900), 4, 1),  # throughput 0: only if there is nothing else
        ((0, 0), (8, 4), 4, 1),
    ],
)
def test_service_time_compares_by_cross_multiplying(
    throughputs: tuple[int, int], in_flight_kib: tuple[int, int], incoming_kib: int, chosen: int
) -> None:
    bench = Map("dm-service-time", 1, 1)
    for path, throughput, kib in zip(bench.paths, throughputs, in_flight_kib, strict=True):
        path.throughput = throughput
        path.take(kib * KIB)
    assert bench.choose(incoming_kib) == chosen


def test_service_time_rotates_ties_and_puts_a_path_that_returns_at_the_tail() -> None:
    bench = Map("dm-service-time", 1, 1, 1)
    assert bench.use(4) == [0, 1, 2, 0]
    bench.fail(1)
    bench.reinstate(1)
    assert bench.use(3) == [2, 0, 1]


def test_service_time_takes_relative_throughputs_from_the_policy_request() -> None:
    bench = Map("dm-service-time", 1, 1)
    wishes = tuple(PathWish(path.path_id, ACTIVE, throughput=n) for n, path in enumerate(bench.paths))
    bench.dsm.set_policy(PolicyRequest(policy_named("dm-service-time"), wishes))
    assert bench.use(3) == [1, 1, 1]


# -- historical-service-time -------------------------------------------------------------------------------------------


def test_weights_are_powers_of_the_base_with_ten_binary_places() -> None:
    assert [fixed_power(972, n) for n in range(4)] == [1024, 972, 923, 876]  # 1024 * 0.95^n, rounded at each step
    assert fixed_power(972, 63) == pytest.approx(1024 * (972 / 1024) ** 63, abs=4)


class History(Map):
    def __init__(self) -> None:
        super().__init__("dm-historical-service-time", 1, 1)
        assert isinstance(self.dsm.selector, DmHistoricalServiceTime)
        self.selector = self.dsm.selector

    def serve(self, index: int, took_ns: int) -> None:
        """A request of so many nanoseconds, one at a time."""
        path, began_ns = self.paths[index], self.now_ns
        self.selector.started(path, Io())
        self.now_ns += took_ns
        self.selector.ended(path, Io(), began_ns)


def test_historical_service_time_prefers_the_path_that_was_faster() -> None:
    bench = History()
    for _ in range(200):
        bench.serve(0, 400_000)
        bench.serve(1, 100_000)
    for path in bench.paths:  # both are busy with one request
        bench.selector.started(path, Io())
    assert bench.choose() == 1  # 2 x 400 us against 2 x 100 us
    for _ in range(3):
        bench.selector.started(bench.paths[1], Io())
    assert bench.choose() == 1  # 2 x 400 against 5 x 100
    for _ in range(4):
        bench.selector.started(bench.paths[1], Io())
    assert bench.choose() == 0  # 2 x 400 against 9 x 100


def test_historical_service_time_tries_an_idle_path_whose_average_is_stale() -> None:
    bench = History()
    for _ in range(200):
        bench.serve(0, 400_000)
        bench.serve(1, 100_000)
    bench.selector.started(bench.paths[1], Io())
    assert bench.choose() == 1  # 400 us against 2 x 100 us, and path 0 was fresh a moment ago
    bench.now_ns += 2 * 400_000 + 1  # 0 has not finished anything for longer than two paths times its average
    assert bench.choose() == 0


def test_of_two_idle_paths_the_stalest_is_tried() -> None:
    bench = History()
    bench.serve(0, 100_000)
    bench.serve(1, 100_000)
    bench.now_ns += 10_000_000_000
    assert bench.choose() == 0


def test_a_stale_winner_with_requests_in_flight_gets_no_more_than_its_share() -> None:
    bench = History()
    for _ in range(200):
        bench.serve(0, 400_000)
        bench.serve(1, 100_000)
    for _ in range(2):
        bench.selector.started(bench.paths[1], Io())
    bench.selector.started(bench.paths[0], Io())
    assert bench.choose() == 1  # 2 x 400 against 3 x 100
    bench.now_ns += 10_000_000_000  # 1 has answered nothing for ten seconds: it is not fast any more
    assert bench.choose() == 0


def test_a_long_request_makes_the_past_count_less() -> None:
    """The service time counts from the end of the request before, as if the path served one at a time."""
    bench = History()
    bench.selector.started(bench.paths[0], Io())
    bench.selector.started(bench.paths[0], Io())
    bench.now_ns = 1_000_000
    bench.selector.ended(bench.paths[0], Io(), 0)
    bench.now_ns = 1_500_000
    bench.selector.ended(bench.paths[0], Io(), 0)  # 0.5 ms of its own, not 1.5
    history = bench.selector._history(bench.paths[0])
    first = (1024 * 972 + 1_000_000 * 1024 * 52 + 512) >> 10
    assert history.average == (first * 972 + 500_000 * 1024 * 52 + 512) >> 10
    bench.now_ns += 64 << 24
    bench.selector.started(bench.paths[0], Io())
    bench.selector.ended(bench.paths[0], Io(), bench.now_ns - (64 << 24))
    assert history.average == (64 << 24) << 10  # the past counts for nothing


# -- path groups -------------------------------------------------------------------------------------------------------


def test_multibus_uses_every_path() -> None:
    assert Map("dm-service-time", 1, 50, 10, grouping="multibus").states == "AAA"


def test_failover_gives_each_path_a_group_of_its_own() -> None:
    bench = Map("dm-service-time", 1, 1, 1, grouping="failover")
    assert bench.states == "Ass"
    bench.fail(0)
    assert bench.states == "FAs"
    bench.fail(1)
    assert bench.states == "FFA"
    bench.fail(2)
    assert (bench.states, bench.dsm.choose(Io())) == ("FFF", None)
    bench.reinstate(1)
    assert bench.states == "FAF"
    assert bench.choose() == 1


def test_a_group_of_equal_priority_works_as_long_as_one_of_its_paths_is_left() -> None:
    bench = Map("dm-round-robin", 10, 50, 10, 50, grouping="group_by_prio", failback="immediate")
    assert bench.states == "sAsA"
    bench.fail(1)
    assert bench.states == "sFsA"
    bench.fail(3)
    assert bench.states == "AFAF"
    assert bench.use(4) == [0, 2, 0, 2]
    bench.reinstate(3)
    assert bench.states == "sFsA"
    bench.reinstate(1)
    assert bench.states == "sAsA"


@pytest.mark.parametrize(
    ("failback", "after_the_first", "after_the_second"),
    [("manual", "AsF", "Ass"), ("immediate", "sAF", "sAA"), ("followover", "sAF", "sAA")],
)
def test_failback_modes(failback: FailBackMode, after_the_first: str, after_the_second: str) -> None:
    bench = Map("dm-service-time", 10, 50, 50, grouping="group_by_prio", failback=failback)
    bench.fail(1)
    bench.fail(2)
    assert bench.states == "AFF"
    bench.reinstate(1)
    assert bench.states == after_the_first
    bench.reinstate(2)
    assert bench.states == after_the_second


def test_followover_does_not_move_for_a_second_path_of_a_group() -> None:
    """The group lost the work while it had a path left (an administrator's switch); a mate's return changes nothing."""
    bench = Map("dm-service-time", 10, 50, grouping="group_by_prio", failback="followover")
    bench.fail(1)
    newcomer = Path(source="", portal="", scsi_address=ScsiAddress(1, 0, 9, 0), priority=10)
    bench.dsm.add_path(newcomer)
    assert newcomer.state is ACTIVE
    assert bench.states == "AF"


def test_a_deferred_failback_moves_when_its_time_has_come_and_only_then() -> None:
    bench = Map("dm-service-time", 10, 50, grouping="group_by_prio", failback=30)
    assert bench.states == "As" or bench.states == "sA"
    bench.dsm.fail_back()
    assert bench.states == "sA"
    bench.fail(1)
    bench.reinstate(1)
    assert (bench.states, bench.dsm.fail_back_s) == ("As", 30)
    bench.dsm.fail_back()
    assert bench.states == "sA"
    bench.dsm.fail_back()
    assert bench.states == "sA"


def test_the_groups_say_who_stands_by_not_the_request() -> None:
    bench = Map("dm-service-time", 1, 1)
    wishes = tuple(PathWish(path.path_id, STANDBY) for path in bench.paths)
    with pytest.raises(ValueError, match="the path groups say which paths stand by"):
        bench.dsm.set_policy(PolicyRequest(policy_named("dm-round-robin"), wishes))
