import pytest

from iscsi import scsi
from iscsi.capacity import Capacity, ProvisioningStatus, build_unmap_list, parse_lba_status, parse_lun_list
from iscsi.constants import ScsiStatus
from iscsi.identification import Association, DesignatorType, parse_device_identification
from iscsi.inquiry import BlockLimits, StandardInquiry, VpdPage, parse_serial_number, parse_supported_pages
from iscsi.mode import ModeData
from iscsi.sense import (
    BUS_RESET,
    DEVICE_RESET,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_PARAMETER_LIST,
    INVALID_OPERATION_CODE,
    LBA_OUT_OF_RANGE,
    MEDIUM_READ_ERROR,
    MEDIUM_WRITE_ERROR,
    MISCOMPARE_DURING_VERIFY,
    NEXUS_LOSS,
    NO_SENSE,
    PARAMETER_LIST_LENGTH_ERROR,
    POWER_ON_OR_RESET,
    SPACE_ALLOCATION_FAILED,
    WRITE_PROTECTED,
    Sense,
)
from target.command import DataDirection, ScsiResult
from target.disk import MAX_TRANSFER_BYTES, Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import GRANULE_BYTES, MemoryStore

BLOCKS = 2048
PATTERN = bytes(range(256)) * 4  # two blocks


def sense_of(result: ScsiResult) -> tuple[int, int, int]:
    assert result.status is ScsiStatus.CHECK_CONDITION
    assert result.data == b""
    return Sense.decode(result.sense).code


def good(result: ScsiResult) -> bytes:
    assert result.status is ScsiStatus.GOOD, result.sense.hex(" ")
    return result.data


# -- describing itself ---------------------------------------------------------------------------------------------


def test_inquiry_names_the_array_and_obeys_the_allocation_length(unit: LogicalUnit, one: Nexus) -> None:
    data = good(unit.execute(scsi.inquiry(), b"", one))
    expected = StandardInquiry(vendor="EQLOGIC", product="100E-00", revision="4.3", third_party_copy=True)
    assert StandardInquiry.decode(data) == expected
    assert good(unit.execute(scsi.inquiry(36), b"", one)) == data[:36]


def test_every_page_that_page_00h_lists_can_be_read(unit: LogicalUnit, one: Nexus) -> None:
    pages = parse_supported_pages(good(unit.execute(scsi.inquiry(vpd_page=0), b"", one)))
    assert pages == tuple(VpdPage)
    for page in pages:
        assert good(unit.execute(scsi.inquiry(4096, vpd_page=page), b"", one))[1] == page


@pytest.mark.parametrize("cdb", [scsi.inquiry(vpd_page=0x86), bytes.fromhex("120080ff00").ljust(16, b"\0")])
def test_unknown_pages_are_an_invalid_field(unit: LogicalUnit, one: Nexus, cdb: bytes) -> None:
    result = unit.execute(cdb, b"", one)
    assert sense_of(result) == INVALID_FIELD_IN_CDB.code
    assert Sense.decode(result.sense) == INVALID_FIELD_IN_CDB.at(2)


def test_both_paths_show_one_disk_and_each_its_own_port(unit: LogicalUnit, one: Nexus) -> None:
    other_port = Nexus("iqn.host,i,0x1", "iqn.array,t,0x0002", 7, 2)
    cdb = scsi.inquiry(4096, vpd_page=VpdPage.DEVICE_IDENTIFICATION)
    here = parse_device_identification(good(unit.execute(cdb, b"", one)))
    there = parse_device_identification(good(unit.execute(cdb, b"", other_port)))
    of_unit = [d for d in here if d.association is Association.LOGICAL_UNIT]
    assert of_unit == [d for d in there if d.association is Association.LOGICAL_UNIT]
    naa = next(d.value for d in of_unit if d.kind is DesignatorType.NAA)
    assert naa.hex().startswith("6090a0")
    ports = {d.kind: d.value for d in there if d.association is Association.TARGET_PORT}
    assert ports[DesignatorType.RELATIVE_TARGET_PORT] == bytes((0, 0, 0, 7))
    assert ports[DesignatorType.TARGET_PORT_GROUP] == bytes((0, 0, 0, 2))
    assert ports[DesignatorType.SCSI_NAME_STRING].rstrip(b"\0") == b"iqn.array,t,0x0002"


