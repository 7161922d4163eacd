"""From the bytes of one direction of a connection to the headers of its PDUs (RFC 7143 11.1, 11.2).

Independent of `iscsi.framer`, and much less: it reads the 48 bytes of a Basic Header Segment and as much of the data
segment as a rule wants to see, and steps over the rest. Once digests are in use it waits for whole PDUs, and works each
digest out (RFC 7143 13.1: CRC32C over the header with its AHS, and over the data with its padding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, NamedTuple

from google_crc32c import value as crc32c

__all__ = ["NO_TAG", "Fields", "Header", "Op", "Scanner", "before"]

_BHS: Final = Struct(">BBBBI8sIIIIIIII")
_BHS_BYTES: Final = 48
_DIGEST_BYTES: Final = 4
_LENGTH_MASK: Final = 0xFFFFFF
_SERIAL_MASK: Final = 0xFFFFFFFF
NO_TAG: Final = 0xFFFFFFFF
"""The reserved task tag: there is no task (RFC 7143 11.2.1.8)."""


def before(one: int, other: int) -> bool:
    """Serial number arithmetic: ``one`` comes before ``other`` (RFC 1982)."""
    return one != other and (other - one) & _SERIAL_MASK < 1 << 31


class Op:
    """Opcodes (RFC 7143 11.2.1.2)."""

    NOP_OUT: Final = 0x00
    COMMAND: Final = 0x01
    TMF: Final = 0x02
    LOGIN: Final = 0x03
    TEXT: Final = 0x04
    DATA_OUT: Final = 0x05
    LOGOUT: Final = 0x06
    SNACK: Final = 0x10
    NOP_IN: Final = 0x20
    RESPONSE: Final = 0x21
    TMF_RESPONSE: Final = 0x22
    LOGIN_RESPONSE: Final = 0x23
    TEXT_RESPONSE: Final = 0x24
    DATA_IN: Final = 0x25
    LOGOUT_RESPONSE: Final = 0x26
    R2T: Final = 0x31
    ASYNC: Final = 0x32
    REJECT: Final = 0x3F


Fields = tuple[int, int, int, int, int, bytes, int, int, int, int, int, int, int, int]
"""What a `Header` is made of; whoever is called for every PDU takes them as they are."""


class Header(NamedTuple):
    """One BHS: its first four bytes, TotalAHSLength and DataSegmentLength in one, bytes 8 to 15, and eight words.

    ``w16`` is the word at byte 16, and so on.
    """

    byte0: int
    flags: int
    byte2: int
    byte3: int
    lengths: int
    lun: bytes
    w16: int
    w20: int
    w24: int
    w28: int
    w32: int
    w36: int
    w40: int
    w44: int

    @property
    def data_length(self) -> int:
        """DataSegmentLength, without padding."""
        return self.lengths & _LENGTH_MASK

    @property
    def cdb(self) -> bytes:
        """Of a command: the sixteen bytes of its CDB in the header."""
        return b"".join(word.to_bytes(4) for word in (self.w32, self.w36, self.w40, self.w44))


_WHOLE: Final = 1 << 24
SHOWN_BYTES: Final[Mapping[int, int]] = {
    Op.COMMAND: 32,
    Op.DATA_OUT: 32,
    Op.RESPONSE: 24,
    Op.LOGIN: _WHOLE,
    Op.LOGIN_RESPONSE: _WHOLE,
    Op.REJECT: _BHS_BYTES,
}
"""How much of the data segment is shown, by opcode; of others nothing."""


class Scanner:
    """One direction. Of each PDU the header's fields and the beginning of the data go to ``handlers``, by opcode; what
    has no handler there goes to ``others``, with its opcode.
    """

    __slots__ = ("_buffer", "_data_digest", "_handlers", "_header_digest", "_others", "_skip", "_wrong")

    def __init__(
        self,
        handlers: Mapping[int, Callable[[Fields, bytes], None]],
        others: Callable[[int, Fields, bytes], None],
    ) -> None:
        self._header_digest = self._data_digest = 0  # bytes
        self._wrong: Callable[[str, str], None] = _unheard
        self._handlers = handlers
        self._others = others
        self._buffer = b""
        self._skip = 0

    def agree(self, header_digest: bool, data_digest: bool, wrong: Callable[[str, str], None]) -> None:
        """From the next PDU on there are these digests; ``wrong`` hears of each that is not right."""
        self._header_digest = _DIGEST_BYTES if header_digest else 0
        self._data_digest = _DIGEST_BYTES if data_digest else 0
        self._wrong = wrong

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        position = self._skip
        end = len(data)
        if position >= end:
            self._skip = position - end
            return
        if self._buffer:
            data = self._buffer + data
            end = len(data)
            self._buffer = b""
        unpack, handlers, last = _BHS.unpack_from, self._handlers, end - _BHS_BYTES
        header_digest, data_digest = self._header_digest, self._data_digest
        while position <= last:
            fields: Fields = unpack(data, position)
            lengths = fields[4]
            opcode = fields[0] & 0x3F
            first = following = position + _BHS_BYTES + header_digest
            if lengths:
                first += (lengths >> 24) * 4
                length = lengths & _LENGTH_MASK
                following = first + (length + 3 & ~3)
                if length:
                    following += data_digest
                shown = SHOWN_BYTES.get(opcode, 0)
                if length < shown:
                    shown = length
            else:
                shown = 0
            if header_digest or data_digest:
                if end < following:
                    break
                self._verify(opcode, data[position:first], data[first:following])
            elif end < first + shown:
                break
            position = following
            handler = handlers.get(opcode)
            if handler is not None:
                handler(fields, data[first : first + shown] if shown else b"")
            else:
                self._others(opcode, fields, data[first : first + shown])
                header_digest, data_digest = self._header_digest, self._data_digest  # a login may have agreed on them
        if position < end:
            self._buffer = data[position:]
            self._skip = 0
        else:
            self._skip = position - end

    def _verify(self, opcode: int, header: bytes, data: bytes) -> None:
        for name, part, size in (("header", header, self._header_digest), ("data", data, self._data_digest)):
            if size and part and crc32c(part[:-size]) != int.from_bytes(part[-size:], "little"):
                self._wrong("digest", f"the {name} digest of a PDU with opcode {opcode:#04x} is wrong")


def _unheard(rule: str, what: str) -> None:
    """No digest, no complaint."""
