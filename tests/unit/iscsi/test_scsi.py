"""CDBs are compared with bytes written out by hand from SBC-3 and SPC-4."""

import pytest

from iscsi import scsi
from iscsi.scsi import PersistentOut, PersistentType


@pytest.mark.parametrize(
    ("cdb", "expected"),
    [
        (scsi.test_unit_ready(), "00"),
        (scsi.read(0x12345, 256, width=6), "08 01 23 45 00"),
        (scsi.read(0x02000000, 8), "28 00 02 00 00 00 00 00 08"),
        (scsi.write(7, 2, fua=True, dpo=True), "2a 18 00 00 00 07 00 00 02"),
        (scsi.read(5, 0x10000, width=12), "a8 00 00 00 00 05 00 01 00 00"),
        (scsi.write(1 << 32, 1), "8a 00 00 00 00 01 00 00 00 00 00 00 00 01"),
        (scsi.verify(1, 2, byte_check=1), "2f 02 00 00 00 01 00 00 02"),
        (scsi.synchronize_cache(), "35"),
        (scsi.write_same(1, 2, unmap=True), "41 08 00 00 00 01 00 00 02"),
        (scsi.write_same(1, 2, no_data=True), "93 01 00 00 00 00 00 00 00 01 00 00 00 02"),
        (scsi.compare_and_write(3, 1), "89 00 00 00 00 00 00 00 00 03 00 00 00 01"),
        (scsi.unmap(24), "42 00 00 00 00 00 00 00 18"),
        (scsi.inquiry(), "12 00 00 00 ff"),
        (scsi.inquiry(4096, vpd_page=0x83), "12 01 83 10 00"),
        (scsi.read_capacity_10(), "25"),
        (scsi.read_capacity_16(), "9e 10 00 00 00 00 00 00 00 00 00 00 00 20"),
        (scsi.get_lba_status(9), "9e 12 00 00 00 00 00 00 00 09 00 00 00 18"),
        (scsi.report_luns(16), "a0 00 00 00 00 00 00 00 00 10"),
        (scsi.mode_sense_6(0x3F), "1a 00 3f 00 ff"),
        (scsi.mode_sense_10(0x08), "5a 00 08 00 00 00 00 04 00"),
        (scsi.request_sense(descriptor=True), "03 01 00 00 fc"),
        (scsi.reserve_6(), "16"),
        (
            scsi.persistent_reserve_out(PersistentOut.RESERVE, PersistentType.WRITE_EXCLUSIVE),
            "5f 01 01 00 00 00 00 00 18",
        ),
    ],
)
def test_builders_give_the_sixteen_bytes_of_the_standard(cdb: bytes, expected: str) -> None:
    assert cdb == bytes.fromhex(expected).ljust(16, b"\0")


@pytest.mark.parametrize("width", [6, 10, 12, 16])
def test_what_a_builder_wrote_is_what_block_range_reads(width: int) -> None:
    assert scsi.block_range(scsi.read(0x1FFFFF, 200, width=width)) == (0x1FFFFF, 200)


def test_a_short_read_with_length_zero_means_256_blocks_and_only_there() -> None:
    assert scsi.block_range(bytes.fromhex("080000050000").ljust(16, b"\0")) == (5, 256)
    assert scsi.block_range(scsi.read(5, 0)) == (5, 0)


def test_commands_without_blocks_have_no_block_range() -> None:
    assert scsi.block_range(scsi.inquiry()) is None


@pytest.mark.parametrize(
    ("lba", "blocks", "width"), [(1 << 21, 1, 6), (0, 257, 6), (1 << 32, 1, 10), (0, 1 << 16, 10), (-1, 1, 16)]
)
def test_numbers_that_do_not_fit_are_refused_by_name(lba: int, blocks: int, width: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        scsi.read(lba, blocks, width=width)


def test_a_width_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no 6-byte form"):
        scsi.verify(0, 1, width=6)
