"""MODE SENSE and MODE SELECT of a disk: which pages, which values, what may be changed and who hears of it."""

from pathlib import Path

import pytest

from iscsi import scsi
from iscsi.capacity import build_unmap_list
from iscsi.constants import ScsiStatus
from iscsi.mode import (
    ModeData,
    ModePage,
    PageControl,
    block_descriptor,
    caching_page,
    control_extension_page,
    control_page,
    disk_pages,
)
from iscsi.sense import (
    BUS_RESET,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_PARAMETER_LIST,
    MODE_PARAMETERS_CHANGED,
    PARAMETER_LIST_LENGTH_ERROR,
    SAVING_PARAMETERS_NOT_SUPPORTED,
    WRITE_PROTECTED,
    Sense,
)
from target.command import ScsiResult
from target.disk import Disk
from target.file_store import FileStore
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import MemoryStore

IDENTITY = volume_identity("g", "v")


def sense_of(result: ScsiResult) -> Sense:
    assert result.status is ScsiStatus.CHECK_CONDITION
    assert result.data == b""
    return Sense.decode(result.sense)


def good(result: ScsiResult) -> bytes:
    assert result.status is ScsiStatus.GOOD, result.sense.hex(" ")
    return result.data


def sense_10(
    unit: LogicalUnit, nexus: Nexus, page: int, subpage: int = 0, control: int = 0, flags: int = 0
) -> ModeData:
    head = bytes((0x5A, flags, control << 6 | page, subpage, 0, 0, 0, 0xFF, 0xFF, 0))
    return ModeData.decode_10(good(unit.execute(head, b"", nexus)))


def select(unit: LogicalUnit, nexus: Nexus, *pages: bytes, descriptor: bytes = b"") -> ScsiResult:
    data = bytes((0, 0, 0, len(descriptor))) + descriptor + b"".join(pages)
    return unit.execute(scsi.mode_select_6(len(data)), data, nexus)


def select_10(unit: LogicalUnit, nexus: Nexus, data: bytes) -> ScsiResult:
    return unit.execute(bytes((0x55, 0x10, 0, 0, 0, 0, 0)) + len(data).to_bytes(2, "big"), data, nexus)


def unit_on(disk: Disk, *nexuses: Nexus) -> LogicalUnit:
    unit = LogicalUnit(disk)
    for nexus in nexuses:
        unit.execute(scsi.test_unit_ready(), b"", nexus)
    return unit


# -- MODE SENSE ----------------------------------------------------------------------------------------------------


def test_page_3fh_shows_all_pages_and_subpage_ffh_their_subpages_too(unit: LogicalUnit, one: Nexus) -> None:
    formats = disk_pages(write_cache=False)
    assert sense_10(unit, one, 0x3F).pages == tuple(page.default for page in formats if page.key[1] == 0)
    assert sense_10(unit, one, 0x3F, 0xFF).pages == tuple(page.default for page in formats)
    assert sense_10(unit, one, 0x3F, 0xFF, PageControl.CHANGEABLE).pages == tuple(page.changeable for page in formats)


def test_current_values_change_and_default_values_do_not(unit: LogicalUnit, one: Nexus) -> None:
    changed = control_page(descriptor_sense=True, task_aborted_status=True)
    good(select(unit, one, changed))
    assert sense_10(unit, one, 0x0A, control=PageControl.CURRENT).pages == (changed,)
    assert sense_10(unit, one, 0x0A, control=PageControl.DEFAULT).pages == (control_page(),)


def test_saved_values_do_not_exist(unit: LogicalUnit, one: Nexus) -> None:
    cdb = scsi.mode_sense_6(0x3F, page_control=PageControl.SAVED)
    assert sense_of(unit.execute(cdb, b"", one)) == SAVING_PARAMETERS_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("page", "subpage", "byte", "bit"), [(0x05, 0, 2, 5), (0x0A, 2, 3, None), (0x3F, 1, 3, None), (0x08, 1, 3, None)]
)
def test_a_page_the_disk_does_not_have(
    unit: LogicalUnit, one: Nexus, page: int, subpage: int, byte: int, bit: int | None
) -> None:
    cdb = bytes((0x1A, 0, page, subpage, 255, 0))
    assert sense_of(unit.execute(cdb, b"", one)) == INVALID_FIELD_IN_CDB.at(byte, bit)


def test_block_descriptors_short_long_and_none(one: Nexus) -> None:
    unit = unit_on(Disk(MemoryStore(1 << 45), IDENTITY, block_size=4096), one)
    blocks = 1 << 33
    assert sense_10(unit, one, 0x08).block_descriptor == block_descriptor(0xFFFFFFFF, 4096)
    assert sense_10(unit, one, 0x08, flags=0x10).block_descriptor == block_descriptor(blocks, 4096, long_lba=True)
    for flags in (0x08, 0x18):
        assert sense_10(unit, one, 0x08, flags=flags).block_descriptor == b""


