"""What a copy manager keeps: the results of copies until they are asked for, and the way to other disks of the array.

Source: SPC-4 5.17.4 (results are the nexus's own, and last until they are received or the nexus is lost).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from iscsi.copying import CopyOutcome, CopyTarget
from target.nexus import Nexus

if TYPE_CHECKING:
    from target.disk import Disk

MAX_KEPT: Final = 256
"""Results kept per logical unit; the oldest goes first."""

Reach = Callable[[Nexus, bytes], "tuple[Disk, Nexus] | None"]
"""(nexus, NAA name) to a disk that the host behind the nexus may use, and the nexus it has there."""


def nowhere(nexus: Nexus, naa: bytes) -> tuple[Disk, Nexus] | None:
    """A disk on its own reaches no other."""
    return None


class Copies:
    """The copy manager's memory of one logical unit. ``reach`` is set by the array it belongs to."""

    __slots__ = ("_kept", "reach")

    def __init__(self) -> None:
        self.reach: Reach = nowhere
        self._kept: dict[tuple[Nexus, int], CopyOutcome] = {}

    def find(self, own: Disk, nexus: Nexus, target: CopyTarget) -> tuple[Disk, Nexus] | None:
        """The disk of an identification descriptor with an NAA designator."""
        if target.designator == own.identity.naa:
            return own, nexus
        return self.reach(nexus, target.designator)

    def keep(self, nexus: Nexus, list_id: int, outcome: CopyOutcome) -> None:
        """Remember how a copy ended, in place of an older one with the same identifier."""
        self._kept.pop((nexus, list_id), None)
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[nexus, list_id] = outcome

    def peek(self, nexus: Nexus, list_id: int) -> CopyOutcome | None:
        """The result, which stays."""
        return self._kept.get((nexus, list_id))

    def take(self, nexus: Nexus, list_id: int) -> CopyOutcome | None:
        """The result, which is hereby received."""
        return self._kept.pop((nexus, list_id), None)

    def forget(self, nexus: Nexus) -> None:
        """The nexus is lost."""
        for key in [key for key in self._kept if key[0] == nexus]:
            del self._kept[key]

    def reset(self) -> None:
        """A reset ends every copy and what is known of it."""
        self._kept.clear()
