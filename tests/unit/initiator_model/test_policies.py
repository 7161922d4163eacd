"""The policies, each by itself on a list of paths."""

from collections.abc import Sequence

import pytest

from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import FailBack, LoadBalancePolicy, Move, PathWish, Selector
from initiator_model.policies.catalog import BUILT_IN, MICROSOFT, PolicyError, make_selector, policy_named
from initiator_model.policies.fail_over_only import FailOverOnly
from initiator_model.policies.guard import Guarded
from initiator_model.policies.round_robin import RoundRobin
from initiator_model.policies.round_robin_subset import RoundRobinSubset
from initiator_model.policies.weighted_paths import WeightedPaths
from initiator_model.requests import Io, IoRequest

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
    assert [(p.number, p.display, p.short, p.option) for p in MICROSOFT] == [
        (1, "Fail Over Only", "FOO", "failover-only"),
        (2, "Round Robin", "RR", "round-robin"),
        (3, "Round Robin With Subset", "RRWS", "round-robin-subset"),
        (4, "Least Queue Depth", "LQD", "least-queue-depth"),
        (5, "Weighted Paths", "WP", "weighted-paths"),
        (6, "Least Blocks", "LB", "least-blocks"),
    ]
    assert policy_named("round-robin") is LoadBalancePolicy.ROUND_ROBIN


def test_the_catalog_has_the_policies_of_three_stacks() -> None:
    assert [policy.option for policy in BUILT_IN if policy not in MICROSOFT] == [
        "dm-round-robin",
        "dm-queue-length",
        "dm-service-time",
        "dm-historical-service-time",
        "vmw-rr",
        "vmw-mru",
        "vmw-fixed",
    ]
    assert {policy.number for policy in BUILT_IN if policy not in MICROSOFT} == {7}  # vendor specific, to Windows


class OnlyTheFirst(Selector):
    """A policy of one's own."""

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        return next((path for path in paths if path.state is ACTIVE), None)


class NeedsAnArgument(OnlyTheFirst):
    def __init__(self, depth: int) -> None:
        self.depth = depth


