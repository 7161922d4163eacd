"""The DSM: what happens to states, and who is told."""

import pytest

from initiator_model.dsm import MAX_PATHS, STATUS_INVALID_PARAMETER, Dsm, PolicyRefused, PolicyRequest
from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import FailBack, LoadBalancePolicy, PathWish
from initiator_model.policies.catalog import SelectorOptions
from initiator_model.requests import Io

FOO, RR = LoadBalancePolicy.FAIL_OVER_ONLY, LoadBalancePolicy.ROUND_ROBIN
ACTIVE, STANDBY = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY


def new_path(target: int, *, can_be_active: bool = True, preferred: bool = False) -> Path:
    return Path(
        source=f"10.0.0.{target}:2800",
        portal=f"10.0.1.{target}:3260",
        scsi_address=ScsiAddress(1, 0, target, 0),
        can_be_active=can_be_active,
        preferred=preferred,
    )


def make_dsm(
    count: int, policy: LoadBalancePolicy = FOO, *, fail_back: FailBack = FailBack.DESIRED
) -> tuple[Dsm, list[Path]]:
    dsm = Dsm(policy, options=SelectorOptions(fail_back=fail_back))
    paths = [new_path(target) for target in range(count)]
    for path in paths:
        dsm.add_path(path)
    return dsm, paths


def shown(dsm: Dsm) -> list[str]:
    return [path.state.display for path in dsm.paths]


def test_fail_over_only_starts_with_the_first_path() -> None:
    dsm, paths = make_dsm(3)
    assert shown(dsm) == ["Active", "Standby", "Standby"]
    assert dsm.choose(Io()) is paths[0]


def test_round_robin_turns_all_paths_active_at_once() -> None:
    dsm, paths = make_dsm(2)
    told = []
    dsm.on_change = lambda path, old, new, why: told.append((path.label, old.display, new.display, why))
    dsm.set_policy(PolicyRequest.all_active(RR, dsm.paths))
    assert dsm.policy is RR
    assert shown(dsm) == ["Active", "Active"]
    assert told == [("77010001", "Standby", "Active", "policy set to Round Robin")]
    assert [dsm.choose(Io()) for _ in range(4)] == [paths[0], paths[1], paths[0], paths[1]]


def test_round_robin_with_a_standby_path_is_refused_and_nothing_changes() -> None:
    dsm, paths = make_dsm(3)
    told: list[object] = []
    dsm.on_change = lambda *change: told.append(change)
    request = PolicyRequest(
        RR,
        (
            PathWish(paths[0].path_id, STANDBY, weight=9),
            PathWish(paths[1].path_id, ACTIVE, weight=9),
            PathWish(paths[2].path_id, ACTIVE, weight=9),
        ),
    )
    with pytest.raises(PolicyRefused, match="path 77010000 was asked to be Standby") as refusal:
        dsm.set_policy(request)
    assert refusal.value.status == STATUS_INVALID_PARAMETER
    assert dsm.policy is FOO
    assert shown(dsm) == ["Active", "Standby", "Standby"]
    assert [path.weight for path in paths] == [0, 0, 0]
    assert [path.desired_state for path in paths] == [None, None, None]
    assert told == []


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ([(0x77010000, ACTIVE)], "path 77010001 has no wanted state"),
        ([(0x77010000, ACTIVE), (0x77010001, ACTIVE), (0x77010009, ACTIVE)], "this disk has no path 77010009"),
        ([(0x77010000, ACTIVE), (0x77010000, ACTIVE)], "path 77010000 is named twice"),
        ([(0x77010000, ACTIVE), (0x77010001, PathState.UNAVAILABLE)], "77010001: a path can be asked to be Active or"),
    ],
)
def test_a_request_names_every_path_once_and_asks_for_states_there_are(
    wishes: list[tuple[int, PathState]], reason: str
) -> None:
    dsm, _ = make_dsm(2)
    with pytest.raises(PolicyRefused, match=reason):
        dsm.set_policy(PolicyRequest(RR, tuple(PathWish(*wish) for wish in wishes)))
    assert dsm.policy is FOO


def test_an_active_passive_array_refuses_round_robin_but_fails_over() -> None:
    dsm = Dsm(FOO)
    first, second = new_path(0), new_path(1, can_be_active=False)
    dsm.add_path(first)
    dsm.add_path(second)
    with pytest.raises(PolicyRefused, match="path 77010001 cannot be active beside another path"):
        dsm.set_policy(PolicyRequest.all_active(RR, dsm.paths))
    assert shown(dsm) == ["Active", "Standby"]
    dsm.path_failed(first, "cable pulled")
    assert shown(dsm) == ["Failed", "Active"]


def test_round_robin_as_a_default_gives_way_on_an_active_passive_array() -> None:
    dsm, _ = make_dsm(2, RR)
    assert shown(dsm) == ["Active", "Active"]
    dsm.add_path(new_path(2, can_be_active=False))
    assert dsm.policy is FOO
    assert shown(dsm) == ["Active", "Standby", "Standby"]


def test_failing_over_tells_the_loss_first_and_then_the_heir() -> None:
    dsm, paths = make_dsm(2)
    told = []
    dsm.on_change = lambda path, old, new, why: told.append((path.label, old.display, new.display, why))
    assert dsm.path_failed(paths[0], "STATUS_DEVICE_NOT_CONNECTED")
    assert told == [
        ("77010000", "Active", "Failed", "STATUS_DEVICE_NOT_CONNECTED"),
        ("77010001", "Standby", "Active", "took over: first usable path in the list"),
    ]
    assert dsm.choose(Io()) is paths[1]


