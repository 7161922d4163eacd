"""The last act of a run: read every block that was written, straight from the medium and over every path there is.

What the medium holds goes into the history as a last read, for the oracles to judge; a path that shows anything else is
found at once. Together with the checks that need no scenario to ask for them: no I/O was refused, each ended once.
"""

from __future__ import annotations

import asyncio

from harness.bench import Bench
from harness.check.contents import MEDIUM
from harness.check.history import Ending, History
from harness.checks_model import IoCheck
from harness.expectations import Judgement
from harness.host_site import HostSite
from harness.sectors import runs_of
from harness.steps import Expect
from initiator_model.paths import Path
from initiator_model.scsi_calls import CommandFailed, call
from iscsi.scsi import read

READ_BLOCKS = 128
"""Blocks per audit read: one read of adjacent blocks is as good as many."""
POLL_S = 0.1
"""How often a volume without a path is looked at."""
MAX_SHOWN = 5


def _refusals_are_expected(bench: Bench) -> bool:
    """Whether the scenario says that a disk is removed under its workload."""
    checks = [check for step in bench.scenario.steps if isinstance(step, Expect) for check in step.that]
    return any(check.refused for check in checks if isinstance(check, IoCheck))


async def audit(bench: Bench, within_s: float) -> None:
    """Judge "accepted", "exactly once", "audit" and "paths agree"; bounded by ``within_s`` of the world's time."""
    if bench.journal.refused and not _refusals_are_expected(bench):
        refused = bench.journal.refused
        why = f"I/O was refused: {refused[0]}"
        bench.judge(Judgement("accepted", False, why, {"refused": refused[:MAX_SHOWN]}, kind="liveness"))
    if bench.journal.twice:
        twice = bench.journal.twice
        bench.judge(Judgement("exactly once", False, twice[0], {"twice": twice[:MAX_SHOWN]}))
    differences: list[str] = []
    reads = 0
    for volume in bench.target_names:
        runs = _pieces(bench.oracles.history(volume).written)
        for first, count in runs:
            _read_medium(bench, volume, first, count)
        if not runs:
            continue
        if not any(site.is_logged_on(volume) for site in bench.hosts.values()):
            bench.tell(f"{volume} is not read back: no host is logged on to it")
            continue
        complaints = ["no host has a path"]
        try:
            async with asyncio.timeout(within_s):
                reads += await _read_back(bench, volume, runs, differences, complaints)
        except TimeoutError:
            why = f"{volume} could not be read back within {within_s:g} s of healing everything: {complaints[-1]}"
            bench.judge(Judgement("audit", False, why, {"volume": volume}, kind="liveness"))
    if reads or differences:
        why = f"{reads} reads of what was written, over each path, show what the medium holds"
        if differences:
            why = f"{len(differences)} reads differ from the medium: {'; '.join(differences[:MAX_SHOWN])}"
        bench.judge_quietly(Judgement("paths agree", not differences, why, {"differences": differences[:MAX_SHOWN]}))


def read_media(bench: Bench) -> None:
    """Nobody can read over the paths any more: the media alone are looked at."""
    for volume in bench.target_names:
        for first, count in _pieces(bench.oracles.history(volume).written):
            _read_medium(bench, volume, first, count)


def _read_medium(bench: Bench, volume: str, first: int, count: int) -> None:
    """What stands on the medium, as a last read of the volume's history."""
    history = bench.oracles.history(volume)
    data = bench.world.site.medium(volume, first * history.block_size, count * history.block_size)
    operation = history.invoke(0, "", False, first, count)
    history.end(operation, Ending.OK, MEDIUM, data)


async def _read_back(
    bench: Bench, volume: str, runs: list[tuple[int, int]], differences: list[str], complaints: list[str]
) -> int:
    """Read everything over every path that works; waits until there is one. Returns the number of reads."""
    while not any(path.works for site in bench.hosts.values() for path in site.paths(volume)):
        await asyncio.sleep(POLL_S)  # sessions may still be on their way back
    reads = 0
    history = bench.oracles.history(volume)
    size = history.block_size
    for site in bench.hosts.values():
        for path in site.paths(volume):
            if not path.usable:
                continue
            for first, count in runs:
                medium, before = bench.world.site.medium(volume, first * size, count * size), None
                data: bytes | None = b""
                while medium != before:  # what nobody knows the outcome of may still land, while the read is under way
                    before = medium
                    data = await _read(site, path, first, count, size, complaints)
                    medium = bench.world.site.medium(volume, first * size, count * size)
                reads += 1
                if data is not None and data != medium:
                    differences.append(_difference(site, path, volume, first, data, medium, history))
    return reads


async def _read(site: HostSite, path: Path, first: int, count: int, size: int, complaints: list[str]) -> bytes | None:
    """Read blocks of ``size`` bytes over one path, until it works; None when the path is gone or serves no reads."""
    while (submit := site.session_of(path)) is not None:
        try:
            return await call(submit, "READ", 0, read(first, count), read_length=count * size)
        except CommandFailed as error:
            if error.is_standby:
                return None  # a port that serves no reads
            complaints[:] = [f"{count} blocks at {first} over {path.label}: {error}"]  # the last one
        await asyncio.sleep(POLL_S)
    return None


def _difference(
    site: HostSite, path: Path, volume: str, first: int, data: bytes, medium: bytes, history: History
) -> str:
    size = history.block_size
    at = next(
        n for n in range(len(medium) // size) if data[n * size : (n + 1) * size] != medium[n * size : (n + 1) * size]
    )
    shown, held = (runs_of(one[at * size : (at + 1) * size], first + at, size)[0].writer for one in (data, medium))
    where = f"{site.model.name} reads {volume} block {first + at} over {path.source} → {path.portal}"
    return f"{where} as {_words(shown)}, the medium holds {_words(held)}"


def _words(writer: int | None) -> str:
    if writer is None:
        return "content no write ever wrote"
    return f"write {writer}" if writer else "zeros"


def _pieces(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of blocks cut to `READ_BLOCKS` at most."""
    return [
        (at, min(READ_BLOCKS, first + count - at))
        for first, count in spans
        for at in range(first, first + count, READ_BLOCKS)
    ]
