"""Bytes in, PDUs out: the incremental half of iSCSI framing (RFC 7143 11.2, digests 7.7, 13.1).

TCP hands over whatever has arrived; the framer keeps what is not yet a whole PDU and refuses, as soon as the 48-byte
header is in, anything larger than it was told to take. Nothing is copied more often than joining chunks and cutting
the data segment out demands.

After a header digest error the length in the header cannot be believed, so the next PDU's beginning has to be known by
other means (7.8). With `resynchronise` the framer goes by the length nevertheless, once something sound is found where
it leads: the data segment's own digest, or the digest of the header behind it. Otherwise the stream is broken there.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from google_crc32c import value as crc32c

from iscsi.constants import BHS_LENGTH, Opcode, RejectReason
from iscsi.errors import RemoteProtocolError
from iscsi.pdu import Pdu, decode_at
from iscsi.pieces import Bytes

_LENGTHS: Final = Struct(">4xI").unpack_from
"""TotalAHSLength in words << 24 | DataSegmentLength (11.2.1.5, 11.2.1.6)."""


@dataclass(frozen=True, slots=True)
class DamagedPdu:
    """A PDU whose header is sound but whose data segment does not match its digest (RFC 7143 7.8)."""

    pdu: Pdu
    header: bytes


@dataclass(frozen=True, slots=True)
class RefusedPdu:
    """A PDU that was framed, but whose opcode or AHS RFC 7143 does not know: its header, for the Reject."""

    header: bytes
    error: RemoteProtocolError


@dataclass(frozen=True, slots=True)
class LostPdu:
    """A PDU whose header failed its digest: nothing it says counts, but the stream goes on behind it."""

    length: int


@dataclass(frozen=True, slots=True)
class BrokenStream:
    """What stands in the place of everything after a fault that leaves the next PDU's beginning unknown."""

    error: RemoteProtocolError


Received = Pdu | DamagedPdu | RefusedPdu | LostPdu | BrokenStream
"""What a framer hands over."""


