"""The two policies, each by itself on a list of paths."""

import pytest

from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import FailBack, LoadBalancePolicy, Move, PathWish
from initiator_model.policies.fail_over_only import FailOverOnly
from initiator_model.policies.round_robin import RoundRobin

ACTIVE, STANDBY, FAILED = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY, PathState.FAILED


def make_paths(*states: PathState) -> list[Path]:
    paths = [
        Path(source=f"10.0.0.{n}:2800", portal=f"10.0.1.{n}:3260", scsi_address=ScsiAddress(1, 0, n, 0))
        for n in range(len(states))
    ]
    for path, state in zip(paths, states, strict=True):
        path.state = state
    return paths


def test_policies_carry_microsofts_numbers_and_names() -> None:
    assert [(int(p), p.display, p.short, p.option) for p in LoadBalancePolicy] == [
        (1, "Fail Over Only", "FOO", "failover-only"),
        (2, "Round Robin", "RR", "round-robin"),
    ]
    assert LoadBalancePolicy.from_option("round-robin") is LoadBalancePolicy.ROUND_ROBIN
    with pytest.raises(ValueError, match="'rr' is not one of: failover-only, round-robin"):
        LoadBalancePolicy.from_option("rr")


def used(selector: RoundRobin, paths: list[Path], requests: int) -> list[int]:
    """Indexes of the paths that the next `requests` requests take."""
    chosen = [selector.choose(paths) for _ in range(requests)]
    return [paths.index(path) for path in chosen if path is not None]


