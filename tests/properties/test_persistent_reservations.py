"""Persistent reservations under any sequence of service actions, resets, lost nexuses and power cycles.

What must hold after each step, whatever hosts ask for:

* a reservation has a holder that is registered, and one of all registrants has registrants;
* the conflict table follows from type and registration alone;
* a command that ends RESERVATION CONFLICT or CHECK CONDITION has changed nothing;
* PRgeneration moves by one at most, and not for RESERVE or RELEASE;
* what a power cycle leaves is everything or nothing, as the last REGISTER said.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.scsi import PersistentOut, PersistentType
from iscsi.sense import BUS_RESET
from iscsi.transport_id import TransportId
from target.disk import Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.persistent import PersistentReservations, Snapshot
from target.reservation_memory import KeptRecord
from target.store import MemoryStore

GOOD, CONFLICT = ScsiStatus.GOOD, ScsiStatus.RESERVATION_CONFLICT
NEXUSES = tuple(Nexus(f"iqn.host,i,0x40000137000{n}", "iqn.array,t,0x0001", 1, 1) for n in range(4))
KEYS = st.sampled_from((0, 1, 2, 3))
KINDS = st.sampled_from((*PersistentType, 0, 2))
WRITE_EXCLUSIVE = (1, 5, 7)
SHARED = (5, 6, 7, 8)


class Hosts(RuleBasedStateMachine):
    @initialize()
    def power_on(self) -> None:
        self.memory = KeptRecord()
        self.cycle()

    def cycle(self) -> None:
        self.unit = LogicalUnit(Disk(MemoryStore(1 << 20), volume_identity("g", "v"), memory=self.memory))
        self.greet()

    def greet(self) -> None:
        for nexus in NEXUSES:
            while self.unit.disk.attentions.take(nexus):
                pass

    @property
    def persistent(self) -> PersistentReservations:
        return self.unit.disk.reservations.persistent

    def call(self, nexus: Nexus, action: int, kind: int, data: bytes) -> ScsiStatus:
        before = self.persistent.snapshot()
        cdb = bytes((0x5F, action, kind, 0, 0)) + len(data).to_bytes(4, "big")
        result = self.unit.execute(cdb, data, nexus)
        self.check_step(action, before, result.status)
        assert all(other in before[0] and other != nexus for other in result.aborted)
        self.greet()
        return result.status

    def check_step(self, action: int, before: Snapshot, status: ScsiStatus) -> None:
        after = self.persistent.snapshot()
        if status is not GOOD:
            assert after == before
        counted = after[2] - before[2]
        assert counted in (0, 1)
        if action in (PersistentOut.RESERVE, PersistentOut.RELEASE):
            assert not counted
            assert after[0] == before[0]
        elif after[0] != before[0]:
            assert counted

    @rule(
        nexus=st.sampled_from(NEXUSES),
        action=st.sampled_from([action for action in PersistentOut if action is not PersistentOut.REGISTER_AND_MOVE]),
        kind=KINDS,
        key=KEYS,
        other_key=KEYS,
        aptpl=st.booleans(),
    )
    def basic(self, nexus: Nexus, action: PersistentOut, kind: int, key: int, other_key: int, aptpl: bool) -> None:
        known = self.persistent.is_registered(nexus)
        data = bytearray(scsi.persistent_reserve_list(key, other_key))
        data[20] = aptpl
        status = self.call(nexus, action, kind, bytes(data))
        registers = (PersistentOut.REGISTER, PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY)
        if action not in registers and not known:
            assert status is not GOOD

    @rule(nexus=st.sampled_from(NEXUSES), named=st.sets(st.sampled_from(range(4))), new_key=KEYS)
    def register_several(self, nexus: Nexus, named: set[int], new_key: int) -> None:
        ids = b"".join(TransportId.of_port(NEXUSES[index].initiator_port).encode() for index in sorted(named))
        data = scsi.persistent_reserve_list(0, new_key)[:20] + b"\x08\0\0\0" + len(ids).to_bytes(4, "big") + ids
        if self.call(nexus, PersistentOut.REGISTER, 0, data) is GOOD and new_key:
            registered = dict(self.persistent.registrations)
            assert all(registered[NEXUSES[index]] == new_key for index in named)
            assert registered[nexus] == new_key

    @rule(
        nexus=st.sampled_from(NEXUSES),
        to=st.sampled_from(NEXUSES),
        key=KEYS,
        new_key=KEYS,
        unreg=st.booleans(),
        aptpl=st.booleans(),
    )
    def move(self, nexus: Nexus, to: Nexus, key: int, new_key: int, unreg: bool, aptpl: bool) -> None:
        held, held_here = self.persistent.reservation, self.persistent.holds(nexus)
        ids = TransportId.of_port(to.initiator_port).encode()
        head = scsi.persistent_reserve_list(key, new_key)[:16] + bytes((0, unreg << 1 | aptpl, 0, 1))
        if self.call(nexus, PersistentOut.REGISTER_AND_MOVE, 0, head + len(ids).to_bytes(4, "big") + ids) is GOOD:
            assert held_here
            assert held is not None
            moved = self.persistent.reservation
            assert moved is not None
            assert (moved.kind, moved.holder) == (held.kind, to)
            assert self.persistent.is_registered(nexus) is not unreg

    @rule(nexus=st.sampled_from(NEXUSES))
    def lose(self, nexus: Nexus) -> None:
        before = self.persistent.snapshot()
        self.unit.nexus_lost(nexus)
        self.unit.reset(BUS_RESET)
        assert self.persistent.snapshot() == before
        self.greet()

    @rule()
    def lose_power(self) -> None:
        keys, held, _, survives = self.persistent.snapshot()
        self.cycle()
        again = self.persistent.snapshot()
        if not survives:
            keys, held = {}, None
        assert again[0] == keys
        assert list(again[0]) == list(keys)
        assert again[2] == 0
        kept = again[1]
        assert (held is None) == (kept is None)
        if held is not None and kept is not None:
            assert kept.kind == held.kind
            assert kept.all_registrants or kept.holder == held.holder

    @invariant()
    def a_reservation_has_a_holder(self) -> None:
        persistent = self.persistent
        if persistent.reservation is not None:
            assert any(persistent.holds(nexus) for nexus, _ in persistent.registrations)
        assert all(key for _, key in persistent.registrations)

    @invariant()
    def access_follows_from_the_reservation(self) -> None:
        persistent = self.persistent
        reservation = persistent.reservation
        for nexus in NEXUSES:
            full = reservation is None or persistent.holds(nexus)
            full = full or (reservation is not None and reservation.kind in SHARED and persistent.is_registered(nexus))
            reads = full or (reservation is not None and reservation.kind in WRITE_EXCLUSIVE)
            assert self.unit.execute(scsi.read(0, 1), b"", nexus).status is (GOOD if reads else CONFLICT)
            assert self.unit.execute(scsi.write(0, 1), bytes(512), nexus).status is (GOOD if full else CONFLICT)


TestHosts = Hosts.TestCase
