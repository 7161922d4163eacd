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
from iscsi.pieces import Bytes

MAX_AHS_LENGTH: Final = 255 * 4
MAX_DATA_LENGTH: Final = (1 << 24) - 1

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


Pack = Callable[[Any], bytes]
"""pdu -> the 48 bytes and the AHS."""
Unpack = Callable[[Bytes, int, bytes, bytes], Any]
"""(bytes, where in them the 48 begin, AHS, data segment) -> pdu."""


def compile_codec(
    cls: type, opcode: int, fields: tuple[Field, ...], constants: dict[int, int], extras: tuple[str, ...]
) -> tuple[Pack, Unpack]:
    """Make the two functions for one PDU class.

    ``constants`` are bits that the RFC fixes (offset -> bits, or-ed in on packing, ignored on reading); ``extras`` are
    the attributes besides the header fields, of "data" and "ahs". Packing raises LocalProtocolError for a value its
    field cannot hold, rather than cutting it to size. Reading fills a draft (see `draft_of`).
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

    has_ahs = "ahs" in extras
    measured = "data = len(pdu.data)" if "data" in extras else "data = 0"
    measured += "; ahs = len(pdu.ahs)" if has_ahs else ""

    layout = ">"
    packed: list[str] = []
    names: list[str] = []
    position = 0
    while position < 48:
        if position == 4:
            layout, position = layout + "I", 8
            packed.append("ahs << 22 | data" if has_ahs else "data")  # the AHS in words, in the top byte (11.2.1.5)
            names.append("_")
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
            names.append(f"pdu.{field.name}")
            position += field.size
        else:
            layout += "x"
            position += 1

    covered = [f.name for f in fields if (f"b{f.offset}" if f.mask else f"pdu.{f.name}") not in names]
    assert not covered, f"{cls.__name__}: another field lies over {', '.join(covered)}"

    unfit = [f"pdu.{f.name} & {~(f.mask >> _shift(f.mask))}" for f in fields if f.mask and f.kind == "int"]
    unfit += [f"len(pdu.{f.name}) != {f.size}" for f in fields if f.kind == "bytes"]
    unfit += [f"data > {MAX_DATA_LENGTH}", *([f"ahs & 3 or ahs > {MAX_AHS_LENGTH}"] if has_ahs else [])]

    # What a byte of flags says is looked up whole, in a table of the 256 things it can say.
    flags = {offset: inside for offset, inside in composite.items() if inside}
    parts = [
        f"    {', '.join(f'pdu.{f.name}' for f in inside)}, = _said_{offset}[b{offset}]\n"
        for offset, inside in flags.items()
    ]
    parts += [f"    pdu.{name} = {name}\n" for name in extras]
    source = (
        f"def pack(pdu):\n    {measured}\n    try:\n"
        f"        if {' or '.join(unfit)}:\n            raise _unfit(pdu)\n"
        f"        return _pack({', '.join(packed)}){' + pdu.ahs' if has_ahs else ''}\n"
        f"    except (_struct_error, TypeError):\n        raise _unfit(pdu) from None\n"
        f"def unpack(buffer, position, ahs, data):\n    pdu = _draft()\n"
        f"    {', '.join(names)}, = _unpack(buffer, position)\n{''.join(parts)}"
        f"    pdu.__class__ = _cls\n    return pdu\n"
    )
    codec = struct.Struct(layout)
    assert codec.size == 48, f"{cls.__name__}: the field table covers {codec.size} bytes, not 48"
    namespace: dict[str, Any] = {
        "_pack": codec.pack,
        "_unpack": codec.unpack_from,
        "_draft": draft_of(cls),
        "_cls": cls,
        "_struct_error": struct.error,
        "_unfit": lambda pdu: _unfit(pdu, fields),
    }
    for offset, inside in flags.items():
        namespace[f"_said_{offset}"] = tuple(_said(octet, inside) for octet in range(256))
    exec(source, namespace)
    return namespace["pack"], namespace["unpack"]


def _said(octet: int, inside: list[Field]) -> tuple[int, ...]:
    """The values of the fields inside one byte."""
    return tuple(octet & f.mask != 0 if f.kind == "flag" else (octet & f.mask) >> _shift(f.mask) for f in inside)


def draft_of(cls: type) -> type:
    """The same class, not frozen, with the same slots: a draft filled in is made a ``cls`` by its ``__class__``.

    A frozen dataclass fills itself through ``object.__setattr__``, which costs more than everything else about making
    a PDU, and four are made for every read. A draft takes plain assignments.
    """
    return type(cls.__name__, cls.__bases__, {"__slots__": tuple(f.name for f in dataclass_fields(cls))})


def compile_new(cls: type) -> list[str]:
    """Replace the ``__init__`` of a frozen slotted dataclass by a ``__new__`` that fills a draft.

    Returns the attribute names in order.
    """
    attributes = dataclass_fields(cls)
    namespace: dict[str, Any] = {"_draft": draft_of(cls)}
    namespace |= {f"_default_{f.name}": f.default for f in attributes}
    parameters = ", ".join(f"{f.name}=_default_{f.name}" for f in attributes)
    body = "".join(f"    self.{f.name} = {f.name}\n" for f in attributes)
    exec(
        f"def __new__(cls, {parameters}):\n    self = _draft()\n{body}    self.__class__ = cls\n    return self\n",
        namespace,
    )
    cls.__new__ = namespace["__new__"]  # type: ignore[method-assign]
    del cls.__init__  # type: ignore[misc]
    return [f.name for f in attributes]


def _unfit(pdu: object, fields: tuple[Field, ...]) -> LocalProtocolError:
    """Which value does not fit its field: found only once packing has failed, so that sound PDUs do not pay for it."""
    ahs_length, data_length = len(getattr(pdu, "ahs", b"")), len(getattr(pdu, "data", b""))
    if ahs_length % 4 or ahs_length > MAX_AHS_LENGTH:
        return LocalProtocolError(
            f"an AHS is a multiple of 4 bytes, at most {MAX_AHS_LENGTH}; this one has {ahs_length}"
        )
    if data_length > MAX_DATA_LENGTH:
        return LocalProtocolError(f"a data segment holds at most {MAX_DATA_LENGTH} bytes, not {data_length}")
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