def test_round_robin_goes_round_in_list_order() -> None:
    assert used(RoundRobin(), make_paths(ACTIVE, ACTIVE, ACTIVE), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_round_robin_passes_over_paths_that_are_not_active() -> None:
    assert used(RoundRobin(), make_paths(FAILED, ACTIVE, STANDBY, ACTIVE), 4) == [1, 3, 1, 3]


def test_round_robin_with_one_path_uses_it_every_time() -> None:
    assert used(RoundRobin(), make_paths(ACTIVE), 3) == [0, 0, 0]


def test_round_robin_with_no_active_path_chooses_none() -> None:
    assert RoundRobin().choose(make_paths(FAILED, FAILED)) is None
    assert RoundRobin().choose([]) is None


def test_round_robin_moves_its_pointer_when_it_uses_a_path_not_before_the_next_use() -> None:
    selector, paths = RoundRobin(), make_paths(ACTIVE, FAILED, ACTIVE)
    assert used(selector, paths, 1) == [0]
    paths[1].state = ACTIVE  # the pointer is at path 2 already
    assert used(selector, paths, 3) == [2, 0, 1]


def test_round_robin_uses_the_first_active_path_at_or_after_the_pointer() -> None:
    selector, paths = RoundRobin(), make_paths(ACTIVE, ACTIVE, ACTIVE)
    assert used(selector, paths, 1) == [0]
    paths[1].state = FAILED  # the pointer is there
    assert used(selector, paths, 2) == [2, 0]


@pytest.mark.parametrize(("leaves", "then"), [(0, "12"), (1, "20"), (2, "10")])
def test_round_robin_keeps_its_place_when_a_path_leaves_the_list(leaves: int, then: str) -> None:
    selector, paths = RoundRobin(), make_paths(ACTIVE, ACTIVE, ACTIVE)
    names = {path.label: str(index) for index, path in enumerate(paths)}
    selector.choose(paths)  # the pointer is at path 1
    selector.forget(leaves)
    del paths[leaves]
    chosen = [selector.choose(paths), selector.choose(paths)]
    assert "".join(names[path.label] for path in chosen if path is not None) == then


def test_round_robin_takes_every_newcomer_and_needs_nobody_on_loss() -> None:
    selector, paths = RoundRobin(), make_paths(ACTIVE, FAILED)
    assert selector.after_loss(paths) == []
    assert selector.after_arrival(paths, paths[1]) == [Move(paths[1], ACTIVE, "arrived: Round Robin uses every path")]


def wishes(paths: list[Path], *states: PathState) -> list[tuple[Path, PathWish]]:
    return [(path, PathWish(path.path_id, state)) for path, state in zip(paths, states, strict=True)]


def test_round_robin_refuses_a_standby_path_and_names_it() -> None:
    paths = make_paths(ACTIVE, STANDBY)
    assert RoundRobin().refuses(wishes(paths, ACTIVE, ACTIVE)) is None
    assert RoundRobin().refuses(wishes(paths, ACTIVE, STANDBY)) == (
        "path 77010001 was asked to be Standby, and Round Robin needs every path Active"
    )


def test_round_robin_refuses_a_path_that_cannot_be_active() -> None:
    paths = make_paths(ACTIVE, STANDBY)
    paths[1].can_be_active = False
    reason = RoundRobin().refuses(wishes(paths, ACTIVE, ACTIVE))
    assert reason is not None
    assert reason.startswith("path 77010001 cannot be active beside another path (the array is active/passive)")


def test_fail_over_only_stays_on_the_active_path() -> None:
    selector, paths = FailOverOnly(), make_paths(STANDBY, ACTIVE, STANDBY)
    assert [selector.choose(paths) for _ in range(3)] == [paths[1]] * 3
    assert selector.choose(make_paths(FAILED, STANDBY)) is None


def test_fail_over_only_promotes_the_first_usable_path_in_the_list() -> None:
    selector, paths = FailOverOnly(), make_paths(FAILED, FAILED, STANDBY, STANDBY)
    assert selector.after_loss(paths) == [Move(paths[2], ACTIVE, "took over: first usable path in the list")]


def test_fail_over_only_promotes_nobody_while_a_path_is_active_or_none_is_usable() -> None:
    assert FailOverOnly().after_loss(make_paths(FAILED, STANDBY, ACTIVE)) == []
    assert FailOverOnly().after_loss(make_paths(FAILED, FAILED)) == []


def test_fail_over_only_gives_the_work_to_a_newcomer_when_nobody_has_it() -> None:
    paths = make_paths(FAILED, FAILED)
    assert FailOverOnly().after_arrival(paths, paths[1]) == [Move(paths[1], ACTIVE, "arrived: no other path is active")]


def test_fail_over_only_does_not_fail_back_unasked() -> None:
    paths = make_paths(FAILED, ACTIVE)
    assert FailOverOnly().after_arrival(paths, paths[0]) == [Move(paths[0], STANDBY, "arrived: 77010001 is active")]


@pytest.mark.parametrize(
    ("fail_back", "preferred", "desired", "expected"),
    [
        (FailBack.NONE, True, True, False),
        (FailBack.PREFERRED, True, False, True),
        (FailBack.PREFERRED, False, True, False),
        (FailBack.DESIRED, True, False, True),
        (FailBack.DESIRED, False, True, True),
        (FailBack.DESIRED, False, False, False),
    ],
)
def test_fail_back_rules(fail_back: FailBack, preferred: bool, desired: bool, expected: bool) -> None:
    paths = make_paths(FAILED, ACTIVE)
    paths[0].preferred = preferred
    paths[0].desired_state = ACTIVE if desired else STANDBY
    moves = [(paths.index(move.path), move.state) for move in FailOverOnly(fail_back).after_arrival(paths, paths[0])]
    assert moves == ([(1, STANDBY), (0, ACTIVE)] if expected else [(0, STANDBY)])


def test_a_desired_path_does_not_push_the_preferred_one_aside() -> None:
    paths = make_paths(FAILED, ACTIVE)
    paths[0].desired_state = ACTIVE
    paths[1].preferred = True
    assert FailOverOnly(FailBack.DESIRED).after_arrival(paths, paths[0]) == [
        Move(paths[0], STANDBY, "arrived: 77010001 is active")
    ]


def test_fail_over_only_accepts_at_most_one_active_and_one_preferred_path() -> None:
    paths = make_paths(ACTIVE, STANDBY)
    assert FailOverOnly().refuses(wishes(paths, STANDBY, STANDBY)) is None
    assert FailOverOnly().refuses(wishes(paths, ACTIVE, ACTIVE)) == (
        "Fail Over Only has one active path, and 2 were asked for: 77010000, 77010001"
    )
    both = [(path, PathWish(path.path_id, STANDBY, preferred=True)) for path in paths]
    assert FailOverOnly().refuses(both) == "only one path can be preferred, and 2 were: 77010000, 77010001"