def test_serial_number_and_naa_are_the_same_digits(unit: LogicalUnit, one: Nexus) -> None:
    serial = parse_serial_number(good(unit.execute(scsi.inquiry(vpd_page=0x80), b"", one)))
    assert bytes.fromhex(serial) == unit.disk.identity.naa


def test_capacity_in_both_forms(unit: LogicalUnit, one: Nexus) -> None:
    assert Capacity.decode_10(good(unit.execute(scsi.read_capacity_10(), b"", one))) == Capacity(BLOCKS, 512)
    long = Capacity.decode_16(good(unit.execute(scsi.read_capacity_16(), b"", one)))
    assert long == Capacity(BLOCKS, 512, thin=True, reads_zeros=True)
    assert len(good(unit.execute(scsi.read_capacity_16(12), b"", one))) == 12


def test_a_unit_alone_reports_lun_0(unit: LogicalUnit, one: Nexus) -> None:
    assert parse_lun_list(good(unit.execute(scsi.report_luns(), b"", one))) == (0,)
    assert sense_of(unit.execute(scsi.report_luns(15), b"", one)) == INVALID_FIELD_IN_CDB.code


# -- unit attentions -----------------------------------------------------------------------------------------------


def test_the_first_command_of_a_nexus_hears_of_power_on_and_the_second_runs(disk: Disk, one: Nexus) -> None:
    unit = LogicalUnit(disk)
    good(unit.execute(scsi.inquiry(), b"", one))
    good(unit.execute(scsi.report_luns(), b"", one))
    assert sense_of(unit.execute(scsi.write(0, 1), bytes(512), one)) == POWER_ON_OR_RESET.code
    assert disk.store.read(0, 512) == bytes(512)
    good(unit.execute(scsi.test_unit_ready(), b"", one))


def test_request_sense_returns_the_attention_as_data_and_clears_it(disk: Disk, one: Nexus) -> None:
    unit = LogicalUnit(disk)
    assert Sense.decode(good(unit.execute(scsi.request_sense(), b"", one))) == POWER_ON_OR_RESET
    assert Sense.decode(good(unit.execute(scsi.request_sense(descriptor=True), b"", one))) == NO_SENSE
    good(unit.execute(scsi.test_unit_ready(), b"", one))


def test_a_nexus_that_is_alone_with_the_unit_is_not_told_of_its_own_reset(disk: Disk, one: Nexus, two: Nexus) -> None:
    unit = LogicalUnit(disk)
    unit.execute(scsi.test_unit_ready(), b"", one)
    unit.reset(DEVICE_RESET, by=one)
    good(unit.execute(scsi.test_unit_ready(), b"", one))
    unit.reset(DEVICE_RESET, by=two)
    assert sense_of(unit.execute(scsi.test_unit_ready(), b"", one)) == DEVICE_RESET.code
    unit.execute(scsi.test_unit_ready(), b"", two)
    unit.reset(DEVICE_RESET, by=one)
    for nexus in (one, two):
        assert sense_of(unit.execute(scsi.test_unit_ready(), b"", nexus)) == DEVICE_RESET.code


