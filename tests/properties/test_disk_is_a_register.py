"""Whatever is written, compared, unmapped and repeated, a disk reads like a plain array of bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iscsi import scsi
from iscsi.capacity import build_unmap_list
from iscsi.constants import ScsiStatus
from target.file_store import FileStore
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.snapshot_store import SnapshotStore
from target.store import GRANULE_BYTES, BlockStore, MemoryStore

BLOCK = 512
BLOCKS = 3 * GRANULE_BYTES // BLOCK + 5
NEXUS = Nexus("iqn.host,i,0x1", "iqn.array,t,0x0001", 1, 1)

Step = tuple[str, int, int, int]

lbas = st.integers(0, BLOCKS - 1)
steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "unmap", "same", "same-unmap", "zero", "compare", "or", "read"]),
        lbas,
        st.integers(1, BLOCKS),
        st.integers(0, 255),
    ),
    max_size=12,
)


def memory(folder: Path) -> BlockStore:
    return MemoryStore(BLOCKS * BLOCK)


def file(folder: Path) -> BlockStore:
    return FileStore.open(folder / "volume", BLOCKS * BLOCK)


def snapshot(folder: Path) -> BlockStore:
    base = folder / "base"
    base.write_bytes(bytes(BLOCKS * BLOCK))
    return SnapshotStore.open(folder / "volume", base, BLOCKS * BLOCK)


def orwrite(lba: int, blocks: int) -> bytes:
    return bytes((0x8B, 0)) + lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(2)


def apply(unit: LogicalUnit, model: bytearray, step: Step) -> None:
    what, lba, blocks, fill = step
    blocks = min(blocks, BLOCKS - lba)
    start, end = lba * BLOCK, (lba + blocks) * BLOCK
    data = bytes((fill + at) % 256 for at in range(BLOCK)) * blocks
    if what == "read":
        assert unit.execute(scsi.read(lba, blocks), b"", NEXUS).data == model[start:end]
        return
    if what == "compare":
        blocks = min(blocks, 255)
        end, data = (lba + blocks) * BLOCK, data[: blocks * BLOCK]
    cdb, payload, after = {
        "write": (scsi.write(lba, blocks), data, data),
        "unmap": (scsi.unmap(24), build_unmap_list([(lba, blocks)]), bytes(len(data))),
        "same": (scsi.write_same(lba, blocks), data[:BLOCK], data),
        "same-unmap": (scsi.write_same(lba, blocks, width=16, unmap=True), bytes(BLOCK), bytes(len(data))),
        "zero": (scsi.write_same(lba, blocks, no_data=True), b"", bytes(len(data))),
        "compare": (scsi.compare_and_write(lba, min(blocks, 255)), bytes(model[start:end]) + data, data),
        "or": (
            orwrite(lba, blocks),
            data,
            bytes(one | other for one, other in zip(model[start:end], data, strict=True)),
        ),
    }[what]
    assert unit.execute(cdb, payload, NEXUS).status is ScsiStatus.GOOD
    model[start:end] = after


@pytest.mark.parametrize("make", [memory, file, snapshot])
@settings(deadline=None, max_examples=60)
@given(steps=steps)
def test_a_disk_reads_like_an_array_of_bytes(make: Callable[[Path], BlockStore], steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        unit = LogicalUnit.over(make(Path(folder)), volume_identity("g", "v"))
        unit.execute(scsi.test_unit_ready(), b"", NEXUS)
        model = bytearray(BLOCKS * BLOCK)
        for step in steps:
            apply(unit, model, step)
        assert unit.execute(scsi.read(0, BLOCKS), b"", NEXUS).data == model
        unit.close()


@settings(deadline=None, max_examples=300)
@given(cdb=st.binary(min_size=16, max_size=16), data=st.binary(max_size=64))
def test_no_cdb_raises_or_answers_anything_but_a_scsi_status(cdb: bytes, data: bytes) -> None:
    unit = LogicalUnit.over(MemoryStore(BLOCKS * BLOCK), volume_identity("g", "v"))
    unit.execute(scsi.test_unit_ready(), b"", NEXUS)
    result = unit.execute(cdb, data, NEXUS)
    assert isinstance(result.status, ScsiStatus)
    assert bool(result.sense) == (result.status is ScsiStatus.CHECK_CONDITION)
    unit.transfer_length(cdb)


@settings(deadline=None, max_examples=300)
@given(row=st.integers(0, 255), tail=st.binary(min_size=15, max_size=15), data=st.binary(max_size=64))
def test_no_fields_of_a_known_command_raise_either(row: int, tail: bytes, data: bytes) -> None:
    """As above, with bits drawn only where the command looks, so that its handler runs."""
    unit = LogicalUnit.over(MemoryStore(BLOCKS * BLOCK), volume_identity("g", "v"))
    unit.execute(scsi.test_unit_ready(), b"", NEXUS)
    command = unit.commands[row % len(unit.commands)]
    action = command.service_action or 0
    fields = bytes(bits & mask for bits, mask in zip(tail, command.mask[1:], strict=False))
    cdb = bytes((command.opcode,)) + fields.ljust(15, b"\0")
    if command.service_action is not None:
        cdb = cdb[:1] + bytes((cdb[1] & 0xE0 | action,)) + cdb[2:]
    assert isinstance(unit.execute(cdb, data, NEXUS).status, ScsiStatus)
