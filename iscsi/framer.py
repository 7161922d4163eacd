"""Bytes in, PDUs out: the incremental half of iSCSI framing (RFC 7143 11.2, digests 7.7, 13.1).

TCP hands over whatever has arrived; the framer keeps what is not yet a whole PDU and refuses, as soon as the 48-byte
header is in, anything larger than it was told to take. Nothing is copied more often than joining chunks and cutting
the data segment out demands.
"""

from __future__ import annotations

from dataclasses import dataclass

from google_crc32c import value as crc32c

from iscsi.constants import BHS_LENGTH, Opcode, RejectReason
from iscsi.errors import RemoteProtocolError
from iscsi.pdu import Pdu, decode


@dataclass(frozen=True, slots=True)
class DamagedPdu:
    """A PDU whose header is sound but whose data segment does not match its digest (RFC 7143 7.8)."""

    pdu: Pdu
    header: bytes


class Framer:
    """Turns a byte stream into PDUs.

    ``max_data_segment_length`` bounds the data segment of one PDU, in bytes; the AHS is bounded by its one-byte length
    field. ``header_digest`` and ``data_digest`` are switched on when login ends. Memory held never exceeds one maximal
    PDU plus one received chunk.
    """

    __slots__ = (
        "_chunks",
        "_fault",
        "_have",
        "_need",
        "data_digest",
        "header_digest",
        "max_data_segment_length",
    )

    def __init__(self, max_data_segment_length: int) -> None:
        self.max_data_segment_length = max_data_segment_length
        self.header_digest = False
        self.data_digest = False
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = BHS_LENGTH
        self._fault = ""

    @property
    def buffered(self) -> int:
        """Bytes held of a PDU that is not complete yet."""
        return self._have

    def receive(self, data: bytes, limit: int | None = None) -> list[Pdu | DamagedPdu]:
        """Take bytes; return the PDUs that are now complete, at most ``limit`` of them.

        With a ``limit`` the rest stays buffered until the next call (with ``b""`` if need be): a login uses it, since
        digests and sizes may change between one PDU and the next. Raises RemoteProtocolError for a data segment above
        the limit, a header digest error, an opcode that does not exist, or an AHS where none may be. Where the next
        PDU begins is then unknown, so every later call raises as well and keeps nothing; sound PDUs that came in the
        same bytes as the fault go down with the connection.
        """
        if self._fault:
            raise RemoteProtocolError(f"nothing can be read after this: {self._fault}")
        if data:
            self._chunks.append(data)
            self._have += len(data)
        if self._have < self._need:
            return []
        buffer = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        pdus: list[Pdu | DamagedPdu] = []
        try:
            position = self._cut(buffer, pdus, len(buffer) if limit is None else limit)
        except RemoteProtocolError as fault:
            self._fault = str(fault)
            self._chunks, self._have = [], 0
            raise
        self._have = len(buffer) - position
        if self._have:
            self._chunks = [buffer[position:] if position else buffer]
        else:
            self._chunks = []
        return pdus

    def _cut(self, buffer: bytes, pdus: list[Pdu | DamagedPdu], limit: int) -> int:
        """Append the whole PDUs at the front of ``buffer`` to ``pdus``; return where the first unfinished one begins.

        A header digest is checked before the length in the header is believed: a damaged length would otherwise have
        the connection wait for data that never comes.
        """
        end = len(buffer)
        position = 0
        self._need = BHS_LENGTH
        crc_bytes = 4 if self.header_digest else 0
        while len(pdus) < limit:
            if end - position < BHS_LENGTH:
                self._need = BHS_LENGTH
                break
            header_end = position + BHS_LENGTH + (buffer[position + 4] << 2)
            data_start = header_end + crc_bytes
            if crc_bytes:
                if end < data_start:
                    self._need = data_start - position
                    break
                if crc32c(buffer[position:header_end]).to_bytes(4, "little") != buffer[header_end:data_start]:
                    raise RemoteProtocolError(f"header digest error in a PDU that begins with 0x{buffer[position]:02x}")
            length = int.from_bytes(buffer[position + 5 : position + 8], "big")
            if length > self.max_data_segment_length:
                raise RemoteProtocolError(
                    f"{_name(buffer[position])} announces a data segment of {length} bytes; "
                    f"the limit here is {self.max_data_segment_length}",
                    reject_reason=RejectReason.INVALID_PDU_FIELD,
                )
            data_end = data_start + length
            padded_end = data_end + (-length & 3)
            pdu_end = padded_end + 4 if length and self.data_digest else padded_end
            if end < pdu_end:
                self._need = pdu_end - position
                break
            header = buffer[position : position + BHS_LENGTH]
            pdu = decode(header, buffer[position + BHS_LENGTH : header_end], buffer[data_start:data_end])
            if (
                pdu_end != padded_end
                and crc32c(buffer[data_start:padded_end]).to_bytes(4, "little") != buffer[padded_end:pdu_end]
            ):
                pdus.append(DamagedPdu(pdu, buffer[position:header_end]))
            else:
                pdus.append(pdu)
            position = pdu_end
        return position

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
