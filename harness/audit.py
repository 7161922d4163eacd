"""The last act of a run: read every block that was written, over whatever path there is, and judge what stands there.

Together with the checks that need no scenario to ask for them: no I/O was refused, no read returned what it could not.
"""

from __future__ import annotations

import asyncio

from harness.bench import Bench
from harness.expectations import Judgement
from harness.host_site import HostSite
from initiator_model.disk import DiskError, DiskRemoved

READ_BLOCKS = 128
"""Blocks per audit read: one read of adjacent blocks is as good as many."""
MAX_SHOWN = 5


async def audit(bench: Bench, within_s: float) -> None:
    """Judge "content" and "accepted"; bounded by ``within_s`` of the world's time."""
    findings = [str(finding) for finding in bench.journal.findings]
    try:
        async with asyncio.timeout(within_s):
            for volume, ledger in bench.ledgers.items():
                if ledger.blocks_written:
                    findings += await _read_back(bench, volume)
    except TimeoutError:
        bench.judge(Judgement("audit", False, f"reading back took longer than {within_s:g} s", {}, kind="liveness"))
        return
    written = sum(len(ledger.blocks_written) for ledger in bench.ledgers.values())
    if written or findings:
        why = f"{written} blocks were written and read back; each holds the last acknowledged write"
        if findings:
            why = f"{len(findings)} reads or blocks are wrong: {'; '.join(findings[:MAX_SHOWN])}"
        bench.judge(Judgement("content", not findings, why, {"findings": findings[:MAX_SHOWN]}))
    if bench.journal.refused:
        refused = bench.journal.refused
        bench.judge(Judgement("accepted", False, f"I/O was refused: {refused[0]}", {"refused": refused[:MAX_SHOWN]}))


async def _read_back(bench: Bench, volume: str) -> list[str]:
    site = _host_with(bench, volume)
    if site is None:
        return [f"no host can read {volume} back"]
    ledger, disk = bench.ledgers[volume], site.claimed(volume).disk
    findings: list[str] = []
    for first, count in _runs(ledger.blocks_written):
        try:
            data = await disk.read(first, count)
        except (DiskError, DiskRemoved) as error:
            findings.append(f"{volume}: {count} blocks at {first} cannot be read back: {error}")
            continue
        findings += [f"{volume}: {finding}" for finding in ledger.judge_final(first, data)]
    return findings


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