def test_a_policy_of_ones_own_is_named_by_its_class() -> None:
    name = f"{__name__}:OnlyTheFirst"
    selector = make_selector(name)
    assert isinstance(selector, Guarded)
    assert isinstance(selector.inner, OnlyTheFirst)
    assert selector.policy == policy_named(name)
    assert policy_named(name) == LoadBalancePolicy(name, "OnlyTheFirst", "VS", 7)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("rr", r"'rr' is not one of: failover-only, .*, vmw-fixed; nor is it module:Class"),
        ("no_such_module:Mine", r"No module named 'no_such_module'"),
        ("json:Mine", r"json has no class Mine"),
        ("json:JSONDecoder", r"the class has no policy, .*; derive it from initiator_model.policies.Selector"),
    ],
)
def test_a_policy_that_is_none_is_refused_and_the_reason_is_named(name: str, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        policy_named(name)


def test_a_policy_that_wants_arguments_cannot_be_made() -> None:
    with pytest.raises(PolicyError, match="cannot be made without arguments"):
        make_selector(f"{__name__}:NeedsAnArgument")


def used(selector: RoundRobin, paths: list[Path], requests: int) -> list[int]:
    """Indexes of the paths that the next `requests` requests take."""
    chosen = [selector.choose(paths, Io()) for _ in range(requests)]
    return [paths.index(path) for path in chosen if path is not None]


def test_round_robin_goes_round_in_list_order() -> None:
    assert used(RoundRobin(), make_paths(ACTIVE, ACTIVE, ACTIVE), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_round_robin_passes_over_paths_that_are_not_active() -> None:
    assert used(RoundRobin(), make_paths(FAILED, ACTIVE, STANDBY, ACTIVE), 4) == [1, 3, 1, 3]


def test_round_robin_with_one_path_uses_it_every_time() -> None:
    assert used(RoundRobin(), make_paths(ACTIVE), 3) == [0, 0, 0]


def test_round_robin_with_no_active_path_chooses_none() -> None:
    assert RoundRobin().choose(make_paths(FAILED, FAILED), Io()) is None
    assert RoundRobin().choose([], Io()) is None


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
    selector.choose(paths, Io())  # the pointer is at path 1
    selector.forget(leaves)
    del paths[leaves]
    chosen = [selector.choose(paths, Io()), selector.choose(paths, Io())]
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
    assert [selector.choose(paths, Io()) for _ in range(3)] == [paths[1]] * 3
    assert selector.choose(make_paths(FAILED, STANDBY), Io()) is None


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


# -- Round Robin with Subset (FACTS D.2) -------------------------------------------------------------------------------


def test_a_subset_takes_turns_and_the_others_stand_by() -> None:
    assert used(RoundRobinSubset(), make_paths(ACTIVE, STANDBY, ACTIVE, STANDBY), 5) == [0, 2, 0, 2, 0]


@pytest.mark.parametrize(
    ("states", "heir"),
    [
        ((FAILED, ACTIVE, STANDBY), None),  # one of the subset is left: nobody is called
        ((FAILED, FAILED, STANDBY, STANDBY), 2),  # the last is gone: one stands in, the first in the list
        ((FAILED, FAILED), None),
    ],
)
def test_a_subset_calls_one_stand_in_when_its_last_path_is_lost(
    states: tuple[PathState, ...], heir: int | None
) -> None:
    paths = make_paths(*states)
    moves = RoundRobinSubset().after_loss(paths)
    assert [(paths.index(move.path), move.state) for move in moves] == ([] if heir is None else [(heir, ACTIVE)])


@pytest.mark.parametrize(
    ("states", "desired", "arrives", "moves"),
    [
        # One of the subset is back: it works again, and its stand-in stands by.
        ((FAILED, FAILED, ACTIVE), (ACTIVE, ACTIVE, STANDBY), 0, [(2, STANDBY), (0, ACTIVE)]),
        # So does the second: nobody stands in any more.
        ((ACTIVE, FAILED, STANDBY), (ACTIVE, ACTIVE, STANDBY), 1, [(1, ACTIVE)]),
        # A path outside the subset is back, or a new one comes: it stands by.
        ((ACTIVE, ACTIVE, FAILED), (ACTIVE, ACTIVE, STANDBY), 2, [(2, STANDBY)]),
        ((ACTIVE, ACTIVE, FAILED), (ACTIVE, ACTIVE, None), 2, [(2, STANDBY)]),
        # Unless nobody works: then whoever comes does.
        ((FAILED, FAILED, FAILED), (ACTIVE, ACTIVE, STANDBY), 2, [(2, ACTIVE)]),
    ],
)
def test_a_subset_is_what_is_returned_to(
    states: tuple[PathState, ...],
    desired: tuple[PathState | None, ...],
    arrives: int,
    moves: list[tuple[int, PathState]],
) -> None:
    paths = make_paths(*states)
    for path, wished in zip(paths, desired, strict=True):
        path.desired_state = wished
    found = RoundRobinSubset().after_arrival(paths, paths[arrives])
    assert [(paths.index(move.path), move.state) for move in found] == moves


def test_a_subset_may_be_any_mix_but_for_a_path_that_works_only_alone() -> None:
    paths = make_paths(ACTIVE, STANDBY, STANDBY)
    paths[2].can_be_active = False

    def asked(*states: PathState) -> str | None:
        return RoundRobinSubset().refuses(
            [(path, PathWish(path.path_id, state)) for path, state in zip(paths, states, strict=True)]
        )

    assert asked(ACTIVE, ACTIVE, STANDBY) is None
    assert asked(STANDBY, STANDBY, ACTIVE) is None
    refused = asked(ACTIVE, STANDBY, ACTIVE)
    assert refused is not None
    assert "cannot be active beside another path" in refused


# -- Weighted Paths (FACTS D.2) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "weights", "chosen"),
    [
        ((ACTIVE, ACTIVE, ACTIVE), (3, 1, 2), 1),
        ((ACTIVE, FAILED, ACTIVE), (3, 1, 2), 2),  # the lightest is gone
        ((ACTIVE, ACTIVE, ACTIVE), (5, 5, 5), 0),  # of equal ones the first in the list
        ((FAILED, FAILED), (0, 0), None),
    ],
)
def test_the_lightest_active_path_does_all_the_work(
    states: tuple[PathState, ...], weights: tuple[int, ...], chosen: int | None
) -> None:
    paths = make_paths(*states)
    for path, weight in zip(paths, weights, strict=True):
        path.weight = weight
    selector = WeightedPaths()
    for _ in range(3):
        found = selector.choose(paths, Io())
        assert (None if found is None else paths.index(found)) == chosen


def test_weights_are_looked_at_when_states_change_and_a_lighter_path_takes_its_work_back() -> None:
    selector, paths = WeightedPaths(), make_paths(ACTIVE, ACTIVE)
    paths[0].weight, paths[1].weight = 1, 2
    assert selector.choose(paths, Io()) is paths[0]
    paths[0].state = FAILED
    assert selector.after_loss(paths) == []
    assert selector.choose(paths, Io()) is paths[1]
    (move,) = selector.after_arrival(paths, paths[0])
    assert move[:2] == (paths[0], ACTIVE)
    paths[0].state = ACTIVE
    assert selector.choose(paths, Io()) is paths[0]


def test_weighted_paths_wants_every_path_active_and_no_weight_below_zero() -> None:
    one, other = make_paths(ACTIVE, ACTIVE)
    wishes = [(one, PathWish(one.path_id, ACTIVE)), (other, PathWish(other.path_id, STANDBY))]
    assert "Weighted Paths needs every path Active" in (WeightedPaths().refuses(wishes) or "")
    wishes[1] = (other, PathWish(other.path_id, ACTIVE, weight=-1))
    assert "weight below 0" in (WeightedPaths().refuses(wishes) or "")
