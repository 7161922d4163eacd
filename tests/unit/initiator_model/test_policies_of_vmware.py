"""VMware's path selection plug-ins, row by row (FACTS E.4)."""

import itertools

import pytest

from initiator_model.dsm import Dsm, PolicyRefused, PolicyRequest
from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import PathWish
from initiator_model.policies.catalog import SelectorOptions, policy_named
from initiator_model.policies.vmw_rr import DEFAULT_BYTES, DEFAULT_IOPS, EVALUATION_NS, SAMPLES, RoundRobinType
from initiator_model.requests import Io

ACTIVE = PathState.ACTIVE_OPTIMIZED
KIB = 1024


class Device:
    """A device with paths named by their place, and a clock."""

    def __init__(self, policy: str, count: int, **settings: object) -> None:
        self.now_ns = 0
        self.dsm = Dsm(
            policy_named(policy),
            options=SelectorOptions(**settings),  # type: ignore[arg-type]
            clock=lambda: self.now_ns,
        )
        self.paths = [Path(source="", portal="", scsi_address=ScsiAddress(1, 0, n, 0)) for n in range(count)]
        for path in self.paths:
            self.dsm.add_path(path)

    def use(self, count: int, kib: int = 4) -> list[tuple[int, int]]:
        """So many requests, as runs: (path, requests in a row)."""
        chosen = [self.dsm.choose(Io(size_bytes=kib * KIB)) for _ in range(count)]
        indexes = [self.paths.index(path) for path in chosen if path is not None]
        return [(index, len(list(run))) for index, run in itertools.groupby(indexes)]

    def prefer(self, index: int) -> None:
        wishes = tuple(PathWish(path.path_id, ACTIVE, preferred=n == index) for n, path in enumerate(self.paths))
        self.dsm.set_policy(PolicyRequest(self.dsm.policy, wishes))

    def fail(self, index: int) -> None:
        self.dsm.path_failed(self.paths[index], "dead")

    def restore(self, index: int) -> None:
        self.dsm.path_recovered(self.paths[index], "on")


def test_the_defaults_are_a_thousand_requests_and_ten_mebibytes() -> None:
    assert (DEFAULT_IOPS, DEFAULT_BYTES) == (1000, 10 << 20)
    assert Device("vmw-rr", 2).use(2500) == [(0, 1000), (1, 1000), (0, 500)]


@pytest.mark.parametrize(
    ("kind", "settings", "kib", "runs"),
    [
        ("iops", {"iops": 1}, 4, [(0, 1), (1, 1), (2, 1), (0, 1), (1, 1), (2, 1), (0, 1)]),
        ("iops", {"iops": 3}, 4, [(0, 3), (1, 3), (2, 1)]),
        ("bytes", {"size_bytes": 16 * KIB}, 4, [(0, 4), (1, 3)]),
        ("bytes", {"size_bytes": 16 * KIB}, 6, [(0, 3), (1, 3), (2, 1)]),  # the one that reaches the limit is the last
    ],
)
def test_a_turn_ends_after_so_much_work(
    kind: RoundRobinType, settings: dict[str, int], kib: int, runs: list[tuple[int, int]]
) -> None:
    assert Device("vmw-rr", 3, kind=kind, **settings).use(7, kib) == runs


def test_a_path_that_dies_ends_its_turn_and_one_that_returns_waits_for_its_own() -> None:
    device = Device("vmw-rr", 3, iops=4)
    assert device.use(2) == [(0, 2)]
    device.fail(0)
    assert device.use(5) == [(1, 4), (2, 1)]
    device.restore(0)
    assert device.use(7) == [(2, 3), (0, 4)]


def test_with_type_latency_the_sampled_path_with_the_lowest_mean_is_used_until_the_next_evaluation() -> None:
    device = Device("vmw-rr", 2, kind="latency")
    latency_ns = [400_000, 100_000]
    for number in range(2 * SAMPLES):
        path = device.dsm.choose(Io())
        assert path is device.paths[number % 2]
        device.now_ns += 1000
        device.dsm.selector.ended(path, Io(), device.now_ns - latency_ns[number % 2])
    assert device.use(500) == [(1, 500)]
    device.now_ns += EVALUATION_NS
    assert device.use(2 * SAMPLES) == [(n % 2, 1) for n in range(2 * SAMPLES)]


def test_mru_stays_where_it_is_and_does_not_fail_back() -> None:
    device = Device("vmw-mru", 3)
    assert device.use(5) == [(0, 5)]
    device.fail(0)
    assert device.use(3) == [(1, 3)]
    device.restore(0)
    assert device.use(3) == [(1, 3)]
    device.fail(1)
    assert device.use(1) == [(0, 1)]


def test_fixed_uses_the_first_path_found_until_one_is_preferred() -> None:
    device = Device("vmw-fixed", 3)
    assert device.use(3) == [(0, 3)]
    device.prefer(2)
    assert device.use(3) == [(2, 3)]
    device.fail(2)
    assert device.use(3) == [(0, 3)]
    device.restore(2)
    assert device.use(3) == [(2, 3)]


def test_fixed_has_one_preferred_path() -> None:
    device = Device("vmw-fixed", 2)
    wishes = tuple(PathWish(path.path_id, ACTIVE, preferred=True) for path in device.paths)
    with pytest.raises(PolicyRefused, match="only one path can be preferred, and 2 were"):
        device.dsm.set_policy(PolicyRequest(device.dsm.policy, wishes))


@pytest.mark.parametrize("policy", ["vmw-rr", "vmw-mru", "vmw-fixed"])
def test_a_path_that_was_removed_is_not_used_again(policy: str) -> None:
    device = Device(policy, 2)
    assert device.use(1) == [(0, 1)]
    device.dsm.remove_path(device.paths[0], "removed")
    assert device.use(2) == [(1, 2)]


@pytest.mark.parametrize("policy", ["vmw-rr", "vmw-mru", "vmw-fixed"])
def test_on_an_active_passive_array_the_paths_to_the_other_controller_stand_by(policy: str) -> None:
    device = Device(policy, 0, iops=1)
    device.paths = [
        Path(source="", portal="", scsi_address=ScsiAddress(1, 0, n, 0), can_be_active=n < 2) for n in range(4)
    ]
    for path in device.paths:
        device.dsm.add_path(path)
    assert device.dsm.policy.option == policy
    assert {path for path, _ in device.use(8)} == ({0, 1} if policy == "vmw-rr" else {0})
    device.fail(0)
    device.fail(1)
    assert device.use(4) == [(2, 4)]
    device.restore(1)
    assert device.paths[3].state is PathState.STANDBY


def test_the_winner_by_latency_keeps_the_work_until_the_next_evaluation() -> None:
    device = Device("vmw-rr", 2, kind="latency")
    for number in range(2 * SAMPLES):
        path = device.dsm.choose(Io())
        assert path is not None
        device.dsm.selector.ended(path, Io(), device.now_ns - (100_000 if number % 2 else 200_000))
    assert device.use(1) == [(1, 1)]
    for _ in range(100):
        device.dsm.selector.ended(device.paths[1], Io(), device.now_ns - 10_000_000)  # it has become slow
    assert device.use(5) == [(1, 5)]
