"""A host that fences has no ghost writes, whenever paths are lost and however long the array holds what came through
them; a host that does not has them, and the same stories show it.

A story: writes of a few blocks run over two paths; the array holds some that came through one portal; a cable comes
out, or the array resets the path; later it gets round to what it still has. Timers are short, the array's too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, event, find, given, settings
from hypothesis import strategies as st

from harness.load import scenario_from
from harness.result import Result
from harness.scenario import Scenario
from tests.support.runs import LOGINS, NICS, PORTALS, SHORT_TIMERS, SOURCES, Tables, run, two_paths, workload

TIMERS = SHORT_TIMERS | {"pdo_remove_period": "60s"}
ARRAY: Tables = {"time2wait": "1s", "time2retain": "1s", "ping_interval": "300ms", "ping_timeout": "300ms"}
WAIT: Tables = {"fencing": "wait", "target_notices": "600ms"}
"""The array's ping and its timeout."""
KILL: Tables = {"lost_tasks": "kill", "ping_interval": "200ms", "ping_timeout": "200ms"}
"""Seen, and killed, before the host's 500 ms of patience are over."""

SAFE: dict[str, tuple[Tables, Tables]] = {
    # name: (keys of the host, keys of the array)
    "wait": (WAIT, {}),
    "lun-reset": ({"fencing": "lun-reset"}, {}),
    "preempt-and-abort": ({"fencing": "preempt-and-abort"}, {}),
    "killed on loss": ({}, KILL),
}

Story = Callable[[Tables, Tables], Scenario]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A story, which becomes a scenario once host and array are told what they do about ghosts."""
    profile = draw(st.sampled_from(["ms-iscsi-2.07", "msdsm-2012"]))
    held: Tables = {"do": "fault", "kind": "late", "name": "queue", "op": "write", "portal": draw(_PORTALS)}
    if (count := draw(st.none() | st.integers(1, 3))) is not None:
        held["count"] = count
    lost: Tables = {"do": "drop", "source": SOURCES[0]}
    if draw(st.booleans()):
        lost = {"do": "fault", "kind": "link_down", "name": "cable", "nic": draw(st.sampled_from(NICS[:2]))}
    held_at = draw(st.integers(0, 300))
    lost_at = held_at + draw(st.integers(0, 300))
    let_go_at = lost_at + draw(st.integers(0, 3500))
    work: dict[str, Any] = {"op": draw(st.sampled_from(["write", "mixed"])), "depth": draw(st.sampled_from([1, 2, 4]))}
    blocks = draw(st.sampled_from([1, 2, 8]))
    steps = [
        *LOGINS,
        {"do": "set_policy", "volume": "logs", "policy": "round-robin"},
        workload(background=True, region=f"{4 * blocks}KiB", **work),
        held | {"at": f"{held_at}ms"},
        lost | {"at": f"{lost_at}ms"},
        {"do": "heal", "name": "queue", "at": f"{let_go_at}ms"},
        {"do": "wait", "duration": "10ms", "at": f"{let_go_at + 500}ms"},
    ]
    seed = draw(st.integers(0, 3))

    def made(host: Tables, array: Tables) -> Scenario:
        tables = two_paths(*steps, timers=TIMERS, **(ARRAY | array))
        tables["hosts"][0] |= {"profile": profile} | host
        tables["seed"] = seed
        return scenario_from(tables)

    return made


_PORTALS = st.sampled_from(PORTALS[:2])


def told(story: Story, host: Tables, array: Tables) -> Result:
    scenario = story(host, array)
    return run(scenario, seed=scenario.seed)


def has_a_ghost(result: Result) -> bool:
    return any(failure.check == "ghost writes" for failure in result.failures)


@pytest.mark.parametrize("rule", SAFE)
@settings(deadline=None, max_examples=30)
@given(story=stories())
def test_with_a_fence_there_is_no_ghost_and_nothing_is_lost(rule: str, story: Story) -> None:
    result = told(story, *SAFE[rule])

    assert not result.failures, [f"{failure.check}: {failure.why}" for failure in result.failures]
    assert (result.io.failed, result.io.unknown) == (0, 0)
    event(f"{len(result.failovers)} failovers")


def test_without_one_the_same_stories_have_ghosts() -> None:
    """The first ghost is enough: making its story small would take minutes."""
    look = settings(deadline=None, max_examples=200, database=None, derandomize=True, phases=[Phase.generate])
    story = find(stories(), lambda each: has_a_ghost(told(each, {}, {})), settings=look)

    for rule, (host, array) in SAFE.items():
        assert not has_a_ghost(told(story, host, array)), rule
