"""EXTENDED COPY parameter lists and what RECEIVE COPY RESULTS returns."""

import pytest

from iscsi.copying import (
    MAX_SEGMENTS,
    MAX_TARGETS,
    BadCopyList,
    CopyList,
    CopyOutcome,
    CopySegment,
    CopyStatus,
    CopyTarget,
    ListIdUsage,
    build_operating_parameters,
    build_third_party_copy,
    parse_copy_status,
)
from iscsi.sense import (
    COPY_ABORTED,
    INLINE_DATA_LENGTH_EXCEEDED,
    INVALID_FIELD_IN_PARAMETER_LIST,
    PARAMETER_LIST_LENGTH_ERROR,
    TOO_MANY_SEGMENT_DESCRIPTORS,
    TOO_MANY_TARGET_DESCRIPTORS,
    UNSUPPORTED_SEGMENT_DESCRIPTOR,
    UNSUPPORTED_TARGET_DESCRIPTOR,
    Sense,
)

NAA = bytes.fromhex("6090a08cdef0112233445566778899aa")
TARGET = CopyTarget(NAA, 512)
SEGMENT = CopySegment(0, 1, 2048, 7, 1 << 40)
LIST = CopyList((TARGET, CopyTarget(NAA[::-1], 4096, pad=True)), (SEGMENT,), list_id=9, usage=ListIdUsage.DISCARD)


def test_a_list_is_what_spc_4_draws() -> None:
    assert LIST.encode().hex(" ", 4) == bytes.fromhex(
        "09100040 00000000 0000001c 00000000"
        "e4000000 01030010 6090a08c def01122 33445566 778899aa 00000000 00000200"
        "e4000000 01030010 aa998877 66554433 2211f0de 8ca09060 00000000 04001000"
        "02000018 00000001 00000800 00000000 00000007 00000100 00000000"
    ).hex(" ", 4)


@pytest.mark.parametrize(
    "wanted",
    [
        LIST,
        CopyList((), ()),
        CopyList((TARGET,), (CopySegment(0, 0, 1, 0, 1, counts_there=True, catenate=True),)),
        CopyList((TARGET,), (SEGMENT,), usage=ListIdUsage.NONE),
        CopyList((TARGET,) * MAX_TARGETS, (SEGMENT,) * MAX_SEGMENTS),
    ],
)
def test_what_was_built_is_what_is_read(wanted: CopyList) -> None:
    assert CopyList.decode(wanted.encode()) == wanted


def changed(at: int, value: int) -> bytes:
    raw = bytearray(LIST.encode())
    raw[at] = value
    return bytes(raw)


def field(byte: int, bit: int | None = None) -> Sense:
    return INVALID_FIELD_IN_PARAMETER_LIST.at(byte, bit, in_cdb=False)


@pytest.mark.parametrize(
    ("raw", "sense"),
    [
        (b"", PARAMETER_LIST_LENGTH_ERROR),
        (LIST.encode()[:15], PARAMETER_LIST_LENGTH_ERROR),
        (LIST.encode()[:79], PARAMETER_LIST_LENGTH_ERROR),
        (LIST.encode()[:-1], PARAMETER_LIST_LENGTH_ERROR),
        (changed(1, 1 << 3), field(1, 4)),
        (changed(1, 3 << 3), field(0)),
        (changed(3, 63), field(2)),
        (changed(11, 27), field(8)),
        (changed(15, 1), INLINE_DATA_LENGTH_EXCEEDED),
        (changed(16, 0xE0), UNSUPPORTED_TARGET_DESCRIPTOR.at(16, in_cdb=False)),
        (changed(17, 0x01), field(17, 4)),
        (changed(17, 0xE0), None),
        (changed(23, 21), field(23)),
        (changed(80, 0x03), UNSUPPORTED_SEGMENT_DESCRIPTOR.at(80, in_cdb=False)),
        (changed(83, 0x14), field(82)),
        (CopyList((TARGET,) * (MAX_TARGETS + 1), ()).encode(), TOO_MANY_TARGET_DESCRIPTORS),
        (CopyList((TARGET,), (SEGMENT,) * (MAX_SEGMENTS + 1)).encode(), TOO_MANY_SEGMENT_DESCRIPTORS),
        (CopyList((TARGET,) * 17, (SEGMENT,) * 17).encode(), PARAMETER_LIST_LENGTH_ERROR),
    ],
)
def test_what_is_wrong_with_a_list(raw: bytes, sense: Sense | None) -> None:
    if sense is None:
        CopyList.decode(raw)
        return
    with pytest.raises(BadCopyList) as bad:
        CopyList.decode(raw)
    assert bad.value.sense == sense


def test_the_status_of_a_copy() -> None:
    assert CopyOutcome(2, 4096).encode_status() == bytes.fromhex("00000008 01 0002 00 00001000")
    assert parse_copy_status(CopyOutcome(2, 4096).encode_status()) == (CopyStatus.COMPLETED, 2, 4096)
    failed = CopyOutcome(1, 1 << 40, COPY_ABORTED.with_command_specific(1))
    assert parse_copy_status(failed.encode_status()) == (CopyStatus.FAILED, 1, 0xFFFFFFFF)
    with pytest.raises(ValueError, match="12 bytes, got 3"):
        parse_copy_status(bytes(3))


def test_the_failed_segment() -> None:
    assert CopyOutcome(2, 4096).encode_failure() == bytes(4)
    sense = COPY_ABORTED.with_command_specific(1)
    data = CopyOutcome(1, 512, sense).encode_failure()
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert data[56] == 0x02  # CHECK CONDITION
    assert Sense.decode(data[60 : 60 + int.from_bytes(data[58:60], "big")]) == sense


def test_the_operating_parameters() -> None:
    assert build_operating_parameters().hex(" ", 4) == bytes.fromhex(
        "0000002a 01000000 00100010 000003c0 00800000 00000000 00000000 00000000 00000001 01090000 00000002 02e4"
    ).hex(" ", 4)


def test_page_8fh() -> None:
    page = build_third_party_copy([(0x83, (0,)), (0x84, (0, 1))])
    assert page.hex(" ", 4) == bytes.fromhex(
        "008f0058"
        "00010008 07830100 84020001"
        "0004001c 00000000 00100010 000003c0 00000000 00000000 00000000 00000000"
        "00080004 0202e400"
        "80010020 00000001 00000001 00800000 09000000 00000000 00000000 00000000 00000000"
    ).hex(" ", 4)
