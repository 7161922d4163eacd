"""Which other disks of the array a host may name in an EXTENDED COPY: those it could log in to as it is.

A copy must not be a way around the access rules. A session reaches a volume when a rule of that volume lets its
initiator name in from its address, and asks for no CHAP or for the very one the session has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target.disk import Disk
from target.nexus import Nexus
from target.session import Session

if TYPE_CHECKING:
    from target.group import Group, Volume


class ArrayReach:
    """`target.copies.Reach` for the disks of a group."""

    __slots__ = ("_group",)

    def __init__(self, group: Group) -> None:
        self._group = group

    def __call__(self, nexus: Nexus, naa: bytes) -> tuple[Disk, Nexus] | None:
        """The disk with this name, if the host behind the nexus may use it, and the nexus it has there.

        A host that is logged in there, too, acts as that session, with its registrations; else as it comes.
        """
        session = next((session for session in self._group.sessions.all() if session.nexus == nexus), None)
        if session is None:
            return None
        for volume in self._group.volumes.values():
            for unit in volume.luns.units():
                if unit.disk.identity.naa == naa:
                    return (unit.disk, self._nexus_at(volume, session)) if self._admits(volume, session) else None
        return None

    def _admits(self, volume: Volume, session: Session) -> bool:
        rule = self._group.rule(volume, session.identity.initiator_name, session.source)
        return rule is not None and (rule.chap is None or rule.chap == session.chap)

    def _nexus_at(self, volume: Volume, session: Session) -> Nexus:
        target, initiator = volume.config.iqn.lower(), session.identity.initiator_name
        if session.identity.target_name == target:
            return session.nexus
        for other in self._group.sessions.all():
            if (other.identity.target_name, other.identity.initiator_name) == (target, initiator):
                return other.nexus
        return session.nexus
