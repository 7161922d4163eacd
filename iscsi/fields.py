"""Field tables for Basic Header Segments, and the compiler that turns a table into a codec.

RFC 7143 draws each PDU as a 48-byte picture. `iscsi.pdu` writes the pictures down as tables of the fields below, and
`compile_codec` makes from each table one precompiled `struct` and two straight-line functions, in the way dataclasses
make their ``__init__``: a table is what a reader can hold beside the RFC, a generated function is what a data path can
afford.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Final

from iscsi.errors import LocalProtocolError

_FORMATS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a BHS: ``size`` bytes at ``offset``, or (with ``mask``) some bits of the byte at ``offset``.

    ``kind`` is "int" (big-endian), "bytes" (verbatim) or "flag" (one bit, a bool).
    """

    name: str
    offset: int
    size: int
    kind: str = "int"
    mask: int = 0


def flag(name: str, offset: int, mask: int) -> Field:
    """A single bit of the byte at ``offset``."""
    return Field(name, offset, 1, "flag", mask)


def bits(name: str, offset: int, mask: int) -> Field:
    """A run of bits of the byte at ``offset``, read as a small integer."""
    return Field(name, offset, 1, "int", mask)


def u8(name: str, offset: int) -> Field:
    """One byte."""
    return Field(name, offset, 1)


def u16(name: str, offset: int) -> Field:
    """Two bytes, big-endian."""
    return Field(name, offset, 2)


def u32(name: str, offset: int) -> Field:
    """Four bytes, big-endian."""
    return Field(name, offset, 4)


def u64(name: str, offset: int) -> Field:
    """Eight bytes, big-endian."""
    return Field(name, offset, 8)


def raw(name: str, offset: int, size: int) -> Field:
    """``size`` bytes as they are."""
    return Field(name, offset, size, "bytes")


Pack = Callable[[Any, int], bytes]
"""(pdu, TotalAHSLength in words << 24 | DataSegmentLength) -> the 48 bytes."""
Unpack = Callable[[bytes, bytes, bytes], Any]
"""(48 bytes, AHS, data segment) -> pdu."""


def compile_codec(
    cls: type, opcode: int, fields: tuple[Field, ...], constants: dict[int, int], extras: tuple[str, ...]
) -> tuple[Pack, Unpack]:
    """Make the two functions for one PDU class.

    ``constants`` are bits that the RFC fixes (offset -> bits, or-ed in on packing, ignored on reading); ``extras`` are
    the attributes after the header fields, of "data" and "ahs", in the class's order. The class takes the fields of
    the table positionally in table order, then ``extras``. Packing raises LocalProtocolError for a value its field
    cannot hold, rather than cutting it to size.
    """
    composite: dict[int, list[Field]] = {0: [], 1: []}
    plain: dict[int, Field] = {}
    for field in fields:
        if field.mask:
            composite.setdefault(field.offset, []).append(field)
        else:
            plain[field.offset] = field
    for offset in constants:
        composite.setdefault(offset, [])

    layout = ">"
    packed: list[str] = []
    names: list[str] = []
    position = 0
    while position < 48:
        if position == 4:
            layout, position = layout + "I", 8
            packed.append("lengths")
            names.append("_lengths")
        elif position in composite:
            fixed = constants.get(position, 0) | (opcode if position == 0 else 0)
            terms = [f"({f.mask} if pdu.{f.name} else 0)" for f in composite[position] if f.kind == "flag"]
            terms += [f"(pdu.{f.name} << {_shift(f.mask)})" for f in composite[position] if f.kind == "int"]
            layout, packed = layout + "B", [*packed, " | ".join([str(fixed), *terms])]
            names.append(f"b{position}")
            position += 1
        elif position in plain:
            field = plain[position]
            layout += f"{field.size}s" if field.kind == "bytes" else _FORMATS[field.size]
            packed.append(f"pdu.{field.name}")
            names.append(f"v_{field.name}")
            position += field.size
        else:
            layout += "x"
            position += 1

    covered = [f.name for f in fields if (f"b{f.offset}" if f.mask else f"v_{f.name}") not in names]
    assert not covered, f"{cls.__name__}: another field lies over {', '.join(covered)}"

    unfit = [f"pdu.{f.name} & {~(f.mask >> _shift(f.mask))}" for f in fields if f.mask and f.kind == "int"]
    unfit += [f"len(pdu.{f.name}) != {f.size}" for f in fields if f.kind == "bytes"]
    refusal = f"        if {' or '.join(unfit)}:\n            raise _unfit(pdu)\n" if unfit else ""

    arguments = []
    for field in fields:
        if field.kind == "flag":
            arguments.append(f"b{field.offset} & {field.mask} != 0")
        elif field.mask:
            arguments.append(f"(b{field.offset} & {field.mask}) >> {_shift(field.mask)}")
        else:
            arguments.append(f"v_{field.name}")
    source = (
        f"def pack(pdu, lengths):\n    try:\n{refusal}        return _pack({', '.join(packed)})\n"
        f"    except (_struct_error, TypeError):\n        raise _unfit(pdu) from None\n"
        f"def unpack(header, ahs, data):\n    {', '.join(names)}, = _unpack(header)\n"
        f"    return _cls({', '.join([*arguments, *extras])})\n"
    )
    codec = struct.Struct(layout)
    assert codec.size == 48, f"{cls.__name__}: the field table covers {codec.size} bytes, not 48"
    namespace: dict[str, Any] = {
        "_pack": codec.pack,
        "_unpack": codec.unpack,
        "_cls": cls,
        "_struct_error": struct.error,
        "_unfit": lambda pdu: _unfit(pdu, fields),
    }
    exec(source, namespace)
    return namespace["pack"], namespace["unpack"]


def compile_init(cls: type) -> list[str]:
    """Replace the ``__init__`` of a frozen slotted dataclass by one that fills the slots directly.

    The generated ``__init__`` of a frozen dataclass goes through ``object.__setattr__`` and costs twice as much; four
    PDUs are made for every read. Returns the attribute names in order.
    """
    attributes = dataclass_fields(cls)
    namespace: dict[str, Any] = {f"_set_{f.name}": getattr(cls, f.name).__set__ for f in attributes}
    namespace |= {f"_default_{f.name}": f.default for f in attributes}
    parameters = ", ".join(f"{f.name}=_default_{f.name}" for f in attributes)
    body = "".join(f"    _set_{f.name}(self, {f.name})\n" for f in attributes)
    exec(f"def __init__(self, {parameters}):\n{body}", namespace)
    cls.__init__ = namespace["__init__"]  # type: ignore[misc]
    return [f.name for f in attributes]


def _unfit(pdu: object, fields: tuple[Field, ...]) -> LocalProtocolError:
    """Which value does not fit its field: found only once packing has failed, so that sound PDUs do not pay for it."""
    for field in fields:
        value = getattr(pdu, field.name)
        if field.kind == "bytes":
            sound, wanted = isinstance(value, bytes) and len(value) == field.size, f"{field.size} bytes"
        elif field.kind == "int":
            top = field.mask >> _shift(field.mask) if field.mask else (1 << 8 * field.size) - 1
            sound, wanted = isinstance(value, int) and 0 <= value <= top, f"0 to {top}"
        else:
            sound, wanted = True, ""
        if not sound:
            return LocalProtocolError(f"{type(pdu).__name__}.{field.name} holds {wanted}, not {value!r}")
    return LocalProtocolError(f"{type(pdu).__name__} cannot be packed")


def _shift(mask: int) -> int:
    return (mask & -mask).bit_length() - 1
