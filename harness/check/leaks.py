"""Nothing outlives a run: no task, no timer, no listener, no connection, no event in the heap.

Asked when everything was logged off and closed, and TCP has had the time to forget its last connection. Only the
simulated world can be asked so thoroughly; on real TCP the loop itself complains of what is left.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from harness.expectations import Judgement

if TYPE_CHECKING:
    from harness.sim_world import SimWorld

__all__ = ["QUIET_S", "judge_leaks"]

QUIET_S: Final = 1_200.0
"""Longer than the longest TIME_WAIT (240 s), and than Linux tries to get a last FIN through (924 s)."""

MAX_NAMED: Final = 5


async def judge_leaks(world: SimWorld) -> Judgement:
    """Let the world rest, then look what is left."""
    await asyncio.sleep(QUIET_S)
    this = asyncio.current_task()
    left = [f"task {_name(task.get_coro())}" for task in world.loop.pending_tasks() if task is not this]
    for host in world.network.hosts.values():
        left += [
            f"{'listener' if row.remote is None else 'connection'} {row.local[0]}:{row.local[1]} of {host.name}"
            for row in host.connections()
        ]
    left += [f"event for {_name(_aim(event))}" for event in world.loop.env.live_events()]
    if not left:
        return Judgement("leaks", True, "no task, timer, listener, connection or event is left")
    why = f"{QUIET_S:g} s after the end there were: {', '.join(left[:MAX_NAMED])}"
    return Judgement("leaks", False, why, {"left": left[:MAX_NAMED], "count": len(left)})


def _aim(event: Any) -> Any:
    """What an event of the heap will call: a timer's own callback rather than the loop's."""
    payload = getattr(event, "payload", None)
    if isinstance(payload, asyncio.TimerHandle):
        return payload._callback  # type: ignore[attr-defined]
    return event.callbacks[0]


def _name(thing: Any) -> str:
    """A callable or coroutine by its qualified name, which is the same in every process."""
    inner = getattr(thing, "func", thing)
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))
