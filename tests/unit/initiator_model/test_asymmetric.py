"""A disk whose paths the array tells apart: what the DSM of Windows and ESXi, and what dm-multipath make of it."""

from __future__ import annotations

import pytest

from initiator_model.dsm import Dsm, PolicyRequest, access_priority
from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import LoadBalancePolicy
from initiator_model.policies.catalog import SelectorOptions, policy_named
from initiator_model.requests import Io
from iscsi.port_groups import AccessState

AO, AN = AccessState.ACTIVE_OPTIMIZED, AccessState.ACTIVE_NON_OPTIMIZED
SB, UN, TR = AccessState.STANDBY, AccessState.UNAVAILABLE, AccessState.TRANSITIONING
LETTERS = {"A": AO, "N": AN, "S": SB, "U": UN, "T": TR}


class Asymmetric:
    """Paths named by their place; ``access`` has a letter for each."""

    def __init__(self, access: str, policy: str = "round-robin", *, follows: bool = True, **options: str) -> None:
        self.dsm = Dsm(
            policy_named(policy),
            options=SelectorOptions(**options),  # type: ignore[arg-type]
            follows_access=follows,
        )
        self.paths = [
            Path(source="", portal="", scsi_address=ScsiAddress(1, 0, n, 0), port_group=n) for n in range(len(access))
        ]
        for path in self.paths:
            self.dsm.add_path(path)
        self.report(access)

    def report(self, access: str) -> None:
        self.dsm.set_access({p.path_id: (LETTERS[letter], False) for p, letter in zip(self.paths, access, strict=True)})

    @property
    def used(self) -> str:
        """The paths that the next requests take, in the order of their places."""
        chosen = [self.dsm.choose(Io()) for _ in range(8)]
        return "".join(str(n) for n, path in enumerate(self.paths) if path in chosen)

    @property
    def shown(self) -> str:
        return " ".join(path.shown.display for path in self.paths)


@pytest.mark.parametrize(
    ("access", "used", "shown"),
    [
        ("AANN", "01", "Active Active Active/Unoptimized Active/Unoptimized"),
        ("NNNN", "0123", "Active/Unoptimized Active/Unoptimized Active/Unoptimized Active/Unoptimized"),
        ("NASU", "1", "Active/Unoptimized Active Standby Unavailable"),
        ("NNSU", "01", "Active/Unoptimized Active/Unoptimized Standby Unavailable"),
        ("SSUT", "", "Standby Standby Unavailable Transitioning"),
    ],
)
def test_the_optimized_paths_are_used_or_else_the_others_that_serve(access: str, used: str, shown: str) -> None:
    disk = Asymmetric(access)
    assert (disk.used, disk.shown) == (used, shown)


def test_round_robin_becomes_round_robin_with_subset() -> None:
    disk = Asymmetric("AN")
    assert disk.dsm.policy is LoadBalancePolicy.ROUND_ROBIN_SUBSET
    disk.dsm.set_policy(PolicyRequest.all_active(LoadBalancePolicy.ROUND_ROBIN, disk.paths))
    assert disk.dsm.policy is LoadBalancePolicy.ROUND_ROBIN_SUBSET
    assert disk.used == "0"


@pytest.mark.parametrize("policy", ["failover-only", "round-robin", "least-queue-depth", "weighted-paths", "vmw-mru"])
def test_paths_follow_the_array_when_the_groups_change_places(policy: str) -> None:
    disk = Asymmetric("AN", policy)
    assert disk.used == "0"
    disk.report("NA")
    assert disk.used == "1"
    disk.report("AN")
    assert disk.used == "0"


@pytest.mark.parametrize("policy", ["failover-only", "round-robin", "least-queue-depth", "vmw-mru"])
def test_the_slower_paths_take_over_when_the_last_optimized_one_fails_and_give_back(policy: str) -> None:
    disk = Asymmetric("AANN", policy)
    disk.dsm.path_failed(disk.paths[0], "down")
    assert set(disk.used) <= {"1"}
    disk.dsm.path_failed(disk.paths[1], "down")
    assert disk.used
    assert set(disk.used) <= {"2", "3"}
    disk.dsm.path_recovered(disk.paths[1], "up")
    assert disk.used == "1"