def test_a_reset_is_told_to_every_path_once(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    unit.reset(BUS_RESET)
    for nexus in (one, two):
        assert sense_of(unit.execute(scsi.test_unit_ready(), b"", nexus)) == BUS_RESET.code
        good(unit.execute(scsi.test_unit_ready(), b"", nexus))


def test_a_path_that_comes_back_hears_of_its_loss(unit: LogicalUnit, one: Nexus) -> None:
    unit.nexus_lost(one)
    assert sense_of(unit.execute(scsi.test_unit_ready(), b"", one)) == NEXUS_LOSS.code


# -- reading and writing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [6, 10, 12, 16])
def test_every_width_writes_and_reads_the_same_blocks(unit: LogicalUnit, one: Nexus, width: int) -> None:
    good(unit.execute(scsi.write(width, 2, width=width), PATTERN, one))
    assert good(unit.execute(scsi.read(width, 2, width=width), b"", one)) == PATTERN
    assert unit.disk.store.read((width + 2) * 512, 512) == bytes(512)


@pytest.mark.parametrize(("lba", "blocks"), [(BLOCKS, 1), (BLOCKS - 1, 2), ((1 << 64) - 1, 1), (BLOCKS + 1, 0)])
def test_blocks_that_do_not_exist_are_out_of_range(unit: LogicalUnit, one: Nexus, lba: int, blocks: int) -> None:
    assert sense_of(unit.execute(scsi.read(lba, blocks, width=16), b"", one)) == LBA_OUT_OF_RANGE.code
    write = scsi.write(lba, blocks, width=16)
    assert sense_of(unit.execute(write, bytes(512 * blocks), one)) == LBA_OUT_OF_RANGE.code


def test_a_transfer_of_no_blocks_is_good(unit: LogicalUnit, one: Nexus) -> None:
    assert good(unit.execute(scsi.read(0, 0), b"", one)) == b""
    good(unit.execute(scsi.write(0, 0), b"", one))


def test_page_b0h_says_the_longest_transfer_and_one_block_more_is_refused(one: Nexus) -> None:
    unit = LogicalUnit.over(MemoryStore(1 << 30), volume_identity("g", "v"))
    unit.execute(scsi.test_unit_ready(), b"", one)
    limits = BlockLimits.decode(good(unit.execute(scsi.inquiry(vpd_page=VpdPage.BLOCK_LIMITS), b"", one)))
    assert limits.max_transfer * 512 == MAX_TRANSFER_BYTES
    assert len(good(unit.execute(scsi.read(0, limits.max_transfer), b"", one))) == MAX_TRANSFER_BYTES
    too_long = unit.execute(scsi.read(0, limits.max_transfer + 1), b"", one)
    assert Sense.decode(too_long.sense) == INVALID_FIELD_IN_CDB.at(7)


def test_data_short_of_the_cdb_is_written_in_whole_blocks(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(scsi.write(0, 2), PATTERN[:700], one))
    assert unit.disk.store.read(0, 1024) == PATTERN[:512] + bytes(512)


def test_data_beyond_the_cdb_is_not_written(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(scsi.write(0, 1), PATTERN, one))
    assert unit.disk.store.read(0, 1024) == PATTERN[:512] + bytes(512)


@pytest.mark.parametrize("protect", [1, 3, 7])
def test_protection_bits_are_an_invalid_field_and_the_sense_points_at_them(
    unit: LogicalUnit, one: Nexus, protect: int
) -> None:
    cdb = bytearray(scsi.read(0, 1))
    cdb[1] |= protect << 5
    highest = 7 if protect & 4 else 6 if protect & 2 else 5
    assert Sense.decode(unit.execute(bytes(cdb), b"", one).sense) == INVALID_FIELD_IN_CDB.at(1, highest)


def test_cache_hints_are_accepted(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(scsi.write(0, 1, fua=True, dpo=True), bytes(512), one))
    good(unit.execute(scsi.read(0, 1, fua=True, dpo=True), b"", one))


class CachedStore(MemoryStore):
    """Counts the flushes."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


@pytest.mark.parametrize(
    ("cdb", "flushes"),
    [
        (scsi.write(0, 1), 0),
        (scsi.write(0, 1, fua=True), 1),
        (scsi.synchronize_cache(), 1),
        (scsi.synchronize_cache(0, 1, width=16), 1),
        (scsi.compare_and_write(0, 1), 0),
        (scsi.compare_and_write(0, 1, fua=True), 1),
    ],
)
def test_what_must_be_stable_is_flushed_before_the_answer(one: Nexus, cdb: bytes, flushes: int) -> None:
    store = CachedStore(1 << 20)
    unit = LogicalUnit.over(store, volume_identity("g", "v"))
    unit.execute(scsi.test_unit_ready(), b"", one)
    moves = unit.transfer_length(cdb)
    good(unit.execute(cdb, bytes(moves[1] if moves else 0), one))
    assert store.flushes == flushes


@pytest.mark.parametrize("opcode", [0x04, 0x7E, 0xC0, 0xFF])
def test_an_opcode_that_is_not_there_is_invalid(unit: LogicalUnit, one: Nexus, opcode: int) -> None:
    assert sense_of(unit.execute(bytes((opcode,)).ljust(16, b"\0"), b"", one)) == INVALID_OPERATION_CODE.code


def test_a_service_action_that_is_not_there_is_an_invalid_field(unit: LogicalUnit, one: Nexus) -> None:
    assert sense_of(unit.execute(bytes((0x9E, 0x1F)).ljust(16, b"\0"), b"", one)) == INVALID_FIELD_IN_CDB.code


def test_a_cdb_of_another_length_than_sixteen_is_padded(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(bytes(6), b"", one))


def test_a_read_only_disk_refuses_each_kind_of_write_and_says_so_in_its_mode_data(one: Nexus) -> None:
    unit = LogicalUnit.over(MemoryStore(1 << 20), volume_identity("g", "v"), read_only=True)
    unit.execute(scsi.test_unit_ready(), b"", one)
    writes = [
        (scsi.write(0, 1), bytes(512)),
        (scsi.write_same(0, 1), bytes(512)),
        (scsi.unmap(24), build_unmap_list([(0, 1)])),
        (scsi.compare_and_write(0, 1), bytes(1024)),
        (bytes.fromhex("8b00000000000000000000000001").ljust(16, b"\0"), bytes(512)),
        (bytes.fromhex("2e0000000000000001").ljust(16, b"\0"), bytes(512)),
    ]
    for cdb, data in writes:
        assert sense_of(unit.execute(cdb, data, one)) == WRITE_PROTECTED.code
    good(unit.execute(scsi.read(0, 1), b"", one))
    assert ModeData.decode_6(good(unit.execute(scsi.mode_sense_6(0x3F), b"", one))).write_protected


def test_a_store_that_is_full_fails_the_write_as_space_allocation(one: Nexus) -> None:
    unit = LogicalUnit.over(MemoryStore(1 << 30, limit_bytes=GRANULE_BYTES), volume_identity("g", "v"))
    unit.execute(scsi.test_unit_ready(), b"", one)
    good(unit.execute(scsi.write(0, 1), bytes(512), one))
    assert sense_of(unit.execute(scsi.write(4096, 1), bytes(512), one)) == SPACE_ALLOCATION_FAILED.code


class FailingStore(MemoryStore):
    def gather(self, offset: int, length: int) -> bytes:
        raise OSError("medium")

    def write(self, offset: int, data: bytes) -> None:
        raise OSError("medium")


def test_an_error_of_the_medium_becomes_sense_not_an_exception(one: Nexus) -> None:
    unit = LogicalUnit.over(FailingStore(1 << 20), volume_identity("g", "v"))
    unit.execute(scsi.test_unit_ready(), b"", one)
    assert sense_of(unit.execute(scsi.read(0, 1), b"", one)) == MEDIUM_READ_ERROR.code
    assert sense_of(unit.execute(scsi.write(0, 1), bytes(512), one)) == MEDIUM_WRITE_ERROR.code


def test_a_disk_may_speak_descriptor_sense(one: Nexus) -> None:
    disk = Disk(MemoryStore(1 << 20), volume_identity("g", "v"), descriptor_sense=True)
    assert LogicalUnit(disk).execute(scsi.test_unit_ready(), b"", one).sense == POWER_ON_OR_RESET.descriptor()


# -- comparing, thin provisioning ----------------------------------------------------------------------------------


def test_compare_and_write_writes_only_when_the_blocks_match(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(scsi.compare_and_write(5, 2), bytes(1024) + PATTERN, one))
    assert unit.disk.store.read(5 * 512, 1024) == PATTERN
    wrong = PATTERN[:600] + b"\xee" + PATTERN[601:]
    result = unit.execute(scsi.compare_and_write(5, 2), wrong + bytes(1024), one)
    assert Sense.decode(result.sense) == MISCOMPARE_DURING_VERIFY.with_information(600)
    assert unit.disk.store.read(5 * 512, 1024) == PATTERN


def test_compare_and_write_wants_exactly_twice_its_blocks(unit: LogicalUnit, one: Nexus) -> None:
    for size in (512, 1536):
        assert sense_of(unit.execute(scsi.compare_and_write(5, 1), bytes(size), one)) == INVALID_FIELD_IN_CDB.code


def test_verify_compares_as_bytchk_says(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(scsi.write(0, 2), PATTERN, one))
    good(unit.execute(scsi.verify(0, 2), b"", one))
    good(unit.execute(scsi.verify(0, 2, byte_check=1), PATTERN, one))
    good(unit.execute(scsi.verify(0, 2, byte_check=3), PATTERN[:512], one))
    assert sense_of(unit.execute(scsi.verify(0, 2, byte_check=1), bytes(1024), one)) == MISCOMPARE_DURING_VERIFY.code
    assert sense_of(unit.execute(scsi.verify(0, 2, byte_check=2), PATTERN, one)) == INVALID_FIELD_IN_CDB.code


def test_orwrite_sets_bits_and_clears_none(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(scsi.write(0, 1), b"\x0f" * 512, one))
    good(unit.execute(bytes.fromhex("8b00000000000000000000000001").ljust(16, b"\0"), b"\x30" * 512, one))
    assert unit.disk.store.read(0, 512) == b"\x3f" * 512


def test_unmap_deallocates_and_get_lba_status_shows_it(unit: LogicalUnit, one: Nexus) -> None:
    per_granule = GRANULE_BYTES // 512
    good(unit.execute(scsi.write(0, 2 * per_granule), b"\xff" * (2 * GRANULE_BYTES), one))
    good(unit.execute(scsi.unmap(24), build_unmap_list([(0, per_granule)]), one))
    assert good(unit.execute(scsi.read(0, per_granule), b"", one)) == bytes(GRANULE_BYTES)
    runs = parse_lba_status(good(unit.execute(scsi.get_lba_status(0, 8 + 16 * 8), b"", one)))
    assert [(run.blocks, run.status) for run in runs] == [
        (per_granule, ProvisioningStatus.DEALLOCATED),
        (per_granule, ProvisioningStatus.MAPPED),
        (BLOCKS - 2 * per_granule, ProvisioningStatus.DEALLOCATED),
    ]


def test_an_unmap_list_with_one_bad_range_unmaps_nothing(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(scsi.write(0, 1), b"\xff" * 512, one))
    result = unit.execute(scsi.unmap(40), build_unmap_list([(0, 1), (BLOCKS, 1)]), one)
    assert sense_of(result) == LBA_OUT_OF_RANGE.code
    assert unit.disk.store.read(0, 512) == b"\xff" * 512


def test_unmap_limits(unit: LogicalUnit, one: Nexus) -> None:
    limits = unit.disk.limits
    many = build_unmap_list([(0, 1)] * (limits.max_unmap_descriptors + 1))
    assert sense_of(unit.execute(scsi.unmap(len(many)), many, one)) == INVALID_FIELD_IN_PARAMETER_LIST.code
    wide = build_unmap_list([(0, limits.max_unmap_blocks + 1)])
    assert sense_of(unit.execute(scsi.unmap(len(wide)), wide, one)) == INVALID_FIELD_IN_PARAMETER_LIST.code
    assert sense_of(unit.execute(scsi.unmap(7), bytes(7), one)) == PARAMETER_LIST_LENGTH_ERROR.code
    good(unit.execute(scsi.unmap(0), b"", one))


def test_write_same_repeats_one_block(unit: LogicalUnit, one: Nexus) -> None:
    good(unit.execute(scsi.write_same(10, 3), PATTERN[:512], one))
    assert unit.disk.store.read(9 * 512, 5 * 512) == bytes(512) + PATTERN[:512] * 3 + bytes(512)
    good(unit.execute(scsi.write_same(10, 2, no_data=True), b"", one))
    assert unit.disk.store.read(10 * 512, 3 * 512) == bytes(1024) + PATTERN[:512]


def test_a_thick_disk_neither_offers_nor_takes_unmap(one: Nexus) -> None:
    unit = LogicalUnit.over(MemoryStore(1 << 20), volume_identity("g", "v"), thin=False)
    unit.execute(scsi.test_unit_ready(), b"", one)
    assert sense_of(unit.execute(scsi.unmap(0), b"", one)) == INVALID_OPERATION_CODE.code
    assert sense_of(unit.execute(scsi.write_same(0, 1, unmap=True), bytes(512), one)) == INVALID_FIELD_IN_CDB.code
    assert not Capacity.decode_16(good(unit.execute(scsi.read_capacity_16(), b"", one))).thin


# -- what the transport and the host ask of the table --------------------------------------------------------------


@pytest.mark.parametrize(
    ("cdb", "expected"),
    [
        (scsi.test_unit_ready(), None),
        (bytes((0xC0,)) + bytes(15), None),
        (scsi.read(0, 4), (DataDirection.IN, 2048)),
        (scsi.read(0, 256, width=6), (DataDirection.IN, 131072)),
        (scsi.write(0, 4), (DataDirection.OUT, 2048)),
        (scsi.compare_and_write(0, 2), (DataDirection.OUT, 2048)),
        (scsi.verify(0, 4), (DataDirection.OUT, 0)),
        (scsi.verify(0, 4, byte_check=1), (DataDirection.OUT, 2048)),
        (scsi.verify(0, 4, byte_check=3), (DataDirection.OUT, 512)),
        (scsi.write_same(0, 4), (DataDirection.OUT, 512)),
        (scsi.write_same(0, 4, no_data=True), (DataDirection.OUT, 0)),
        (scsi.unmap(40), (DataDirection.OUT, 40)),
        (scsi.inquiry(96), (DataDirection.IN, 96)),
        (scsi.synchronize_cache(0, 5), None),
    ],
)
def test_transfer_length_is_what_the_cdb_itself_moves(
    unit: LogicalUnit, cdb: bytes, expected: tuple[DataDirection, int] | None
) -> None:
    assert unit.transfer_length(cdb) == expected


def supported(unit: LogicalUnit, nexus: Nexus, option: int, opcode: int = 0, action: int = 0) -> ScsiResult:
    cdb = bytes((0xA3, 0x0C, option, opcode)) + action.to_bytes(2, "big") + (8192).to_bytes(4, "big") + bytes(6)
    return unit.execute(cdb, b"", nexus)


def test_every_command_reported_as_supported_is_one_that_runs(unit: LogicalUnit, one: Nexus) -> None:
    data = good(supported(unit, one, 0))
    listed = [data[at : at + 8] for at in range(4, len(data), 8)]
    assert len(listed) == len(unit.commands)
    for entry in listed:
        has_action = entry[5] & 1
        cdb = bytes((entry[0], entry[3] if has_action else 0)).ljust(16, b"\0")
        result = unit.execute(cdb, b"", one)
        assert not result.sense or Sense.decode(result.sense).code != INVALID_OPERATION_CODE.code


def test_one_command_is_described_by_its_cdb_usage(unit: LogicalUnit, one: Nexus) -> None:
    assert good(supported(unit, one, 1, 0x12)) == bytes.fromhex("00 03 0006 12 01 ff ff ff 00")
    assert good(supported(unit, one, 1, 0xC0)) == bytes.fromhex("00 01 0000")
    assert good(supported(unit, one, 2, 0x9E, 0x10))[:6] == bytes.fromhex("00 03 0010 9e 10")
    assert good(supported(unit, one, 3, 0x9E, 0x1F))[:2] == bytes.fromhex("00 01")
    assert sense_of(supported(unit, one, 1, 0x9E)) == INVALID_FIELD_IN_CDB.code
    assert sense_of(supported(unit, one, 2, 0x12)) == INVALID_FIELD_IN_CDB.code
