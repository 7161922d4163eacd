"""The field table compiler on a small made-up PDU: what a table says is what the bytes are."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import pytest

from iscsi.errors import LocalProtocolError
from iscsi.fields import Field, bits, compile_codec, compile_new, flag, raw, u8, u16, u32, u64
from iscsi.pdu import PDU_TYPES, ScsiCommand, decode, encode


@dataclass(frozen=True, slots=True)
class Sample:
    urgent: bool = False
    colour: int = 0
    kind: int = 0
    small: int = 0
    medium: int = 0
    large: int = 0
    huge: int = 0
    name: bytes = bytes(4)
    data: bytes = b""


TABLE = (
    flag("urgent", 0, 0x40),
    bits("colour", 1, 0x0C),
    bits("kind", 1, 0x03),
    u8("small", 2),
    u16("medium", 20),
    u32("large", 24),
    u64("huge", 8),
    raw("name", 44, 4),
)
pack, unpack = compile_codec(Sample, 0x2A, TABLE, {1: 0x80}, ("data",))


@pytest.mark.parametrize(
    ("sample", "offset", "octets"),
    [
        (Sample(), 0, "2a"),
        (Sample(urgent=True), 0, "6a"),
        (Sample(colour=2, kind=1), 1, "89"),
        (Sample(small=0xFE), 2, "fe"),
        (Sample(huge=0x0102030405060708), 8, "0102030405060708"),
        (Sample(medium=0x0A0B), 20, "0a0b"),
        (Sample(large=0x0C0D0E0F), 24, "0c0d0e0f"),
        (Sample(name=b"name"), 44, "6e616d65"),
    ],
)
def test_each_field_stands_where_the_table_puts_it(sample: Sample, offset: int, octets: str) -> None:
    header = pack(sample)
    assert len(header) == 48
    assert header[offset : offset + len(octets) // 2].hex() == octets
    assert unpack(header, 0, b"", b"") == sample


def test_what_no_field_covers_is_zero() -> None:
    full = Sample(True, 3, 3, 0xFF, 0xFFFF, 0xFFFFFFFF, (1 << 64) - 1, b"\xff" * 4, bytes(0xFFFFFF))
    assert pack(full).hex(" ", 4) == (
        "6a8fff00 00ffffff ffffffff ffffffff 00000000 ffff0000 ffffffff 00000000 00000000 00000000 00000000 ffffffff"
    )


def test_what_no_field_covers_is_ignored_on_reading() -> None:
    header = bytes.fromhex("aa72 0055") + b"\x55" * 4 + bytes(8) + b"\x55" * 4 + bytes(28)
    assert unpack(b"before" + header + b"behind", 6, b"", b"x") == Sample(kind=2, data=b"x")


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (Sample(colour=4), "Sample.colour holds 0 to 3, not 4"),
        (Sample(kind=-1), "Sample.kind holds 0 to 3, not -1"),
        (Sample(small=256), "Sample.small holds 0 to 255, not 256"),
        (Sample(medium=1 << 16), "Sample.medium holds 0 to 65535, not 65536"),
        (Sample(huge=-1), "Sample.huge holds 0 to 18446744073709551615, not -1"),
        (Sample(name=b"toolong"), "Sample.name holds 4 bytes, not b'toolong'"),
        (Sample(name=b"abc"), "Sample.name holds 4 bytes, not b'abc'"),
        (Sample(large="5"), "Sample.large holds 0 to 4294967295, not '5'"),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_does_not_fit_is_named(sample: Sample, words: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        pack(sample)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ((u32("large", 8), u16("medium", 10)), "another field lies over medium"),
        ((u64("huge", 8), flag("urgent", 9, 0x80)), "another field lies over urgent"),
        ((u32("large", 46),), "covers 50 bytes, not 48"),
    ],
)
def test_a_table_that_contradicts_itself_does_not_compile(table: tuple[Field, ...], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        compile_codec(Sample, 0x2A, table, {}, ())


@pytest.mark.parametrize("kind", PDU_TYPES.values(), ids=lambda kind: kind.__name__)
def test_no_two_fields_of_a_pdu_share_a_bit(kind: Any) -> None:
    taken = int(kind.OPCODE) << 8 * 47 | 0xFFFFFFFF << 8 * 40  # the opcode and the two lengths
    taken |= sum(octet << 8 * (47 - offset) for offset, octet in kind.FIXED.items())
    for field in kind.TABLE:
        own = (field.mask or (1 << 8 * field.size) - 1) << 8 * (48 - field.offset - field.size)
        assert not taken & own, f"{kind.__name__}.{field.name}"
        taken |= own


def test_the_quick_constructor_takes_positions_names_and_defaults() -> None:
    @dataclass(frozen=True, slots=True)
    class Point:
        x: int = 1
        y: int = 2

    assert compile_new(Point) == ["x", "y"]
    assert Point(5) == Point(x=5, y=2)
    assert Point(y=7) == Point(1, 7)
    with pytest.raises(TypeError, match="z"):
        Point(z=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "made", [ScsiCommand(itt=1), decode(encode(ScsiCommand(itt=1)))], ids=["constructed", "decoded"]
)
def test_what_was_filled_in_quickly_is_the_frozen_class(made: ScsiCommand) -> None:
    assert type(made) is ScsiCommand
    with pytest.raises(FrozenInstanceError):
        made.itt = 2  # type: ignore[misc]
    assert replace(made, cmd_sn=7).cmd_sn == 7
    assert copy.copy(made) == made == pickle.loads(pickle.dumps(made))
