"""The last act of a run: read every block that was written, over whatever path there is, and judge what stands there.

Together with the checks that need no scenario to ask for them: no I/O was refused, no read returned what it could not.
"""

from __future__ import annotations

import asyncio

from harness.bench import Bench
from harness.checks_model import IoCheck
from harness.expectations import Judgement
from harness.host_site import HostSite
from harness.steps import Expect
from initiator_model.disk import DiskError, DiskRemoved

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
    """Judge "accepted", "exactly once", "audit" and "content"; bounded by ``within_s`` of the world's time."""
    if bench.journal.refused and not _refusals_are_expected(bench):
        refused = bench.journal.refused
        why = f"I/O was refused: {refused[0]}"
        bench.judge(Judgement("accepted", False, why, {"refused": refused[:MAX_SHOWN]}, kind="liveness"))
    if bench.journal.twice:
        twice = bench.journal.twice
        bench.judge(Judgement("exactly once", False, twice[0], {"twice": twice[:MAX_SHOWN]}))
    findings = [str(finding) for finding in bench.journal.findings]
    read = 0
    for volume, ledger in bench.ledgers.items():
        written = ledger.blocks_written
        if not written:
            continue
        if not any(site.is_logged_on(volume) for site in bench.hosts.values()):
            bench.tell(f"{volume} is not read back: no host is logged on to it")
            continue
        complaints: list[str] = []
        try:
            async with asyncio.timeout(within_s):
                findings += await _read_back(bench, volume, complaints)
        except TimeoutError:
            why = f"{volume} could not be read back within {within_s:g} s of healing everything: {complaints[-1]}"
            bench.judge(Judgement("audit", False, why, {"volume": volume}, kind="liveness"))
        else:
            read += len(written)
    if read or findings:
        why = f"{read} blocks were written and read back; each holds the last acknowledged write"
        if findings:
            why = f"{len(findings)} reads or blocks are wrong: {'; '.join(findings[:MAX_SHOWN])}"
        bench.judge(Judgement("content", not findings, why, {"findings": findings[:MAX_SHOWN]}))


async def _read_back(bench: Bench, volume: str, complaints: list[str]) -> list[str]:
    ledger = bench.ledgers[volume]
    findings: list[str] = []
    for first, count in _runs(ledger.blocks_written):
        complaints.append(f"{count} blocks at {first} take that long")
        data = await _read(bench, volume, first, count, complaints)
        findings += [f"{volume}: {finding}" for finding in ledger.judge_final(first, data)]
    return findings


async def _read(bench: Bench, volume: str, first: int, count: int, complaints: list[str]) -> bytes:
    """Read over whatever path there is, until it works: sessions may still be on their way back."""
    while True:
        site = _host_with(bench, volume)
        if site is None:
            complaints.append("no host has a path")
        else:
            try:
                return await site.claimed(volume).disk.read(first, count)
            except (DiskError, DiskRemoved) as error:
                complaints.append(f"{count} blocks at {first}: {error}")
        await asyncio.sleep(POLL_S)


def _host_with(bench: Bench, volume: str) -> HostSite | None:
    for site in bench.hosts.values():
        if any(path.usable for path in site.paths(volume)):
            return site
    return None


def _runs(blocks: list[int]) -> list[tuple[int, int]]:
    """Adjacent blocks as (first, count), at most `READ_BLOCKS` each."""
    runs: list[tuple[int, int]] = []
    for block in blocks:
        if runs and runs[-1][0] + runs[-1][1] == block and runs[-1][1] < READ_BLOCKS:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((block, 1))
    return runs
