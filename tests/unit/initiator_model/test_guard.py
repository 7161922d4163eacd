"""The guard of policies of one's own: what it lets pass, what it tells of, and what it does instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy, Move, Selector
from initiator_model.policies.dm_round_robin import DmRoundRobin
from initiator_model.policies.guard import Guarded, Misstep, MisstepKind, PolicyMisstep
from initiator_model.requests import Io
from tests.support.paths_by_hand import new_path

ACTIVE, STANDBY, FAILED = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY, PathState.FAILED
OWN = LoadBalancePolicy("own:Own", "Own", "VS")


def guarded(**answers: Callable[..., Any]) -> tuple[Guarded, list[Misstep]]:
    """A policy whose methods are these functions, and what is told of it."""
    guard = Guarded(type("Own", (Selector,), {name: staticmethod(one) for name, one in answers.items()})(), OWN)
    told: list[Misstep] = []
    guard.on_misstep = told.append
    return guard, told


def paths(*states: PathState) -> list[Path]:
    made = [new_path(number) for number in range(1, len(states) + 1)]
    for path, state in zip(made, states, strict=True):
        if state is not PathState.UNDETERMINED:
            path.enter(state)
    return made


def raises(*_: object) -> Any:
    raise KeyError("mine")


def test_a_good_choice_passes() -> None:
    there = paths(FAILED, ACTIVE)
    guard, told = guarded(choose=lambda paths, io: paths[1])
    assert (guard.choose(there, Io()), told) == (there[1], [])


GONE = new_path(9)


@pytest.mark.parametrize(
    ("choose", "kind", "what"),
    [
        (lambda paths, io: paths[0], MisstepKind.UNUSABLE, "returned path 77010001, which is Failed"),
        (lambda paths, io: paths[1], MisstepKind.UNUSABLE, "returned path 77010002, which is Standby"),
        (lambda paths, io: GONE, MisstepKind.UNUSABLE, "which is not one of the disk's paths any more"),
        (lambda paths, io: 3, MisstepKind.UNUSABLE, "returned 3, which is no path"),
        (lambda paths, io: None, MisstepKind.REFUSED, "returned None, and path 77010002 is Standby"),
        (raises, MisstepKind.RAISED, "raised KeyError: 'mine' (line "),
    ],
)
def test_another_choice_is_told_and_the_first_active_path_is_used(
    choose: Callable[..., Any], kind: MisstepKind, what: str
) -> None:
    there = paths(FAILED, STANDBY, ACTIVE, ACTIVE)
    guard, told = guarded(choose=choose)
    assert guard.choose(there, Io()) is there[2]
    assert [(misstep.kind, misstep.method) for misstep in told] == [(kind, "choose")]
    assert what in told[0].what


def test_no_path_is_the_right_answer_where_none_is_usable() -> None:
    guard, told = guarded(choose=lambda paths, io: None)
    assert (guard.choose(paths(FAILED), Io()), guard.choose([], Io()), told) == (None, None, [])


@pytest.mark.parametrize(
    ("at", "state", "what"),
    [
        (0, ACTIVE, "moved path 77010001 to Active, and it is Failed: no policy can revive it"),
        (1, ACTIVE, "moved path 77010002 to Active, which it is already: Active"),
        (1, FAILED, "moved path 77010002 to Failed, and a policy may ask for Active and Standby only"),
        (None, ACTIVE, "moved path 77010009 to Active, which is not one of the disk's paths any more"),
    ],
)
def test_a_move_that_cannot_be_made_is_told_and_left_out(at: int | None, state: PathState, what: str) -> None:
    there = paths(FAILED, ACTIVE, STANDBY)
    good = Move(there[2], ACTIVE, "good")
    wrong = Move(GONE if at is None else there[at], state, "wrong")
    guard, told = guarded(after_loss=lambda paths: [wrong, good])
    assert guard.after_loss(there) == [good]
    assert [str(misstep) for misstep in told] == [f"after_loss {what}"]


def test_what_is_no_move_is_told_and_left_out() -> None:
    guard, told = guarded(installed=lambda paths: ["up"], after_loss=lambda paths: None)
    assert (guard.installed(paths(ACTIVE)), guard.after_loss(paths(ACTIVE))) == ([], [])
    assert told[0].what == "returned 'up', which is no Move of a path"
    assert told[1].what.startswith("raised TypeError: 'NoneType' object is not iterable")


@pytest.mark.parametrize(("beside", "state"), [(ACTIVE, STANDBY), (FAILED, ACTIVE)])
def test_a_path_that_arrives_is_given_a_state_in_any_case(beside: PathState, state: PathState) -> None:
    there = paths(beside, PathState.UNDETERMINED)
    guard, told = guarded(after_arrival=lambda paths, arrived: [])
    assert [(move.path, move.state) for move in guard.after_arrival(there, there[1])] == [(there[1], state)]
    assert [misstep.what for misstep in told] == ["gave path 77010002 no state: Active or Standby"]


def test_what_raises_on_the_side_is_told() -> None:
    guard, told = guarded(refuses=raises, forget=raises, started=raises, ended=raises)
    (path,) = paths(ACTIVE)
    assert guard.refuses([]) == "Own could not say whether it can do that"
    guard.forget(0)
    guard.started(path, Io())
    guard.ended(path, Io(), 0)
    assert [misstep.method for misstep in told] == ["refuses", "forget", "started", "ended"]


def test_where_nobody_listens_a_misstep_is_raised() -> None:
    guard, _ = guarded(choose=lambda paths, io: None)
    guard.on_misstep = None
    with pytest.raises(PolicyMisstep, match="choose returned None, and path 77010001 is Active"):
        guard.choose(paths(ACTIVE), Io())


def test_a_policy_cannot_change_the_list_it_is_shown() -> None:
    def sorts(paths: Sequence[Path], io: Io) -> Path:
        paths.sort()  # type: ignore[attr-defined]
        return paths[0]

    guard, told = guarded(choose=sorts)
    guard.choose(paths(ACTIVE), Io())
    assert "has no attribute 'sort'" in told[0].what


def test_a_selector_of_path_groups_fails_back_through_it() -> None:
    high, low = paths(PathState.UNDETERMINED, PathState.UNDETERMINED)
    high.priority = 2
    groups = DmRoundRobin("group_by_prio", 30)
    guard = Guarded(groups, OWN)
    assert guard.fail_back_s == 30
    both = [low, high]

    def enter(moves: Sequence[Move]) -> None:
        for move in moves:
            move.path.enter(move.state)

    enter(guard.after_arrival([low], low))
    enter(guard.after_arrival(both, high))
    high.enter(PathState.FAILED)
    enter(guard.after_loss(both))
    enter(guard.after_arrival(both, high))  # it returns, and waits for 30 s
    assert [(move.path, move.state) for move in guard.fail_back(both)] == [(low, STANDBY), (high, ACTIVE)]
    assert guarded()[0].fail_back([]) == []