def test_two_failures_of_one_path_are_one_fail_over() -> None:
    dsm, paths = make_dsm(3)
    assert dsm.path_failed(paths[0], "first request")
    assert not dsm.path_failed(paths[0], "second request")
    assert shown(dsm) == ["Failed", "Active", "Standby"]


def test_losing_a_standby_path_changes_nothing_else() -> None:
    dsm, paths = make_dsm(2)
    dsm.path_failed(paths[1], "cable pulled")
    assert shown(dsm) == ["Active", "Failed"]


def test_no_path_is_chosen_when_all_have_failed_and_the_first_to_return_works() -> None:
    dsm, paths = make_dsm(2)
    for path in paths:
        dsm.path_failed(path, "switch died")
    assert dsm.choose(Io()) is None
    assert not dsm.has_active
    dsm.path_recovered(paths[1], "switch back")
    assert shown(dsm) == ["Failed", "Active"]


def test_fail_over_only_does_not_fail_back_unless_asked() -> None:
    dsm, paths = make_dsm(2)
    dsm.path_failed(paths[0], "cable pulled")
    dsm.path_recovered(paths[0], "cable back")
    assert shown(dsm) == ["Standby", "Active"]


def test_fail_back_to_the_path_the_administrator_made_active() -> None:
    dsm, paths = make_dsm(2)
    dsm.set_policy(PolicyRequest.one_active(paths, paths[0]))
    dsm.path_failed(paths[0], "cable pulled")
    told = []
    dsm.on_change = lambda path, old, new, why: told.append((path.label, new.display, why))
    dsm.path_recovered(paths[0], "cable back")
    assert shown(dsm) == ["Active", "Standby"]
    assert told == [
        ("77010001", "Standby", "gave way to 77010000"),
        ("77010000", "Active", "cable back; failed back: asked to be Active"),
    ]


def test_fail_back_can_be_limited_to_the_preferred_path() -> None:
    dsm, paths = make_dsm(2, fail_back=FailBack.PREFERRED)
    dsm.set_policy(PolicyRequest.one_active(paths, paths[0]))
    dsm.path_failed(paths[0], "cable pulled")
    dsm.path_recovered(paths[0], "cable back")
    assert shown(dsm) == ["Standby", "Active"]
    dsm.set_policy(PolicyRequest.one_active(paths, paths[0], preferred=True))
    dsm.path_failed(paths[0], "cable pulled")
    dsm.path_recovered(paths[0], "cable back")
    assert shown(dsm) == ["Active", "Standby"]


def test_a_preferred_newcomer_takes_the_work() -> None:
    dsm, _ = make_dsm(1)
    dsm.add_path(new_path(1, preferred=True))
    assert shown(dsm) == ["Standby", "Active"]


def test_moving_the_work_retires_the_old_path_before_the_new_one_starts() -> None:
    dsm, paths = make_dsm(2)
    dsm.set_policy(PolicyRequest.one_active(paths, paths[1]))
    told = []
    dsm.on_change = lambda path, old, new, why: told.append((path.label, new.display))
    dsm.set_policy(PolicyRequest.one_active(paths, paths[0]))
    assert told == [("77010001", "Standby"), ("77010000", "Active")]


def test_a_failed_path_keeps_its_state_and_remembers_what_was_asked() -> None:
    dsm, paths = make_dsm(2)
    dsm.path_failed(paths[1], "cable pulled")
    dsm.set_policy(PolicyRequest.all_active(RR, paths))
    assert shown(dsm) == ["Active", "Failed"]
    dsm.path_recovered(paths[1], "cable back")
    assert shown(dsm) == ["Active", "Active"]


def test_asking_a_failed_path_to_be_the_active_one_leaves_another_working() -> None:
    dsm, paths = make_dsm(2, RR)
    dsm.path_failed(paths[1], "cable pulled")
    dsm.set_policy(PolicyRequest.one_active(paths, paths[1]))
    assert shown(dsm) == ["Active", "Failed"]
    dsm.path_recovered(paths[1], "cable back")
    assert shown(dsm) == ["Standby", "Active"]


def test_removing_the_active_path_hands_over() -> None:
    dsm, paths = make_dsm(2)
    dsm.remove_path(paths[0], "logged out")
    assert paths[0].state is PathState.REMOVED
    assert dsm.paths == (paths[1],)
    assert shown(dsm) == ["Active"]


def test_recovery_of_a_path_that_has_not_failed_is_nothing() -> None:
    dsm, paths = make_dsm(2)
    assert not dsm.path_recovered(paths[1], "again")
    assert paths[1].generation == 0


def test_a_path_is_added_once_and_a_disk_has_a_limit() -> None:
    dsm, _ = make_dsm(MAX_PATHS)
    with pytest.raises(ValueError, match="at most 32 paths"):
        dsm.add_path(new_path(MAX_PATHS))
    with pytest.raises(ValueError, match="there is a path 77010003 already"):
        dsm.add_path(new_path(3))
    with pytest.raises(ValueError, match="only a new path can be added"):
        dsm.add_path(dsm.paths[0])


def test_an_unknown_path_id_lists_the_known_ones() -> None:
    dsm, paths = make_dsm(2)
    assert dsm.path(0x77010001) is paths[1]
    with pytest.raises(KeyError, match="no path 77010009 here; there are: 77010000, 77010001"):
        dsm.path(0x77010009)