class Framer:
    """Turns a byte stream into PDUs.

    ``max_data_segment_length`` bounds the data segment of one PDU, in bytes; the AHS is bounded by its one-byte length
    field. ``header_digest`` and ``data_digest`` are switched on when login ends, and above ErrorRecoveryLevel 0
    ``resynchronise``. Memory held never exceeds one maximal PDU, one header and one received chunk.
    """

    __slots__ = (
        "_chunks",
        "_fault",
        "_have",
        "_need",
        "data_digest",
        "header_digest",
        "max_data_segment_length",
        "resynchronise",
    )

    def __init__(self, max_data_segment_length: int) -> None:
        self.max_data_segment_length = max_data_segment_length
        self.header_digest = False
        self.data_digest = False
        self.resynchronise = False
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = BHS_LENGTH
        self._fault = ""

    @property
    def buffered(self) -> int:
        """Bytes held of a PDU that is not complete yet."""
        return self._have

    @property
    def missing(self) -> int:
        """Bytes of that PDU that must come before more can be known of it, or all of it is there."""
        return self._need - self._have

    def receive(self, data: Bytes, limit: int | None = None) -> list[Received]:
        """Take bytes; return the PDUs that are now complete, at most ``limit`` of them.

        With a ``limit`` the rest stays buffered until the next call (with ``b""`` if need be): a login uses it, since
        digests and sizes may change between one PDU and the next. Raises RemoteProtocolError for a data segment above
        the limit and for a header digest error that cannot be passed over. Where the next PDU begins is then unknown,
        so every later call raises as well and keeps nothing. PDUs that came in the same
        bytes before the fault are returned, with a `BrokenStream` behind them: what is acted on must not depend on how
        TCP cut the stream.
        """
        if self._fault:
            raise RemoteProtocolError(f"nothing can be read after this: {self._fault}")
        pdus: list[Received] = []
        try:
            position = 0
            if self._have and limit is None:
                position = self._complete(data, pdus)
            elif self._have:
                data = b"".join((*self._chunks, data))
                self._chunks.clear()
                self._have = 0
            if not self._have:
                self._cut(data, position, limit, pdus)
        except RemoteProtocolError as fault:
            self._fault = str(fault)
            self._have = 0
            if not pdus:
                raise
            pdus.append(BrokenStream(fault))
        return pdus

    def _complete(self, data: Bytes, pdus: list[Received]) -> int:
        """Complete what is held with the first bytes of ``data``, and with no more: the rest is not to be copied again.

        Returns how many bytes that took; all of them while something is still held.
        """
        position, end = 0, len(data)
        while self._have:
            taken = max(0, min(self.missing, end - position))  # more may be held, after a limit
            self._chunks.append(bytes(data[position : position + taken]))
            self._have += taken
            position += taken
            if self._have < self._need:
                break
            buffer = b"".join(self._chunks)
            self._chunks.clear()
            self._cut(buffer, 0, None, pdus)
        return position

    def _cut(self, buffer: Bytes, position: int, limit: int | None, pdus: list[Received]) -> None:
        """Append the whole PDUs in ``buffer`` from ``position`` on; the rest of it is kept."""
        digests = self.header_digest or self.data_digest
        end = len(buffer)
        self._need = BHS_LENGTH
        while (start := position + BHS_LENGTH) <= end and len(pdus) != limit:
            (lengths,) = _LENGTHS(buffer, position)
            if digests or lengths > self.max_data_segment_length:  # the latter also where there is an AHS
                buffer = bytes(buffer)
                pdu, size = self._take_unusual(buffer, position, lengths)
                if pdu is None:
                    self._need = size
                    break
                pdus.append(pdu)
                position += size
                continue
            after = start + (lengths + 3 & ~3)
            if after > end:
                self._need = after - position
                break
            try:
                data = bytes(buffer[start : start + lengths]) if lengths else b""
                pdus.append(decode_at(buffer, position, b"", data))
            except RemoteProtocolError as error:
                pdus.append(RefusedPdu(bytes(buffer[position:start]), error))
            position = after
        self._have = left = end - position
        if left:
            self._chunks.append(bytes(buffer[position:]))

    def _take_unusual(self, buffer: bytes, position: int, lengths: int) -> tuple[Received | None, int]:
        """One PDU that may have an AHS and digests, and its size; or None and the size it has at least.

        A header digest is checked before the length in the header is believed: a damaged length would otherwise have
        the connection wait for data that never comes.
        """
        end = len(buffer)
        length = lengths & 0xFFFFFF
        header_end = position + BHS_LENGTH + (lengths >> 24 << 2)
        data_start = header_end
        sound = True
        if self.header_digest:
            data_start += 4
            if end < data_start:
                return None, data_start - position
            sound = self._header_is_sound(buffer, position)
            if not sound and not self.resynchronise:
                raise RemoteProtocolError(f"header digest error in a PDU that begins with 0x{buffer[position]:02x}")
        if length > self.max_data_segment_length:
            if not sound:
                raise RemoteProtocolError(f"header digest error in a PDU that seems to have {length} bytes of data")
            raise RemoteProtocolError(
                f"{_name(buffer[position])} announces a data segment of {length} bytes; "
                f"the limit here is {self.max_data_segment_length}",
                reject_reason=RejectReason.PROTOCOL_ERROR,
                header=buffer[position:header_end],
            )
        data_end = data_start + length
        padded_end = data_end + (-length & 3)
        pdu_end = padded_end + 4 if length and self.data_digest else padded_end
        if end < pdu_end:
            return None, pdu_end - position
        digest = buffer[padded_end:pdu_end]
        whole = digest != b"" and crc32c(buffer[data_start:padded_end]).to_bytes(4, "little") == digest
        if not sound:
            return self._pass_over(buffer, position, pdu_end, whole)
        try:
            pdu = decode_at(buffer, position, buffer[position + BHS_LENGTH : header_end], buffer[data_start:data_end])
        except RemoteProtocolError as error:
            return RefusedPdu(buffer[position:header_end], error), pdu_end - position
        if digest and not whole:
            return DamagedPdu(pdu, buffer[position:header_end]), pdu_end - position
        return pdu, pdu_end - position

    def _pass_over(self, buffer: bytes, position: int, pdu_end: int, whole: bool) -> tuple[Received | None, int]:
        """A damaged header: believe its lengths only when the data segment or the next header bears them out."""
        if not whole:
            next_end = pdu_end + BHS_LENGTH + 4
            if len(buffer) >= next_end:
                next_end += buffer[pdu_end + 4] << 2
            if len(buffer) < next_end:
                return None, next_end - position
            if not self._header_is_sound(buffer, pdu_end):
                raise RemoteProtocolError("header digest error, and nothing sound where the next PDU should begin")
        return LostPdu(pdu_end - position), pdu_end - position

    def _header_is_sound(self, buffer: bytes, position: int) -> bool:
        """The digest behind a header and its AHS, all of which are in the buffer."""
        end = position + BHS_LENGTH + (buffer[position + 4] << 2)
        digest: bytes = crc32c(buffer[position:end]).to_bytes(4, "little")
        return digest == buffer[end : end + 4]

    def receive_eof(self) -> None:
        """The peer sent its FIN. Raises RemoteProtocolError when that cuts a PDU in two."""
        if self._have:
            raise RemoteProtocolError(
                f"the connection ended inside a PDU: {self._have} bytes of at least {self._need} had arrived"
            )


def _name(first_byte: int) -> str:
    try:
        return Opcode(first_byte & 0x3F).name
    except ValueError:
        return f"opcode 0x{first_byte & 0x3F:02x}"
