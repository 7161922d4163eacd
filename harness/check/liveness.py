"""After everything has been mended all must be well again: every I/O ends and every path returns, within a bound.

The bounds are the hosts' own (`harness.patience`); what does not come is named with what it still waits for. Over real
TCP nobody waits for minutes: there the bound is `TCP_PATIENCE_S` at most.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from harness.expectations import Judgement
from harness.patience import longest_return_ns
from initiator_model.logical_io import LogicalIo

if TYPE_CHECKING:
    from harness.bench import Bench

__all__ = ["TCP_PATIENCE_S", "await_drain", "await_paths", "patience_s"]

TCP_PATIENCE_S: Final = 150.0
POLL_S: Final = 0.1
MAX_NAMED: Final = 3


def patience_s(bench: Bench) -> tuple[float, float]:
    """The bounds of this run: for the last I/O to end, and for the last path to return; in seconds."""
    drain_s = max(site.longest_io_ns for site in bench.hosts.values()) / 1e9
    return_s = max(longest_return_ns(site.profile) for site in bench.hosts.values()) / 1e9
    if bench.world.is_simulated:
        return drain_s, return_s
    return min(drain_s, TCP_PATIENCE_S), min(return_s, TCP_PATIENCE_S)


async def await_drain(bench: Bench, within_s: float) -> bool:
    """Wait until every workload's I/O has come back and every host that boots is up; judge "drain" when they do not."""
    try:
        async with asyncio.timeout(within_s):
            for name, run in list(bench.running.items()):
                await run.finished
                bench.end_phase(name)
            for ended in bench.single_ios:
                await asyncio.shield(ended)
            await bench.booted()
    except TimeoutError:
        stuck = sum(run.open for run in bench.running.values())
        stuck += sum(not ended.done() for ended in bench.single_ios)
        why = f"{stuck} I/Os did not end" if stuck else "a host was still logging on"
        waits = [f"{name}: {_wait_of(io)}" for name, disk in bench.selection.disks for io in disk.accepted]
        named = f": {'; '.join(waits[:MAX_NAMED])}" if waits else ""
        evidence = {"waiting": waits[:MAX_NAMED], "count": len(waits)}
        why = f"{why} {within_s:g} s after the last step{named}"
        bench.judge(Judgement("drain", False, why, evidence, kind="liveness"))
        return False
    return True


def _wait_of(io: LogicalIo) -> str:
    """Which I/O it is, and what it waits for."""
    what = f"{io.operation.value} of {io.blocks} blocks at {io.lba}"
    if io.attempt is not None and io.attempt.live:
        path = io.attempt.path
        return f"{what} has no answer over {path.source.rpartition(':')[0]} → {path.portal} (attempt {io.attempts})"
    if io.timer is not None:
        return f"{what} waits to be tried again (after attempt {io.attempts})"
    return f"{what} waits for a path or a fence (after attempt {io.attempts})"


async def await_paths(bench: Bench, within_s: float) -> None:
    """Wait until every path of every disk works; judge "paths return" when one does not."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    while missing := _missing(bench):
        if loop.time() >= deadline_s:
            named = "; ".join(missing[:MAX_NAMED])
            why = f"{within_s:g} s after everything was mended {named}"
            bench.judge(Judgement("paths return", False, why, {"missing": missing}, kind="liveness"))
            return
        await asyncio.sleep(POLL_S)
    bench.judge_quietly(Judgement("paths return", True, "every path works again"))


def _missing(bench: Bench) -> list[str]:
    """What is not well yet, a line each."""
    missing = []
    for name, site in bench.hosts.items():
        for owner in site.host.sessions:
            where = f"{name} {owner.request.source or 'default source'} → {owner.request.portal.host}"
            if not owner.paths:
                missing.append(f"{where} has no path ({owner.session.state.value})")
            missing += [
                f"{where} is {path.shown.display} ({owner.session.state.value})"
                for _, path in owner.paths
                if not path.works
            ]
    return missing