@pytest.mark.parametrize(
    ("reports", "used"),
    [
        (("AANN", "NNAA"), "23"),
        (("AN", "AA"), "01"),
        (("AANN", "TTTT", "AANN"), "01"),
        (("AANN", "NNAA", "AANN"), "01"),
        (("AANN", "SSNN", "AANN"), "01"),
    ],
)
def test_every_path_that_serves_best_is_used_though_nobody_set_a_policy(reports: tuple[str, ...], used: str) -> None:
    disk = Asymmetric(reports[0])
    for report in reports[1:]:
        disk.report(report)
    assert disk.used == used


def test_fail_over_only_does_not_fail_back_unasked_on_an_asymmetric_disk_either() -> None:
    disk = Asymmetric("AA", "failover-only")
    disk.dsm.path_failed(disk.paths[0], "down")
    disk.dsm.path_recovered(disk.paths[0], "up")
    assert disk.used == "1"
    disk.dsm.path_failed(disk.paths[0], "down")
    disk.dsm.path_recovered(disk.paths[0], "up")
    assert disk.used == "1"


def test_a_path_that_comes_back_on_a_port_in_standby_is_not_used() -> None:
    disk = Asymmetric("AS")
    disk.dsm.path_failed(disk.paths[1], "down")
    disk.dsm.path_recovered(disk.paths[1], "up")
    assert (disk.used, disk.paths[1].shown) == ("0", PathState.STANDBY)
    disk.dsm.path_failed(disk.paths[0], "down")
    assert disk.used == ""
    disk.report("UA")
    assert disk.used == "1"


def test_of_the_paths_that_could_take_over_one_of_a_preferred_group_wins() -> None:
    disk = Asymmetric("AAA", "failover-only")
    disk.dsm.set_access({path.path_id: (AO, number == 2) for number, path in enumerate(disk.paths)})
    disk.dsm.path_failed(disk.paths[0], "down")
    assert disk.used == "2"


def test_the_alua_prioritizer() -> None:
    assert [access_priority(access, False) for access in (AO, AN, SB, UN)] == [50, 10, 1, 0]
    assert [access_priority(access, True) for access in (AO, AN)] == [50, 90]


def test_dm_multipath_makes_groups_of_it_and_switches_them() -> None:
    disk = Asymmetric("AANN", "dm-service-time", follows=False, grouping="group_by_prio", failback="immediate")
    assert disk.used == "01"
    disk.report("NNAA")
    assert disk.used == "23"
    disk.dsm.path_failed(disk.paths[2], "down")
    assert disk.used == "3"
    disk.dsm.path_failed(disk.paths[3], "down")
    assert disk.used == "01"
    disk.dsm.path_recovered(disk.paths[3], "up")
    assert disk.used == "3"


@pytest.mark.parametrize("failback", ["manual", "followover"])
def test_another_report_is_no_failback(failback: str) -> None:
    disk = Asymmetric("AN", "dm-round-robin", follows=False, grouping="group_by_prio", failback=failback)
    disk.dsm.fail_back()
    assert disk.used == "0"
    disk.report("NA")
    assert disk.used == "0"
    disk.report("NA")
    assert disk.used == "0"


def test_the_same_report_again_leaves_the_order_of_the_list_alone() -> None:
    disk = Asymmetric("AA", "dm-round-robin", follows=False, grouping="multibus")
    chosen = []
    for _ in range(4):
        disk.report("AA")
        path = disk.dsm.choose(Io())
        assert path is not None
        chosen.append(disk.paths.index(path))
    assert chosen == [0, 1, 0, 1]


def test_multibus_mixes_them() -> None:
    assert Asymmetric("AN", "dm-service-time", follows=False, grouping="multibus").used == "01"
