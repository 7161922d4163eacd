"""What promises mean for paths, case by case."""

from __future__ import annotations

import pytest

from harness.check.promises import OF_CHOICES, OF_STATES, Turns
from initiator_model.paths import Path, PathState
from initiator_model.policies import Promise
from tests.support.paths_by_hand import new_path

ACTIVE, STANDBY, FAILED = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY, PathState.FAILED


def name(path: Path) -> str:
    return path.source.rpartition(":")[0]


def paths(*states: PathState) -> list[Path]:
    made = [new_path(number) for number in range(1, len(states) + 1)]
    for path, state in zip(made, states, strict=True):
        path.enter(state)
    return made


def broken(turns: Turns, there: list[Path], *uses: int) -> list[bool]:
    return [turns.broken_by(there[use], there, name) is not None for use in uses]


def test_turns_may_come_in_any_order_and_nobody_may_be_two_ahead() -> None:
    three = paths(ACTIVE, ACTIVE, ACTIVE)
    assert not any(broken(Turns(), three, 0, 1, 2, 2, 0, 1, 1))
    assert broken(Turns(), three, 0, 1, 0) == [False, False, True]
    assert broken(Turns(), three, 0, 1, 2, 1, 1) == [False] * 4 + [True]


def test_turns_are_those_of_active_paths() -> None:
    assert not any(broken(Turns(), paths(ACTIVE, STANDBY, FAILED), 0, 0, 0))


def test_after_a_change_turns_begin_anew() -> None:
    two, turns = paths(ACTIVE, ACTIVE), Turns()
    assert broken(turns, two, 0) == [False]
    two[1].enter(FAILED)
    turns.clear()
    assert not any(broken(turns, two, 0, 0))


def test_the_counts_are_named() -> None:
    two, turns = paths(ACTIVE, ACTIVE), Turns()
    turns.broken_by(two[0], two, name)
    assert turns.broken_by(two[0], two, name) == "requests since the last change: 10.0.0.1: 2, 10.0.0.2: 0"


@pytest.mark.parametrize(
    ("promise", "other", "why"),
    [
        (
            Promise.FEWEST_REQUESTS,
            {"group": 1},
            "10.0.0.1 had 2 requests in flight over all LUNs, 10.0.0.2 had 1 request",
        ),
        (Promise.FEWEST_REQUESTS, {"group": 2}, None),
        (Promise.FEWEST_REQUESTS_HERE, {}, "10.0.0.1 had 2 requests of this disk in flight, 10.0.0.2 had 0"),
        (Promise.FEWEST_REQUESTS_HERE, {"in_flight": 2}, None),
        (Promise.LIGHTEST, {"weight": 4}, "10.0.0.1 weighs 5, 10.0.0.2 4"),
        (Promise.LIGHTEST, {"weight": 5}, None),
        (Promise.PREFERRED, {"preferred": True}, "10.0.0.1 was chosen, and 10.0.0.2 is preferred and Active"),
        (Promise.PREFERRED, {}, None),
    ],
)
def test_a_choice_is_held_against_the_other_active_path(
    promise: Promise, other: dict[str, int], why: str | None
) -> None:
    chosen, beside, gone = paths(ACTIVE, ACTIVE, FAILED)
    chosen.weight, gone.preferred = 5, True
    for _ in range(3):
        chosen.take(4096)
    beside.weight = 9
    for key, value in other.items():
        if key == "group":
            beside.group.in_flight = value
        else:
            setattr(beside, key, value)
    assert OF_CHOICES[promise](chosen, [chosen, beside, gone], name) == why


@pytest.mark.parametrize(
    ("promise", "states", "why"),
    [
        (Promise.ONE_ACTIVE, (ACTIVE, STANDBY, FAILED), None),
        (Promise.ONE_ACTIVE, (FAILED, FAILED), None),
        (Promise.ONE_ACTIVE, (STANDBY, FAILED), "0 of 1 usable paths are Active: none"),
        (Promise.ONE_ACTIVE, (ACTIVE, ACTIVE), "2 of 2 usable paths are Active: 10.0.0.1, 10.0.0.2"),
        (Promise.EVERY_PATH_ACTIVE, (ACTIVE, ACTIVE, FAILED), None),
        (Promise.EVERY_PATH_ACTIVE, (ACTIVE, STANDBY), "10.0.0.2 is Standby"),
    ],
)
def test_states_are_held_against_the_promise(promise: Promise, states: tuple[PathState, ...], why: str | None) -> None:
    assert OF_STATES[promise](paths(*states), name) == why
