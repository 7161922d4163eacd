"""Persistent reservations: keys registered per I_T nexus, and at most one reservation of the unit.

A cluster host registers on each of its paths. Registrations outlive sessions and resets; the process they outlive only
when a memory was handed in and the last REGISTER asked for it (APTPL). Each method is one service action of PERSISTENT
RESERVE OUT; it returns False for RESERVATION CONFLICT and raises CheckCondition for a malformed request.

Source: SPC-4 5.13 (rules), 6.15 and 6.16 (commands).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iscsi.scsi import PersistentType
from iscsi.sense import (
    INSUFFICIENT_REGISTRATION_RESOURCES,
    INVALID_FIELD_IN_PARAMETER_LIST,
    INVALID_RELEASE_OF_RESERVATION,
    REGISTRATIONS_PREEMPTED,
    RESERVATIONS_PREEMPTED,
    RESERVATIONS_RELEASED,
)
from target.attention import UnitAttentions
from target.command import CheckCondition, bad_cdb_field
from target.nexus import Nexus
from target.reservation_memory import Record, ReservationMemory

MAX_REGISTRATIONS: Final = 1024

_ALL_REGISTRANTS: Final = frozenset(
    (PersistentType.WRITE_EXCLUSIVE_ALL_REGISTRANTS, PersistentType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS)
)
_SHARED: Final = _ALL_REGISTRANTS | {
    PersistentType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
    PersistentType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
}
"""Types under which every registrant has access, so that all must hear of their end."""

_SERVICE_ACTION_KEY_BYTE: Final = 8
_TYPE_BYTE: Final = 2

Snapshot = tuple[dict[Nexus, int], "Reservation | None", int, bool]


@dataclass(frozen=True, slots=True)
class Reservation:
    """The reservation: its type, and who made it. Under an all-registrants type every registrant holds it."""

    kind: PersistentType
    holder: Nexus

    @property
    def all_registrants(self) -> bool:
        return self.kind in _ALL_REGISTRANTS


class PersistentReservations:
    """Registrations and the reservation of one logical unit.

    ``memory`` is read once, here: FileRefused for one that cannot be.
    """

    __slots__ = ("_attentions", "_kept", "_keys", "_memory", "generation", "reservation", "survives_power_loss")

    def __init__(self, attentions: UnitAttentions, memory: ReservationMemory | None = None) -> None:
        self._attentions = attentions
        self._memory = memory
        self._kept = record = Record() if memory is None else memory.load()
        self._keys: dict[Nexus, int] = dict(record.registrations)
        self.reservation: Reservation | None = None
        if record.kind is not None:
            self.reservation = Reservation(record.kind, record.registrations[record.holder][0])
        self.survives_power_loss = bool(self._keys)
        """What the last REGISTER said of APTPL."""
        self.generation = 0
        """Counts changes of the registrations, modulo 2**32."""

    @property
    def can_survive_power_loss(self) -> bool:
        """Whether there is a memory for APTPL."""
        return self._memory is not None

    @property
    def in_use(self) -> bool:
        """Whether any key is registered."""
        return bool(self._keys)

    @property
    def registrations(self) -> tuple[tuple[Nexus, int], ...]:
        """(nexus, key), oldest first."""
        return tuple(self._keys.items())

    def is_registered(self, nexus: Nexus) -> bool:
        return nexus in self._keys

    def holds(self, nexus: Nexus) -> bool:
        """Whether ``nexus`` is a holder of the reservation."""
        reservation = self.reservation
        if reservation is None:
            return False
        return nexus in self._keys if reservation.all_registrants else nexus == reservation.holder

    def admits(self, nexus: Nexus) -> bool:
        """Whether the reservation gives ``nexus`` full access: it holds it, or is registered under a shared type."""
        reservation = self.reservation
        if reservation is None or self.holds(nexus):
            return True
        return reservation.kind in _SHARED and nexus in self._keys

    def register(
        self, nexus: Nexus, key: int, new_key: int, *, ignore_existing: bool, others: tuple[Nexus, ...] = ()
    ) -> bool:
        """REGISTER and REGISTER AND IGNORE EXISTING KEY: ``new_key`` zero unregisters.

        ``others`` (SPEC_I_PT) are registered with the same key, all or none: a registered one among them is a conflict.
        """
        known = self._keys.get(nexus)
        if not ignore_existing and key != (known or 0):
            return False
        if known is None:
            if new_key == 0:
                return True
            added = dict.fromkeys((nexus, *others))
            if any(other in self._keys for other in added):
                return False
            if len(self._keys) + len(added) > MAX_REGISTRATIONS:
                raise CheckCondition(INSUFFICIENT_REGISTRATION_RESOURCES)
            self._keys |= dict.fromkeys(added, new_key)
        elif new_key:
            self._keys[nexus] = new_key
        else:
            self._unregister(nexus)
        self._count()
        return True

    def move(self, nexus: Nexus, key: int, new_key: int, to: Nexus, *, unregister: bool) -> bool:
        """REGISTER AND MOVE: the reservation goes to ``to``, which is registered with ``new_key``.

        Only its one holder can move it; what all registrants hold together cannot be moved.
        """
        held = self.reservation
        if self._keys.get(nexus) != key or held is None or held.all_registrants or held.holder != nexus:
            return False
        if to not in self._keys and len(self._keys) - unregister >= MAX_REGISTRATIONS:
            raise CheckCondition(INSUFFICIENT_REGISTRATION_RESOURCES)
        self._keys[to] = new_key
        self.reservation = Reservation(held.kind, to)
        if unregister:
            del self._keys[nexus]
        self._count()
        return True

    def reserve(self, nexus: Nexus, key: int, kind: PersistentType) -> bool:
        """RESERVE: repeating one's own reservation is GOOD, changing its type is a conflict."""
        if self._keys.get(nexus) != key:
            return False
        if self.reservation is None:
            self.reservation = Reservation(kind, nexus)
            return True
        return self.holds(nexus) and self.reservation.kind == kind

    def release(self, nexus: Nexus, key: int, kind: PersistentType) -> bool:
        """RELEASE: GOOD without effect for a registrant that holds nothing."""
        if self._keys.get(nexus) != key:
            return False
        if self.reservation is None or not self.holds(nexus):
            return True
        if self.reservation.kind != kind:
            raise CheckCondition(INVALID_RELEASE_OF_RESERVATION)
        self._end_reservation(told_by=nexus)
        return True

    def clear(self, nexus: Nexus, key: int) -> bool:
        """CLEAR: no reservation and no registrations remain."""
        if self._keys.get(nexus) != key:
            return False
        others = [other for other in self._keys if other != nexus]
        self._keys.clear()
        self.reservation = None
        self._count()
        self._attentions.establish_each(others, RESERVATIONS_PREEMPTED)
        return True

    def preempt(self, nexus: Nexus, key: int, victim_key: int, kind: PersistentType | None) -> tuple[Nexus, ...] | None:
        """PREEMPT: remove every registration with ``victim_key``, and take over the reservation if it was theirs.

        ``kind`` is looked at where the reservation changes hands; None is then an invalid field. Returns the nexuses
        that lost their registration, for PREEMPT AND ABORT to end their tasks; None is conflict.
        """
        if self._keys.get(nexus) != key:
            return None
        held = self.reservation
        everyone = held is not None and held.all_registrants and victim_key == 0
        if victim_key == 0 and not everyone:
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(_SERVICE_ACTION_KEY_BYTE, in_cdb=False))
        takes_over = everyone or (
            held is not None and not held.all_registrants and self._keys.get(held.holder) == victim_key
        )
        victims = [other for other, known in self._keys.items() if everyone or known == victim_key]
        if not victims:
            return None
        if takes_over:
            if kind is None:
                raise bad_cdb_field(_TYPE_BYTE, 3)
            victims = [other for other in victims if other != nexus]
        for other in victims:
            del self._keys[other]
        self._count()
        lost = tuple(other for other in victims if other != nexus)
        self._attentions.establish_each(lost, REGISTRATIONS_PREEMPTED)
        if takes_over and kind is not None:
            self.reservation = Reservation(kind, nexus)
            if held is not None and held.kind != kind:
                self._tell_registrants(but=nexus)
        elif held is not None and not self._keys:
            self.reservation = None
        return lost

    def keep(self) -> None:
        """Bring the memory up to date with APTPL. Raises OSError."""
        if self._memory is None:
            return
        registrations = self.registrations if self.survives_power_loss else ()
        held = self.reservation
        if held is None or not registrations:
            record = Record(registrations)
        else:
            holder = 0 if held.all_registrants else list(self._keys).index(held.holder)
            record = Record(registrations, held.kind, holder)
        if record != self._kept:
            self._memory.save(record)
            self._kept = record

    def snapshot(self) -> Snapshot:
        """All that a service action may change, for `restore`."""
        return dict(self._keys), self.reservation, self.generation, self.survives_power_loss

    def restore(self, snapshot: Snapshot) -> None:
        """Undo what was done since ``snapshot``."""
        self._keys, self.reservation, self.generation, self.survives_power_loss = snapshot

    def _unregister(self, nexus: Nexus) -> None:
        reservation = self.reservation
        del self._keys[nexus]
        if reservation is None:
            return
        last = not self._keys
        if last if reservation.all_registrants else nexus == reservation.holder:
            self._end_reservation(told_by=nexus)

    def _end_reservation(self, *, told_by: Nexus) -> None:
        reservation, self.reservation = self.reservation, None
        if reservation is not None and reservation.kind in _SHARED:
            self._tell_registrants(but=told_by)

    def _tell_registrants(self, *, but: Nexus) -> None:
        self._attentions.establish_each([other for other in self._keys if other != but], RESERVATIONS_RELEASED)

    def _count(self) -> None:
        self.generation = (self.generation + 1) & 0xFFFFFFFF