@pytest.mark.parametrize("length", [0, 3, 4, 12, 255])
def test_the_answer_is_cut_to_the_allocation_length(unit: LogicalUnit, one: Nexus, length: int) -> None:
    whole = good(unit.execute(scsi.mode_sense_6(0x3F), b"", one))
    assert good(unit.execute(scsi.mode_sense_6(0x3F, allocation_length=length), b"", one)) == whole[:length]
    assert whole[0] == len(whole) - 1


# -- MODE SELECT ---------------------------------------------------------------------------------------------------

CACHE_ON = caching_page(write_cache=True)
SENSE_ON = control_page(descriptor_sense=True)


def test_each_bit_of_the_changeable_mask_can_be_changed_and_no_other(unit: LogicalUnit, one: Nexus) -> None:
    for form in disk_pages(write_cache=False):
        head = 4 if form.key[1] else 2
        for at in range(head, len(form.default)):
            for bit in range(8):
                page = bytearray(form.default)
                page[at] ^= 1 << bit
                result = select(unit, one, bytes(page))
                if form.changeable[at] >> bit & 1:
                    good(result)
                    assert sense_10(unit, one, *form.key).pages == (bytes(page),)
                    good(select(unit, one, form.default))
                else:
                    assert sense_of(result) == INVALID_FIELD_IN_PARAMETER_LIST.at(4 + at, in_cdb=False)
    assert sense_10(unit, one, 0x3F, 0xFF).pages == tuple(page.default for page in disk_pages(write_cache=False))


def test_a_list_is_taken_whole_or_not_at_all(unit: LogicalUnit, one: Nexus) -> None:
    bad = bytearray(control_page())
    bad[3] ^= 0x10
    assert sense_of(select(unit, one, CACHE_ON, bytes(bad))) == INVALID_FIELD_IN_PARAMETER_LIST.at(27, in_cdb=False)
    assert sense_10(unit, one, 0x08).pages == (caching_page(write_cache=False),)
    good(select(unit, one, CACHE_ON, control_extension_page(), SENSE_ON))
    assert sense_10(unit, one, 0x08).pages == (CACHE_ON,)
    assert unit.disk.descriptor_sense


def test_the_ps_bit_of_a_page_is_not_kept(unit: LogicalUnit, one: Nexus) -> None:
    good(select(unit, one, bytes((0x80 | SENSE_ON[0],)) + SENSE_ON[1:]))
    assert sense_10(unit, one, 0x0A).pages == (SENSE_ON,)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\0", PARAMETER_LIST_LENGTH_ERROR),
        (b"\0\0\0\x08" + bytes(7), PARAMETER_LIST_LENGTH_ERROR),
        (bytes(4) + SENSE_ON[:-1], PARAMETER_LIST_LENGTH_ERROR),
        (bytes(4) + SENSE_ON + b"\x08", PARAMETER_LIST_LENGTH_ERROR),
        (bytes(4) + control_extension_page()[:-1], PARAMETER_LIST_LENGTH_ERROR),
        (b"\0\x01\0\0" + SENSE_ON, INVALID_FIELD_IN_PARAMETER_LIST.at(1, in_cdb=False)),
        (b"\0\0\0\x10" + bytes(16), INVALID_FIELD_IN_PARAMETER_LIST.at(3, in_cdb=False)),
        (b"\0\0\0\x08" + block_descriptor(2047, 512), INVALID_FIELD_IN_PARAMETER_LIST.at(4, in_cdb=False)),
        (b"\0\0\0\x08" + block_descriptor(2048, 4096), INVALID_FIELD_IN_PARAMETER_LIST.at(9, in_cdb=False)),
        (bytes(4) + b"\x05\x02\0\0", INVALID_FIELD_IN_PARAMETER_LIST.at(4, in_cdb=False)),
        (bytes(4) + b"\x0a\x02\0\0", INVALID_FIELD_IN_PARAMETER_LIST.at(5, in_cdb=False)),
        (bytes(4) + b"\x4a\x01\0\x02\0\0", INVALID_FIELD_IN_PARAMETER_LIST.at(7, in_cdb=False)),
    ],
)
def test_lists_that_are_refused(unit: LogicalUnit, one: Nexus, data: bytes, expected: Sense) -> None:
    assert sense_of(unit.execute(scsi.mode_select_6(len(data)), data, one)) == expected


@pytest.mark.parametrize(
    "descriptor", [block_descriptor(2048, 512), block_descriptor(0, 512), block_descriptor(0xFFFFFFFF, 512)]
)
def test_a_block_descriptor_may_say_what_is_true_anyway(unit: LogicalUnit, one: Nexus, descriptor: bytes) -> None:
    good(select(unit, one, SENSE_ON, descriptor=descriptor))
    assert unit.disk.blocks == 2048


