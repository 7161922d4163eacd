import pytest

from iscsi.constants import SenseKey
from iscsi.sense import (
    COPY_ABORTED,
    INVALID_FIELD_IN_CDB,
    LBA_OUT_OF_RANGE,
    MISCOMPARE_DURING_VERIFY,
    POWER_ON_OR_RESET,
    SANITIZE_IN_PROGRESS,
    Sense,
)


def test_fixed_format_of_a_unit_attention() -> None:
    assert POWER_ON_OR_RESET.fixed() == bytes.fromhex("70 00 06 00000000 0a 00000000 29 00 00 000000")


def test_descriptor_format_of_a_unit_attention() -> None:
    assert POWER_ON_OR_RESET.descriptor() == bytes.fromhex("72 06 29 00 00 00 00 00")


def test_a_field_pointer_names_byte_and_bit() -> None:
    raw = INVALID_FIELD_IN_CDB.at(1, 7).fixed()
    assert raw[15:18] == bytes.fromhex("cf 00 01")


@pytest.mark.parametrize("descriptor", [False, True])
@pytest.mark.parametrize(
    "sense",
    [
        LBA_OUT_OF_RANGE,
        MISCOMPARE_DURING_VERIFY.with_information(512),
        INVALID_FIELD_IN_CDB.at(6, 3),
        INVALID_FIELD_IN_CDB.at(9, in_cdb=False).with_information(1),
    ],
)
def test_both_formats_say_the_same(sense: Sense, descriptor: bool) -> None:
    assert Sense.decode(sense.encode(descriptor=descriptor)) == sense


def test_a_number_beyond_32_bits_needs_the_descriptor_format() -> None:
    sense = LBA_OUT_OF_RANGE.with_information(1 << 40)
    assert Sense.decode(sense.fixed()).information is None
    assert Sense.decode(sense.descriptor()).information == 1 << 40


def test_sense_that_was_cut_short_still_has_its_key() -> None:
    assert Sense.decode(POWER_ON_OR_RESET.fixed()[:8]).code == (SenseKey.UNIT_ATTENTION, 0, 0)


@pytest.mark.parametrize("raw", [b"", b"\x70\x00", b"\x00" * 18, b"\x72\x06"])
def test_what_is_no_sense_data_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="sense data must start with 70h to 73h"):
        Sense.decode(raw)


def test_words_are_what_people_search_for() -> None:
    assert INVALID_FIELD_IN_CDB.words == "5/24/00 illegal request"


def test_progress_stands_where_a_field_pointer_would() -> None:
    sense = SANITIZE_IN_PROGRESS.with_progress(0x8000)
    assert sense.fixed() == bytes.fromhex("70 00 02 00000000 0a 00000000 04 1b 00 808000")
    for descriptor in (False, True):
        assert Sense.decode(sense.encode(descriptor=descriptor)) == sense


def test_command_specific_information() -> None:
    sense = COPY_ABORTED.with_command_specific(3)
    assert sense.fixed()[8:12] == bytes((0, 0, 0, 3))
    for descriptor in (False, True):
        assert Sense.decode(sense.encode(descriptor=descriptor)) == sense
