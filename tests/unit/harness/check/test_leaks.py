"""Whatever outlives a run is named: a task, a timer, a listener, a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from harness.check.leaks import MAX_NAMED, judge_leaks
from harness.expectations import Judgement
from harness.load import scenario_from
from harness.sim_world import SimWorld
from tests.support.runs import SOURCES, two_paths

Plant = Callable[[asyncio.AbstractEventLoop], object]


async def waits_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def rings() -> None:
    """A timer that is set again each time."""


def left_behind(*plants: Plant) -> Judgement:
    """What is said of a world in which these have been done, and nothing has been undone."""
    world = SimWorld(
        scenario_from(two_paths({"do": "discover"})), 1, None, None, lambda decision: None, lambda text: None
    )
    kept: list[object] = []

    async def story() -> Judgement:
        for plant in plants:
            made = plant(asyncio.get_running_loop())
            kept.append(await made if asyncio.iscoroutine(made) else made)
        judgement = await judge_leaks(world)
        for one in kept:
            if isinstance(one, asyncio.Task | asyncio.TimerHandle):
                one.cancel()
        return judgement

    return world.run(story())


def test_nothing() -> None:
    assert left_behind().ok


async def _listener(loop: asyncio.AbstractEventLoop) -> object:
    return await loop.create_server(asyncio.Protocol, SOURCES[0], 4000)


async def _connection(loop: asyncio.AbstractEventLoop) -> object:
    server = await loop.create_server(asyncio.Protocol, SOURCES[0], 4000)
    made = await loop.create_connection(asyncio.Protocol, SOURCES[0], 4000, local_addr=(SOURCES[1], 0))
    server.close()
    return made


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (lambda loop: loop.create_task(waits_for_ever()), "task waits_for_ever"),
        (lambda loop: loop.call_later(10_000, rings), "event for rings"),
        (_listener, f"listener {SOURCES[0]}:4000 of w2k3"),
        (_connection, f"connection {SOURCES[0]}:4000 of w2k3"),
    ],
)
def test_what_is_left_is_named(plant: Plant, named: str) -> None:
    judgement = left_behind(plant)
    assert not judgement.ok
    assert named in judgement.why


def test_of_many_the_first_are_named_and_all_are_counted() -> None:
    judgement = left_behind(*[lambda loop: loop.create_task(waits_for_ever())] * 9)
    assert judgement.evidence["count"] == 9
    assert judgement.why.count("waits_for_ever") == MAX_NAMED
