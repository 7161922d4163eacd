"""The same scenario under several policies: what each run gave, and the document `mpiolab.compare/1`.

A phase is one workload of one disk; a disk's figures add up its phases, which shows what no phase alone can: a policy
that deals large requests to one path and small ones to the other is even in I/Os and uneven in bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from harness.fairness import jain
from harness.result import ExitCode, Net, Phase, Result
from harness.scenario import Scenario

SCHEMA = "mpiolab.compare/1"


@dataclass(frozen=True, slots=True)
class DiskPath:
    """What one path of a disk carried in a whole run."""

    id: str
    local: str
    """Source address."""
    portal: str
    ios: int
    bytes: int
    share_of_bytes: float
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A host's disk: the sum of its phases."""

    host: str
    volume: str
    paths: tuple[DiskPath, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One policy's run."""

    policy: str
    """As on the command line, settings included."""
    name: str
    """Without its settings."""
    result: Result

    @property
    def refused(self) -> str | None:
        """Why the host would not set the policy; None when it did."""
        for failure in self.result.failures:
            if failure.check == "step set_policy" and "refused" in failure.evidence:
                return str(failure.evidence["refused"])
        return None

    @property
    def verdict(self) -> Literal["pass", "fail", "refused"]:
        """Of the run; a policy that was refused was not compared."""
        return self.result.verdict if self.refused is None else "refused"

    @property
    def worst_stall_s(self) -> float | None:
        """The longest stall after a lost path; infinite where I/O never resumed, None where no path was lost."""
        stalls = [float("inf") if failover.stall_s is None else failover.stall_s for failover in self.result.failovers]
        return max(stalls, default=None)

    def disks(self, scenario: Scenario) -> tuple[Disk, ...]:
        """The disks that were worked on, in the order of their first phases."""
        phases: dict[tuple[str, str], list[Phase]] = {}
        for phase in self.result.phases:
            work = scenario.workload(phase.name)
            phases.setdefault((scenario.host(work.host).name, work.volume), []).append(phase)
        return tuple(Disk(host, volume, _paths(found)) for (host, volume), found in phases.items())


def _paths(phases: list[Phase]) -> tuple[DiskPath, ...]:
    """Every path that some phase lists, by its id; where it moved, its last ends."""
    last = {path.id: path for phase in phases for path in phase.paths}
    ios = {id: sum(path.ios for phase in phases for path in phase.paths if path.id == id) for id in last}
    size = {id: sum(path.bytes for phase in phases for path in phase.paths if path.id == id) for id in last}
    whole = sum(size.values())
    return tuple(
        DiskPath(id, path.local, path.portal, ios[id], size[id], size[id] / whole if whole else 0.0)
        for id, path in last.items()
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of them, in the order they were asked for."""

    scenario: Scenario
    seed: int
    net: Net
    columns: tuple[Column, ...]

    @property
    def exit_code(self) -> ExitCode:
        """The lowest code of the runs that failed. A refused policy counts as what `run` makes of it, CORRECTNESS."""
        codes = [column.result.exit_code for column in self.columns]
        return min((code for code in codes if code), default=ExitCode.PASS)

    @property
    def phases(self) -> tuple[str, ...]:
        """The names of the phases any run came to, in the order in which the first run ended them."""
        return tuple(dict.fromkeys(phase.name for column in self.columns for phase in column.result.phases))

    @property
    def uneven_disks(self) -> tuple[tuple[str, str], ...]:
        """Host and volume of disks whose workloads differ in block size: even in I/Os is not even in bytes there."""
        blocks: dict[tuple[str, str], set[int]] = {}
        for name in self.phases:
            work = self.scenario.workload(name)
            blocks.setdefault((self.scenario.host(work.host).name, work.volume), set()).add(work.block_bytes)
        return tuple(disk for disk, sizes in blocks.items() if len(sizes) > 1)

    def to_document(self) -> dict[str, Any]:
        """The document as Python's own types."""
        return {
            "schema": SCHEMA,
            "scenario": self.scenario.name,
            "seed": self.seed,
            "net": self.net,
            "policies": [
                {
                    "policy": column.policy,
                    "verdict": column.verdict,
                    "refused": column.refused,
                    "result": column.result.to_document(),
                    "fairness": self._fairness(column),
                }
                for column in self.columns
            ],
        }

    def to_json(self) -> str:
        """The document as text, one line, without a newline at the end."""
        return json.dumps(self.to_document(), ensure_ascii=False, allow_nan=False)

    def _fairness(self, column: Column) -> dict[str, Any]:
        return {
            "phases": [
                {
                    "name": phase.name,
                    "ios": jain([path.ios for path in phase.paths]),
                    "bytes": jain([path.bytes for path in phase.paths]),
                }
                for phase in column.result.phases
            ],
            "disks": [
                {
                    **asdict(disk),
                    "ios": jain([path.ios for path in disk.paths]),
                    "bytes": jain([path.bytes for path in disk.paths]),
                }
                for disk in column.disks(self.scenario)
            ],
        }
