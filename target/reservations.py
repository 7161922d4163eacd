"""Who may touch a logical unit: RESERVE/RELEASE of SPC-2, and the conflict table both kinds of reservation share.

Windows Server 2003 clusters hold disks with RESERVE, which belongs to one I_T nexus: the host's own second path gets
RESERVATION CONFLICT. Persistent reservations (``target.persistent``) were made to mend that, and the two exclude each
other.

Source: SPC-2 7.21, 7.22; SPC-4 5.13, tables 50 and 51; SBC-3 table 13.
"""

from __future__ import annotations

from typing import Final

from iscsi.scsi import PersistentType
from target.attention import UnitAttentions
from target.command import Access
from target.nexus import Nexus
from target.persistent import PersistentReservations
from target.reservation_memory import ReservationMemory

_ALLOWED_BESIDE_RESERVE: Final = frozenset((Access.ALWAYS, Access.RESERVE))
_ALLOWED_BESIDE_PERSISTENT: Final = frozenset((Access.ALWAYS, Access.STATUS, Access.PERSISTENT, Access.RESERVE))
_WRITE_EXCLUSIVE: Final = frozenset(
    (
        PersistentType.WRITE_EXCLUSIVE,
        PersistentType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
        PersistentType.WRITE_EXCLUSIVE_ALL_REGISTRANTS,
    )
)


class Reservations:
    """The reservations of one logical unit."""

    __slots__ = ("_holder", "persistent")

    def __init__(self, attentions: UnitAttentions, memory: ReservationMemory | None = None) -> None:
        self._holder: Nexus | None = None
        self.persistent = PersistentReservations(attentions, memory)

    @property
    def holder(self) -> Nexus | None:
        """The nexus that holds the unit by RESERVE."""
        return self._holder

    def conflicts(self, nexus: Nexus, access: Access) -> bool:
        """Whether a command of this kind from ``nexus`` must end RESERVATION CONFLICT."""
        if self._holder is not None:
            if access is Access.PERSISTENT:
                return True
            return nexus != self._holder and access not in _ALLOWED_BESIDE_RESERVE
        reservation = self.persistent.reservation
        if reservation is None or access in _ALLOWED_BESIDE_PERSISTENT or self.persistent.admits(nexus):
            return False
        return not (access is Access.READ and reservation.kind in _WRITE_EXCLUSIVE)

    def reserve(self, nexus: Nexus) -> bool:
        """RESERVE; False is RESERVATION CONFLICT."""
        if self.persistent.in_use:
            return self._is_compatible(nexus)
        if self._holder not in (None, nexus):
            return False
        self._holder = nexus
        return True

    def release(self, nexus: Nexus) -> bool:
        """RELEASE; by anyone but the holder it is GOOD and does nothing. False is RESERVATION CONFLICT."""
        if self.persistent.in_use:
            return self._is_compatible(nexus)
        if nexus == self._holder:
            self._holder = None
        return True

    def _is_compatible(self, nexus: Nexus) -> bool:
        """Beside persistent registrations only who has access by the reservation succeeds, and without effect.

        Compatible reservation handling, SPC-4 5.13.3.
        """
        return self.persistent.reservation is not None and self.persistent.admits(nexus)

    def nexus_lost(self, nexus: Nexus) -> None:
        """RESERVE ends with its nexus; persistent reservations survive it."""
        if nexus == self._holder:
            self._holder = None

    def reset(self) -> None:
        """A reset ends RESERVE; persistent reservations survive it."""
        self._holder = None
