"""A disk that must not be changed is not changed, whatever command comes.

Protected by its configuration, by a host (SWP), by another nexus's reservation, or because the medium is out: for each,
any command of the table with any bits that it evaluates leaves the store alone.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.mode import control_page
from iscsi.scsi import CDB_LENGTH, PersistentOut, PersistentType
from target.command import Command, DataDirection
from target.disk import MAX_TRANSFER_BYTES, Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import MemoryStore

BLOCKS = 256
OWNER = Nexus("iqn.owner,i,0x400000000001", "iqn.array,t,0x0001", 1, 1)
HOST = Nexus("iqn.host,i,0x400000000002", "iqn.array,t,0x0001", 1, 1)


class Watched(MemoryStore):
    """A store that notices being changed."""

    changed = False

    def write(self, offset: int, data: bytes) -> None:
        self.changed = self.changed or bool(data)
        super().write(offset, data)

    def discard(self, offset: int, length: int) -> None:
        self.changed = self.changed or bool(length)
        super().discard(offset, length)


def call(unit: LogicalUnit, nexus: Nexus, cdb: bytes, data: bytes = b"") -> None:
    assert unit.execute(cdb, data, nexus).status is ScsiStatus.GOOD


def _by_configuration(unit: LogicalUnit) -> None:
    """It is read-only from the start."""


def _by_a_host(unit: LogicalUnit) -> None:
    data = bytes(4) + control_page(write_protect=True)
    call(unit, OWNER, scsi.mode_select_6(len(data)), data)


def _by_a_reservation(unit: LogicalUnit) -> None:
    call(unit, OWNER, scsi.persistent_reserve_out(PersistentOut.REGISTER), scsi.persistent_reserve_list(0, 1))
    reserve = scsi.persistent_reserve_out(PersistentOut.RESERVE, PersistentType.WRITE_EXCLUSIVE)
    call(unit, OWNER, reserve, scsi.persistent_reserve_list(1))


def _by_reserve(unit: LogicalUnit) -> None:
    call(unit, OWNER, scsi.reserve_6())


def _by_its_absence(unit: LogicalUnit) -> None:
    call(unit, OWNER, bytes.fromhex("1b0000000200").ljust(CDB_LENGTH, b"\0"))


def protected(protect: Callable[[LogicalUnit], None]) -> tuple[LogicalUnit, Watched]:
    store = Watched(BLOCKS * 512)
    store.write(0, b"kept" * 128)
    disk = Disk(store, volume_identity("g", "v"), read_only=protect is _by_configuration, removable=True)
    unit = LogicalUnit(disk)
    for nexus in (OWNER, HOST):
        unit.execute(scsi.test_unit_ready(), b"", nexus)
    protect(unit)
    for nexus in (OWNER, HOST):
        while disk.attentions.take(nexus):
            pass
    store.changed = False
    return unit, store


_LIFTS = ("MODE SELECT", "PERSISTENT RESERVE OUT", "START STOP UNIT")
"""Commands by which a host may lift the protection, and with right."""

_TABLE = LogicalUnit(Disk(MemoryStore(512), volume_identity("g", "v"))).commands
ROWS = [row for row in _TABLE if not row.name.startswith(_LIFTS)]
WRITERS = [
    row for row in ROWS if row.name in ("WRITE(6)", "WRITE(16)", "WRITE SAME(10)", "ORWRITE(16)", "WRITE ATOMIC(16)")
]


@st.composite
def commands(draw: st.DrawFn, rows: list[Command]) -> bytes:
    """A CDB of one of these rows: mostly small numbers where it evaluates something, so that ranges fit the disk."""
    row = draw(st.sampled_from(rows))
    mask = row.mask.ljust(CDB_LENGTH, b"\0")
    bits = draw(st.lists(st.sampled_from((0,) * 12 + (1, 2, 8, 0x10, 0xFF)), min_size=CDB_LENGTH, max_size=CDB_LENGTH))
    cdb = bytearray(one & other for one, other in zip(mask, bits, strict=True))
    cdb[0] = row.opcode
    if row.service_action is not None:
        cdb[1] = cdb[1] & 0xE0 | row.service_action
    return bytes(cdb)


def run(unit: LogicalUnit, cdbs: list[bytes], data: bytes) -> None:
    """The commands one after the other, each with the data it wants."""
    for cdb in cdbs:
        moved = unit.transfer_length(cdb)
        length = moved[1] if moved is not None and moved[0] is DataDirection.OUT else 0
        given_data = (data * (length // max(len(data), 1) + 1))[:length] if length <= MAX_TRANSFER_BYTES else b""
        unit.execute(cdb, given_data, HOST)


@pytest.mark.parametrize("protect", [_by_configuration, _by_a_host, _by_a_reservation, _by_reserve, _by_its_absence])
def test_a_protected_disk_is_left_alone(protect: Callable[[LogicalUnit], None]) -> None:
    @given(cdbs=st.lists(commands(ROWS), max_size=8), data=st.binary(max_size=2048))
    def holds(cdbs: list[bytes], data: bytes) -> None:
        unit, store = protected(protect)
        run(unit, cdbs, data)
        assert not store.changed
        assert store.read(0, 512) == b"kept" * 128

    holds()


def test_the_same_commands_do_change_a_disk_that_is_not_protected() -> None:
    def changes(cdb: bytes) -> bool:
        unit, store = protected(lambda unit: None)
        run(unit, [cdb], b"new")
        return store.changed

    for row in WRITERS:
        find(commands([row]), changes)
