"""The oracles of one run: what every run is held to, whatever its scenario asks for.

They are told of a run as it goes (histories from the workloads, bytes from the hosts' sockets, landings from the
array's stores) and asked when it has ended. They only look: a run is the same with them and without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from harness.check.conservation import Conservation
from harness.check.contents import Contents
from harness.check.findings import Findings
from harness.check.history import History, Ticks
from harness.check.landings import Landings
from harness.check.marks import Mark, Marks
from harness.check.nexus import judge_landings
from harness.check.streams import StreamWatch
from harness.check.wire.logins import Logins
from harness.check.wire.watch import WireWatch
from harness.expectations import Judgement
from harness.fault_step import Fault
from harness.scenario import Scenario
from initiator_model.budgets import attempts_limit
from initiator_model.profiles import profile_named
from target.store import MemoryStore

__all__ = ["ORACLES", "Oracles", "store_maker"]

ORACLES: Final = (
    "linearizability",
    "sectors",
    "lost writes",
    "ghost writes",
    "dead tasks",
    "conservation",
    "sequence",
    "answers",
    "logins",
    "unit attentions",
    "acknowledged writes",
    "tcp",
    "leaks",
    "paths return",
    "paths agree",
    "path selection",
)
"""The checks no scenario needs to ask for. Of those that hold the terminal says no more than that."""


def store_maker(oracles: Oracles | None) -> Callable[[str, int, int], MemoryStore]:
    """Makes the store of a volume's LUN, by its size: that of LUN 0 is watched by the oracles, if there are any."""

    def make(volume: str, lun: int, size_bytes: int) -> MemoryStore:
        if lun or oracles is None:
            return MemoryStore(size_bytes)
        return oracles.landings(volume).store(size_bytes)

    return make


@dataclass(frozen=True, slots=True)
class _Volume:
    name: str
    history: History
    landings: Landings


@dataclass(slots=True)
class Oracles:
    """The oracles of a run of ``scenario``; ``now_ns`` is its clock, ``depth`` the array's command window."""

    scenario: Scenario
    now_ns: Callable[[], int]
    depth: int
    ticks: Ticks = field(init=False)
    marks: Marks = field(init=False)
    wire: WireWatch = field(init=False)
    streams: StreamWatch = field(init=False)
    conservation: Conservation = field(init=False)
    _volumes: dict[str, _Volume] = field(init=False)

    def __post_init__(self) -> None:
        self.ticks = ticks = Ticks(self.now_ns)
        self.marks = Marks()
        stored: dict[int, None] = {}
        array = self.scenario.array
        self._volumes = {
            volume.name: _Volume(
                volume.name, History(ticks, volume.block_size), Landings(ticks, volume.block_size, stored)
            )
            for volume in array.volumes
        }
        for volume in self._volumes.values():
            volume.history.on_overlap = lambda: self.marks.hit(Mark.OVERLAPPING_IO)
        dead = [step.to for step in self.scenario.steps if isinstance(step, Fault) and step.to is not None]
        self.wire = WireWatch(
            ticks,
            self.marks,
            self.depth,
            lambda findings: Logins(findings, self.marks, list(array.portals), dead, array.group_ip),
            stored.__contains__,
        )
        profiles = [profile_named(host.profile).with_timers(host.timers) for host in self.scenario.hosts]
        attempts_max = max(attempts_limit(profile.timers) for profile in profiles)
        self.conservation = Conservation(self.now_ns, attempts_max)
        corrupts = any(isinstance(step, Fault) and step.kind == "corrupt" for step in self.scenario.steps)
        self.streams = StreamWatch(self.now_ns, self.wire.damaged if corrupts else None)

    @property
    def volumes(self) -> tuple[str, ...]:
        """The volumes there are."""
        return tuple(self._volumes)

    def history(self, volume: str) -> History:
        """The history of a volume."""
        return self._volumes[volume].history

    def landings(self, volume: str) -> Landings:
        """What landed on a volume."""
        return self._volumes[volume].landings

    def judgements(self) -> list[Judgement]:
        """What became of all of them; to be asked once, when the run has ended."""
        contents = Contents(self.ticks, self.marks)
        dead_tasks = Findings("dead tasks", self.now_ns)
        landings = 0
        for volume in self._volumes.values():
            contents.judge(volume.name, volume.history, volume.landings, self.wire.copies)
            if not self.wire.turned_away:
                judge_landings(volume.landings.of, self.wire.copies, dead_tasks)
            landings += len(volume.landings.all)
        tasks = dead_tasks.judgement(f"{landings:,} writes on the medium: each by a task that was alive")
        if self.wire.turned_away:
            what = f"{landings:,} writes on the medium: a cable changes data, and some of their commands were not seen"
            tasks = Judgement(tasks.check, True, what, unknown=True)
        streams = self.streams.judgement()
        return [
            *contents.judgements(),
            tasks,
            self.conservation.judgement(),
            *self.wire.judgements(),
            *(() if streams is None else (streams,)),
        ]
