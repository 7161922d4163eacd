"""Additional Header Segments of a SCSI Command: the rest of a long CDB, and the read length of a bidirectional command.

A segment is AHSLength (2 bytes: what follows the type byte, without padding), AHSType, then its content, padded to four
bytes (RFC 7143 11.2.2). The PDU codec carries them as they are; this file says what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iscsi.constants import RejectReason
from iscsi.errors import LocalProtocolError, RemoteProtocolError

EXTENDED_CDB: Final = 1
BIDIRECTIONAL_READ: Final = 2
SHORT_CDB_LENGTH: Final = 16
MAX_CDB_LENGTH: Final = 260
"""The longest CDB SPC-4 4.2.3 knows: ADDITIONAL CDB LENGTH is one byte, a multiple of four, behind eight bytes."""


@dataclass(frozen=True, slots=True)
class AdditionalHeaders:
    """``cdb_rest``: the CDB from byte 16 on; ``read_length``: Bidirectional Read Expected Data Transfer Length."""

    cdb_rest: bytes = b""
    read_length: int | None = None


def parse_ahs(ahs: bytes) -> AdditionalHeaders:
    """What the segments of one PDU say.

    Raises:
        RemoteProtocolError: a reserved type, a segment twice, a length that is not its type's or runs over the end.
    """
    rest, read_length = b"", None
    seen: list[int] = []
    at = 0
    while at < len(ahs):
        length = int.from_bytes(ahs[at : at + 2], "big")
        end = at + 3 + length
        if length < 1 or end > len(ahs):
            raise _bad(f"an AHS announces {length} bytes where {len(ahs) - at - 3} are left")
        kind, content = ahs[at + 2], ahs[at + 4 : end]
        if kind in seen:
            raise _bad(f"two AHS of type {kind} in one PDU")
        seen.append(kind)
        if kind == EXTENDED_CDB and 1 <= len(content) <= MAX_CDB_LENGTH - SHORT_CDB_LENGTH:
            rest = content
        elif kind == BIDIRECTIONAL_READ and len(content) == 4:
            read_length = int.from_bytes(content, "big")
        else:
            raise _bad(f"an AHS of type {kind} with {len(content)} bytes of content")
        at = end + (-end & 3)
    return AdditionalHeaders(rest, read_length)


def encode_ahs(cdb: bytes = b"", read_length: int | None = None) -> bytes:
    """The segments for a CDB of more than 16 bytes and for a bidirectional command; empty when neither is needed."""
    segments = b""
    rest = cdb[SHORT_CDB_LENGTH:]
    if len(cdb) > MAX_CDB_LENGTH:
        raise LocalProtocolError(f"a CDB has at most {MAX_CDB_LENGTH} bytes, not {len(cdb)}")
    if rest:
        segments += _segment(EXTENDED_CDB, rest)
    if read_length is not None:
        segments += _segment(BIDIRECTIONAL_READ, read_length.to_bytes(4, "big"))
    return segments


def _segment(kind: int, content: bytes) -> bytes:
    raw = (len(content) + 1).to_bytes(2, "big") + bytes((kind, 0)) + content
    return raw + bytes(-len(raw) & 3)


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reject_reason=RejectReason.INVALID_PDU_FIELD)
