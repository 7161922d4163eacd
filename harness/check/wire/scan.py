"""From the bytes of one direction of a connection to the headers of its PDUs (RFC 7143 11.1, 11.2).

Independent of `iscsi.framer`, and much less: it reads the 48 bytes of a Basic Header Segment and as much of the data
segment as a rule wants to see, and steps over the rest. Digests are stepped over once they are in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, NamedTuple

__all__ = ["Fields", "Header", "Op", "Scanner"]

_BHS: Final = Struct(">BBBBI8sIIIIIIII")
_BHS_BYTES: Final = 48
_DIGEST_BYTES: Final = 4
_LENGTH_MASK: Final = 0xFFFFFF


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
}
"""How much of the data segment is shown, by opcode; of others nothing."""


class Scanner:
    """One direction. ``on_pdu`` gets the opcode, the header's fields and the beginning of the data of each PDU."""

    __slots__ = ("_buffer", "_on_pdu", "_skip", "data_digest", "header_digest")

    def __init__(self, on_pdu: Callable[[int, Fields, bytes], None]) -> None:
        self.header_digest = False
        self.data_digest = False
        self._on_pdu = on_pdu
        self._buffer = b""
        self._skip = 0

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
        unpack = _BHS.unpack_from
        while end - position >= _BHS_BYTES:
            fields: Fields = unpack(data, position)
            lengths = fields[4]
            opcode = fields[0] & 0x3F
            head = _BHS_BYTES + (lengths >> 24) * 4
            if self.header_digest:
                head += _DIGEST_BYTES
            length = lengths & _LENGTH_MASK
            shown = SHOWN_BYTES.get(opcode, 0)
            if length < shown:
                shown = length
            first = position + head
            if end < first + shown:
                break
            total = head
            if length:
                total += (length + 3) & ~3
                if self.data_digest:
                    total += _DIGEST_BYTES
            self._on_pdu(opcode, fields, data[first : first + shown] if shown else b"")
            position += total
        if position < end:
            self._buffer = data[position:]
            self._skip = 0
        else:
            self._skip = position - end
