"""Looks over the shoulder of every MPIO disk of a run: what was invoked, sent and completed, and on which paths.

`watched()` hooks itself into the harness's own observer of hosts, so that a whole scenario can be run and then asked
what its DSM did. It only looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from harness.host_site import HostSite
from initiator_model.disk import IoResult, LogicalIo, MpioDisk
from initiator_model.host import IscsiHost
from initiator_model.host_records import ClaimedDisk
from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy


@dataclass
class DiskWatch:
    """One disk: ``ended`` counts completions per I/O, ``complaints`` holds what no disk may do."""

    disk: MpioDisk
    ended: dict[int, int] = field(default_factory=dict)
    attempts: int = 0
    complaints: list[str] = field(default_factory=list)
    sent: dict[int, int] = field(default_factory=dict)
    """Attempts per path id since a path last changed its state or the policy changed."""
    policy: LoadBalancePolicy | None = None

    def __post_init__(self) -> None:
        self.disk.on_invoke.append(self.invoked)
        self.disk.on_attempt.append(self.attempted)
        self.disk.on_complete.append(self.completed)

    def invoked(self, io: LogicalIo) -> None:
        if io.number in self.ended:
            self.complaints.append(f"I/O {io.number} was accepted twice")
        self.ended[io.number] = 0

    def completed(self, io: LogicalIo, result: IoResult) -> None:
        self.ended[io.number] = self.ended.get(io.number, 0) + 1
        if self.ended[io.number] > 1:
            self.complaints.append(f"I/O {io.number} ended {self.ended[io.number]} times")

    def attempted(self, io: LogicalIo, path: Path) -> None:
        self.attempts += 1
        if path.state is not PathState.ACTIVE_OPTIMIZED:
            self.complaints.append(f"I/O {io.number} was sent down {path.label}, which is {path.state.display}")
        if self.disk.dsm.policy is not self.policy:
            self.undisturbed_no_more()
            self.policy = self.disk.dsm.policy
        self.sent[path.path_id] = self.sent.get(path.path_id, 0) + 1
        if self.policy is LoadBalancePolicy.ROUND_ROBIN:
            self.compare()

    def compare(self) -> None:
        """Between two changes of any path, Round Robin uses every Active path as often as any other, but for one."""
        active = [path for path in self.disk.dsm.paths if path.state is PathState.ACTIVE_OPTIMIZED]
        counts = [self.sent.get(path.path_id, 0) for path in active]
        if max(counts) - min(counts) > 1:
            self.complaints.append(f"Round Robin used {len(active)} Active paths {counts} times")

    def undisturbed_no_more(self) -> None:
        """Something changed: count anew."""
        self.sent.clear()

    def finish(self) -> None:
        """The run is over: what never ended?"""
        left = [number for number, times in self.ended.items() if not times]
        if left:
            self.complaints.append(f"I/Os {left[:5]} never ended")


class Watch:
    """Every disk of a run."""

    def __init__(self) -> None:
        self.disks: list[DiskWatch] = []

    def complaints(self) -> list[str]:
        """What was wrong, in order; ask when the run is over."""
        for one in self.disks:
            one.finish()
        return [complaint for one in self.disks for complaint in one.complaints]

    @property
    def attempts(self) -> int:
        return sum(one.attempts for one in self.disks)


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch the disks of every run inside."""
    watch = Watch()
    on_disk, on_path = HostSite.on_disk, HostSite.on_path

    def disk_seen(site: HostSite, host: IscsiHost, disk: ClaimedDisk, present: bool, why: str) -> None:
        if present:
            watch.disks.append(DiskWatch(disk.disk))
        on_disk(site, host, disk, present, why)

    def path_seen(
        site: HostSite, host: IscsiHost, disk: ClaimedDisk, path: Path, old: PathState, new: PathState, why: str
    ) -> None:
        for one in watch.disks:
            if one.disk is disk.disk:
                one.undisturbed_no_more()
        on_path(site, host, disk, path, old, new, why)

    with patch.object(HostSite, "on_disk", disk_seen), patch.object(HostSite, "on_path", path_seen):
        yield watch
