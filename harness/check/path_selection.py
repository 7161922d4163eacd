"""The oracle of path selection: watches every disk of every host, in every run.

    an attempt goes down an Active path
    no request is held while a path is usable
    the policy keeps its promises (`initiator_model.policies.Promise`)
    a policy of one's own gives no answer that its guard has to mend (`initiator_model.policies.guard`)

Attempts that are not the first of their request are looked at less closely: a disk may send a request down the same
path again without asking the policy, so after one of those turns are counted anew. It only looks. For each request it
costs a call and a few comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from harness.check.promises import OF_CHOICES, OF_STATES, Turns
from harness.expectations import Judgement
from initiator_model.disk import LogicalIo, MpioDisk
from initiator_model.paths import Path, PathState
from initiator_model.policies import PathSelector, Promise
from initiator_model.policies.guard import Misstep

__all__ = ["PATH_SELECTION", "PathSelection"]

PATH_SELECTION: Final = "path selection"
"""The check's name in results."""

MAX_SHOWN: Final = 3

_ACTIVE: Final = PathState.ACTIVE_OPTIMIZED


class PathSelection:
    """What was seen of all disks; `now_ns` is the run's clock."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.attempts = 0
        self.findings: list[str] = []
        """The first few."""
        self._found = 0
        self._now_ns = now_ns
        self._watches: dict[MpioDisk, _DiskWatch] = {}

    @property
    def disks(self) -> tuple[tuple[str, MpioDisk], ...]:
        """Every disk there was, with its name."""
        return tuple((watch.name, disk) for disk, watch in self._watches.items())

    def watch(self, disk: MpioDisk, name: str) -> None:
        """A disk has appeared; `name` is what findings call it."""
        self._watches[disk] = _DiskWatch(self, disk, name)

    def changed(self, disk: MpioDisk) -> None:
        """A path of the disk has another state."""
        self._watches[disk].changed = True

    def judgement(self) -> Judgement | None:
        """What became of it; None when nothing was sent anywhere."""
        self.attempts = sum(watch.attempts for watch in self._watches.values())
        if not self.attempts and not self.findings:
            return None
        count = f"{self.attempts:,} attempt{'' if self.attempts == 1 else 's'}"
        if not self.findings:
            return Judgement(PATH_SELECTION, True, f"{count}, each down an Active path, as the policy promises")
        more = self._found - len(self.findings)
        why = "; ".join(self.findings) + (f"; and {more:,} more" if more else "")
        evidence = {"attempts": self.attempts, "mistakes": self._found, "findings": self.findings}
        return Judgement(PATH_SELECTION, False, why, evidence)

    def found(self, what: str) -> None:
        """Something was wrong, now."""
        self._found += 1
        if len(self.findings) < MAX_SHOWN:
            self.findings.append(f"{what}, at {self._now_ns() / 1e9:.3f} s")


class _DiskWatch:
    """One disk."""

    __slots__ = (
        "_beginnings",
        "_choices",
        "_disk",
        "_oracle",
        "_paths",
        "_selector",
        "_turns",
        "attempts",
        "changed",
        "name",
    )

    def __init__(self, oracle: PathSelection, disk: MpioDisk, name: str) -> None:
        self.attempts = 0
        self.changed = True
        self._oracle = oracle
        self._disk = disk
        self.name = name
        self._selector: PathSelector = disk.dsm.selector
        self._beginnings = disk.dsm.beginnings
        self._paths: tuple[Path, ...] = ()
        self._turns: Turns | None = None
        self._choices: tuple[Promise, ...] = ()
        disk.on_attempt.append(self._attempted)
        disk.on_hold.append(self._held)
        disk.dsm.on_misstep = self._misstep

    def _attempted(self, io: LogicalIo, path: Path) -> None:
        self.attempts += 1
        if path.state is not _ACTIVE:
            self._found(f"I/O {io.number} was sent down {_source(path)}, which is {path.state.display}")
        if self.changed or self._disk.dsm.beginnings != self._beginnings:
            self._begin()
        turns = self._turns
        if io.attempts > 1:
            if turns is not None:
                turns.clear()
            return
        if turns is not None:
            self._promised(Promise.TURNS, turns.broken_by(path, self._paths, _source))
        for promise in self._choices:
            self._promised(promise, OF_CHOICES[promise](path, self._paths, _source))

    def _begin(self) -> None:
        """Something has changed: look at the states once, and at the choices from here on."""
        dsm = self._disk.dsm
        self.changed = False
        self._selector = dsm.selector
        self._beginnings = dsm.beginnings
        self._paths = dsm.paths
        promised = [promise for promise in Promise if promise in dsm.selector.promises]
        self._turns = Turns() if Promise.TURNS in promised else None
        self._choices = tuple(promise for promise in promised if promise in OF_CHOICES)
        for promise in promised:
            if promise in OF_STATES:
                self._promised(promise, OF_STATES[promise](self._paths, _source))

    def _promised(self, promise: Promise, broken: str | None) -> None:
        if broken is not None:
            self._found(f"{self._selector.policy.display} promises: {promise.value}; {broken}")

    def _held(self, io: LogicalIo) -> None:
        usable = next((path for path in self._disk.dsm.paths if path.usable), None)
        if usable is not None:
            self._found(f"I/O {io.number} was held while {_source(usable)} was {usable.state.display}")

    def _misstep(self, misstep: Misstep) -> None:
        what = str(misstep)
        if misstep.path is not None:
            what = what.replace(f"path {misstep.path.label}", _source(misstep.path))
        self._found(f"{self._disk.dsm.policy.display}: {what}")

    def _found(self, what: str) -> None:
        self._oracle.found(f"{self.name}: {what}")


def _source(path: Path) -> str:
    return path.source.rpartition(":")[0]