def test_the_10_byte_form_takes_long_block_descriptors(unit: LogicalUnit, one: Nexus) -> None:
    long = block_descriptor(2048, 512, long_lba=True)
    good(select_10(unit, one, bytes((0, 0, 0, 0, 1, 0, 0, 16)) + long + SENSE_ON))
    assert unit.disk.descriptor_sense
    refused = select_10(unit, one, bytes((0, 0, 0, 0, 1, 0, 0, 8)) + block_descriptor(2048, 512))
    assert sense_of(refused) == INVALID_FIELD_IN_PARAMETER_LIST.at(7, in_cdb=False)


@pytest.mark.parametrize(("byte_1", "bit"), [(0x00, 4), (0x11, 0), (0x12, 1)])
def test_other_formats_and_saving_are_refused(unit: LogicalUnit, one: Nexus, byte_1: int, bit: int) -> None:
    data = bytes(4) + SENSE_ON
    cdb = bytes((0x15, byte_1, 0, 0, len(data), 0))
    assert sense_of(unit.execute(cdb, data, one)) == INVALID_FIELD_IN_CDB.at(1, bit)


def test_an_empty_list_changes_nothing(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    good(unit.execute(scsi.mode_select_6(0), b"", one))
    good(select(unit, one))
    good(select(unit, one, control_page()))  # what is there already
    good(unit.execute(scsi.test_unit_ready(), b"", two))


def test_a_change_is_told_to_the_other_nexuses_and_ends_with_a_reset(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    good(select(unit, one, control_page(task_aborted_status=True)))
    assert sense_of(unit.execute(scsi.test_unit_ready(), b"", two)) == MODE_PARAMETERS_CHANGED
    good(unit.execute(scsi.test_unit_ready(), b"", one))
    assert unit.disk.task_aborted_status
    unit.reset(BUS_RESET)
    assert not unit.disk.task_aborted_status


# -- what the bits do ----------------------------------------------------------------------------------------------


def test_a_host_may_ask_for_descriptor_sense(unit: LogicalUnit, one: Nexus) -> None:
    good(select(unit, one, SENSE_ON))
    assert unit.execute(scsi.read(unit.disk.blocks, 1), b"", one).sense[0] == 0x72


@pytest.mark.parametrize("read_only", [False, True])
def test_a_host_may_write_protect_the_disk(one: Nexus, read_only: bool) -> None:
    unit = unit_on(Disk(MemoryStore(1 << 20), IDENTITY, read_only=read_only), one)
    good(select(unit, one, control_page(write_protect=True)))
    protected = sense_10(unit, one, ModePage.CONTROL)
    assert (protected.write_protected, protected.pages) == (True, (control_page(write_protect=True),))
    assert sense_of(unit.execute(scsi.write(0, 1), bytes(512), one)) == WRITE_PROTECTED
    good(select(unit, one, control_page()))
    assert sense_10(unit, one, ModePage.CONTROL).write_protected is read_only


def test_there_is_no_write_cache_in_memory_and_one_in_a_file(tmp_path: Path, one: Nexus) -> None:
    for store in (MemoryStore(1 << 20), FileStore.open(tmp_path / "v", 1 << 20)):
        unit = unit_on(Disk(store, IDENTITY), one)
        expected = caching_page(write_cache=store.write_cache)
        assert sense_10(unit, one, ModePage.CACHING, control=PageControl.DEFAULT).pages == (expected,)
        unit.close()


class CountingFlushes(MemoryStore):
    """A store with a write cache, that counts its flushes."""

    flushes = 0

    @property
    def write_cache(self) -> bool:
        return True

    def flush(self) -> None:
        self.flushes += 1


WRITES = {
    "WRITE(10)": (scsi.write(0, 1), bytes(512)),
    "WRITE AND VERIFY(10)": (bytes.fromhex("2e0000000000000001").ljust(16, b"\0"), bytes(512)),
    "ORWRITE(16)": (bytes.fromhex("8b00000000000000000000000001").ljust(16, b"\0"), bytes(512)),
    "COMPARE AND WRITE": (scsi.compare_and_write(0, 1), bytes(1024)),
    "WRITE SAME(16)": (scsi.write_same(0, 1, width=16), bytes(512)),
    "UNMAP": (scsi.unmap(24), build_unmap_list([(0, 1)])),
}


@pytest.mark.parametrize("name", WRITES)
def test_without_the_write_cache_a_write_is_stable_before_it_is_good(one: Nexus, name: str) -> None:
    store = CountingFlushes(1 << 20)
    unit = unit_on(Disk(store, IDENTITY), one)
    cdb, data = WRITES[name]
    good(unit.execute(cdb, data, one))
    store.flushes = 0
    good(select(unit, one, caching_page(write_cache=False)))
    assert store.flushes == 1  # what the cache held
    good(unit.execute(cdb, data, one))
    assert store.flushes == 2
    good(select(unit, one, caching_page(write_cache=True)))
    good(unit.execute(scsi.write(0, 1), bytes(512), one))
    assert store.flushes == 2
