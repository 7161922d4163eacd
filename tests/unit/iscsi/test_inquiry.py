import pytest

from iscsi.capacity import (
    Capacity,
    LbaStatus,
    ProvisioningStatus,
    build_lba_status,
    build_lun_list,
    build_unmap_list,
    parse_lba_status,
    parse_lun_list,
    parse_unmap_list,
)
from iscsi.identification import (
    Association,
    CodeSet,
    Designator,
    DesignatorType,
    build_device_identification,
    naa_designator,
    parse_device_identification,
    relative_port_designator,
    scsi_name_designator,
)
from iscsi.inquiry import (
    BlockLimits,
    Provisioning,
    StandardInquiry,
    build_block_characteristics,
    build_serial_number,
    build_supported_pages,
    parse_block_characteristics,
    parse_serial_number,
    parse_supported_pages,
)

PS100 = StandardInquiry(vendor="EQLOGIC", product="100E-00", revision="4.3")


def test_standard_inquiry_as_hosts_match_it_for_their_device_module() -> None:
    raw = PS100.encode()
    assert raw[:5] == bytes.fromhex("00 00 06 12 45")
    assert raw[8:36] == b"EQLOGIC 100E-00         4.3 "
    assert raw[6:8] == bytes((0x10, 0x02))  # MULTIP, CMDQUE
    assert StandardInquiry.decode(raw) == PS100


def test_a_name_too_long_for_its_field_is_refused() -> None:
    with pytest.raises(ValueError, match="vendor 'EQUALLOGIC' is longer than 8"):
        StandardInquiry(vendor="EQUALLOGIC", product="100E-00", revision="4.3").encode()


def test_short_inquiry_data_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 36 bytes"):
        StandardInquiry.decode(PS100.encode()[:35])


def test_supported_pages_ascend() -> None:
    raw = build_supported_pages((0x83, 0x00, 0xB0, 0x80))
    assert raw == bytes.fromhex("00 00 00 04 00 80 83 b0")
    assert parse_supported_pages(raw) == (0x00, 0x80, 0x83, 0xB0)


def test_serial_number_page() -> None:
    raw = build_serial_number("6090A0")
    assert raw == b"\x00\x80\x00\x066090A0"
    assert parse_serial_number(raw) == "6090A0"


def test_a_page_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="expected VPD page 80h"):
        parse_serial_number(build_supported_pages((0,)))


def test_device_identification_bytes() -> None:
    naa = bytes.fromhex("6090a088000000000000000000000001")
    assert naa_designator(naa).encode() == bytes.fromhex("01 03 00 10") + naa
    assert relative_port_designator(3).encode() == bytes.fromhex("51 94 00 04 0000 0003")
    name = scsi_name_designator(Association.TARGET_PORT, "iqn.a:b,t,0x0001").encode()
    assert name == bytes.fromhex("53 98 00 14") + b"iqn.a:b,t,0x0001\0\0\0\0"


def test_device_identification_round_trip_and_truncation() -> None:
    designators = (
        naa_designator(bytes(16)),
        Designator(Association.LOGICAL_UNIT, DesignatorType.T10_VENDOR_ID, CodeSet.ASCII, b"EQLOGIC x"),
        relative_port_designator(1),
    )
    raw = build_device_identification(designators)
    assert parse_device_identification(raw) == designators
    assert parse_device_identification(raw[:-1]) == designators[:2]


def test_block_limits_bytes_and_round_trip() -> None:
    limits = BlockLimits(True, 255, 8, 16384, 2048, 16384, 1 << 20, 256, 1, 16384)
    raw = limits.encode()
    assert len(raw) == 64
    assert raw[:12] == bytes.fromhex("00 b0 003c 01 ff 0008 00004000")
    assert raw[32:44] == bytes.fromhex("80000000 0000000000004000")
    assert BlockLimits.decode(raw) == limits
    assert BlockLimits.decode(raw[:4]) == BlockLimits()


def test_the_other_block_pages() -> None:
    assert parse_block_characteristics(build_block_characteristics(7200)) == 7200
    page = Provisioning(unmap=True, write_same_16=True, write_same_10=False, reads_zeros=True, thin=True)
    assert page.encode() == bytes.fromhex("00 b2 0004 00 c4 02 00")
    assert Provisioning.decode(page.encode()) == page


def test_capacity_in_both_sizes() -> None:
    small = Capacity(2048, 512, thin=True, reads_zeros=True)
    assert small.encode_10() == bytes.fromhex("000007ff 00000200")
    assert small.encode_16()[:16] == bytes.fromhex("00000000000007ff 00000200 00 00 c000")
    assert Capacity.decode_16(small.encode_16()) == small
    large = Capacity(1 << 33, 512)
    assert large.encode_10()[:4] == b"\xff\xff\xff\xff"
    assert Capacity.decode_10(large.encode_10()) is None
    assert Capacity.decode_16(large.encode_16()[:12]).size_bytes == 1 << 42


def test_a_disk_of_exactly_two_tebibytes_does_not_fit_the_short_form() -> None:
    assert Capacity.decode_10(Capacity((1 << 32) - 1, 512).encode_10()) == Capacity((1 << 32) - 1, 512)
    assert Capacity.decode_10(Capacity(1 << 32, 512).encode_10()) is None


def test_lun_list_round_trip_and_truncation() -> None:
    raw = build_lun_list([0, 1 << 48])
    assert raw == bytes.fromhex("00000010 00000000 0000000000000000 0001000000000000")
    assert parse_lun_list(raw) == (0, 1 << 48)
    assert parse_lun_list(raw[:16]) == (0,)
    with pytest.raises(ValueError, match="at least 8 bytes"):
        parse_lun_list(raw[:7])


def test_lba_status_round_trip() -> None:
    runs = (LbaStatus(0, 32, ProvisioningStatus.MAPPED), LbaStatus(32, 7, ProvisioningStatus.DEALLOCATED))
    assert parse_lba_status(build_lba_status(runs)) == runs


def test_unmap_list_ignores_a_torn_descriptor() -> None:
    raw = build_unmap_list([(5, 8), (1 << 40, 1)])
    assert raw[:8] == bytes.fromhex("0026 0020 00000000")
    assert parse_unmap_list(raw) == ((5, 8), (1 << 40, 1))
    assert parse_unmap_list(raw[:-1]) == ((5, 8),)
