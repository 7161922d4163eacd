"""EXTENDED COPY(LID1): what is to be copied, and what RECEIVE COPY RESULTS says about it.

A parameter list names copy targets by their VPD page 83h designators (identification descriptors, E4h) and segments
between them (block to block, 02h). Other kinds are for tapes and for copy managers outside the array; they are refused
by their codes. Builder and parser stand side by side.

Source: SPC-4 6.4 (EXTENDED COPY), 6.4.5, 6.4.6 (descriptors), 6.24 to 6.28 (RECEIVE COPY ...), 7.8.17 (page 8Fh).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from iscsi.inquiry import VpdPage, vpd_page
from iscsi.sense import (
    INLINE_DATA_LENGTH_EXCEEDED,
    INVALID_FIELD_IN_PARAMETER_LIST,
    PARAMETER_LIST_LENGTH_ERROR,
    TOO_MANY_SEGMENT_DESCRIPTORS,
    TOO_MANY_TARGET_DESCRIPTORS,
    UNSUPPORTED_SEGMENT_DESCRIPTOR,
    UNSUPPORTED_TARGET_DESCRIPTOR,
    Sense,
)


class ExtendedCopy(IntEnum):
    """Service actions of EXTENDED COPY, opcode 83h."""

    LID1 = 0x00


class CopyResults(IntEnum):
    """Service actions of RECEIVE COPY RESULTS, opcode 84h."""

    COPY_STATUS = 0x00
    RECEIVE_DATA = 0x01
    OPERATING_PARAMETERS = 0x03
    FAILED_SEGMENT_DETAILS = 0x04


class ListIdUsage(IntEnum):
    """Whether results are kept under the list identifier (SPC-4 table 109)."""

    HOLD = 0
    DISCARD = 2
    NONE = 3


IDENTIFICATION_TARGET: Final = 0xE4
BLOCK_TO_BLOCK: Final = 0x02

MAX_TARGETS: Final = 16
MAX_SEGMENTS: Final = 16
MAX_SEGMENT_BYTES: Final = 8 << 20
"""One command is carried out in one go, so what it may ask for is bounded: 16 segments of 8 MiB."""

_HEADER: Final = Struct(">BBH4xII")
_TARGET: Final = Struct(">BBHBBxB20sBBH")
_SEGMENT_HEADER: Final = Struct(">BBH")
_SEGMENT: Final = Struct(">BBHHH2xHQQ")
TARGET_BYTES: Final = _TARGET.size
SEGMENT_BYTES: Final = _SEGMENT.size
MAX_LIST_BYTES: Final = MAX_TARGETS * TARGET_BYTES + MAX_SEGMENTS * SEGMENT_BYTES


class BadCopyList(Exception):
    """A parameter list that cannot be meant; ``sense`` says why."""

    def __init__(self, sense: Sense) -> None:
        super().__init__(sense.words)
        self.sense = sense


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """An identification descriptor. ``pad``: an inexact last block is filled with zeros.

    LU ID TYPE and NUL mean nothing here since SPC-4. ``kind`` is the designator's type and association as page 83h has
    them, in one byte; ``block_size`` in bytes.
    """

    designator: bytes
    block_size: int
    kind: int = 0x03
    code_set: int = 0x01
    pad: bool = False

    def encode(self) -> bytes:
        """The descriptor, 32 bytes."""
        size = self.block_size
        return _TARGET.pack(
            IDENTIFICATION_TARGET,
            0,
            0,
            self.code_set,
            self.kind,
            len(self.designator),
            self.designator,
            self.pad << 2,
            size >> 16,
            size & 0xFFFF,
        )


@dataclass(frozen=True, slots=True)
class CopySegment:
    """A block-to-block segment. ``blocks`` counts blocks of the source, or of the destination when ``counts_there``.

    ``catenate``: an inexact rest is to be held for the next segment (CAT).
    """

    source: int
    destination: int
    blocks: int
    source_lba: int
    destination_lba: int
    counts_there: bool = False
    catenate: bool = False

    def encode(self) -> bytes:
        """The descriptor, 28 bytes."""
        return _SEGMENT.pack(
            BLOCK_TO_BLOCK,
            self.counts_there << 1 | self.catenate,
            SEGMENT_BYTES - _SEGMENT_HEADER.size,
            self.source,
            self.destination,
            self.blocks,
            self.source_lba,
            self.destination_lba,
        )


@dataclass(frozen=True, slots=True)
class CopyList:
    """An EXTENDED COPY(LID1) parameter list."""

    targets: tuple[CopyTarget, ...]
    segments: tuple[CopySegment, ...]
    list_id: int = 0
    usage: ListIdUsage = ListIdUsage.HOLD

    def encode(self) -> bytes:
        """The list, without inline data."""
        targets = b"".join(target.encode() for target in self.targets)
        segments = b"".join(segment.encode() for segment in self.segments)
        return _HEADER.pack(self.list_id, self.usage << 3, len(targets), len(segments), 0) + targets + segments

    @classmethod
    def decode(cls, raw: bytes) -> CopyList:
        """Parse; raises BadCopyList. Descriptors are checked in order, targets first."""
        if len(raw) < _HEADER.size:
            raise BadCopyList(PARAMETER_LIST_LENGTH_ERROR)
        list_id, flags, target_bytes, segment_bytes, inline_bytes = _HEADER.unpack_from(raw)
        if target_bytes + segment_bytes > MAX_LIST_BYTES:
            raise BadCopyList(PARAMETER_LIST_LENGTH_ERROR)
        if inline_bytes:
            raise BadCopyList(INLINE_DATA_LENGTH_EXCEEDED)
        if len(raw) < _HEADER.size + target_bytes + segment_bytes:
            raise BadCopyList(PARAMETER_LIST_LENGTH_ERROR)
        try:
            usage = ListIdUsage(flags >> 3 & 3)
        except ValueError:
            raise _bad_field(1, 4) from None
        if usage is ListIdUsage.NONE and list_id:
            raise _bad_field(0)
        first_segment = _HEADER.size + target_bytes
        targets = tuple(_targets(raw, first_segment))
        return cls(targets, tuple(_segments(raw, first_segment, first_segment + segment_bytes)), list_id, usage)


def _targets(raw: bytes, end: int) -> Iterator[CopyTarget]:
    starts = range(_HEADER.size, end, TARGET_BYTES)
    if len(starts) > MAX_TARGETS:
        raise BadCopyList(TOO_MANY_TARGET_DESCRIPTORS)
    for at in starts:
        if raw[at] != IDENTIFICATION_TARGET:
            raise BadCopyList(UNSUPPORTED_TARGET_DESCRIPTOR.at(at, in_cdb=False))
        if at + TARGET_BYTES > end:
            raise _bad_field(2)
        _, flags, _, code_set, kind, length, designator, padding, size_high, size_low = _TARGET.unpack_from(raw, at)
        if flags & 0x1F:  # of block devices, only disks copy
            raise _bad_field(at + 1, 4)
        if length > len(designator):
            raise _bad_field(at + 7)
        yield CopyTarget(
            designator[:length],
            size_high << 16 | size_low,
            kind & 0x3F,
            code_set & 0x0F,
            bool(padding & 0x04),
        )


def _segments(raw: bytes, start: int, end: int) -> Iterator[CopySegment]:
    found, at = 0, start
    while at < end:
        if found == MAX_SEGMENTS:
            raise BadCopyList(TOO_MANY_SEGMENT_DESCRIPTORS)
        if raw[at] != BLOCK_TO_BLOCK:
            raise BadCopyList(UNSUPPORTED_SEGMENT_DESCRIPTOR.at(at, in_cdb=False))
        if at + SEGMENT_BYTES > end:
            raise _bad_field(8)
        _, flags, length, source, destination, blocks, source_lba, destination_lba = _SEGMENT.unpack_from(raw, at)
        if length != SEGMENT_BYTES - _SEGMENT_HEADER.size:
            raise _bad_field(at + 2)
        yield CopySegment(
            source, destination, blocks, source_lba, destination_lba, bool(flags & 0x02), bool(flags & 0x01)
        )
        found += 1
        at += SEGMENT_BYTES


def _bad_field(byte: int, bit: int | None = None) -> BadCopyList:
    return BadCopyList(INVALID_FIELD_IN_PARAMETER_LIST.at(byte, bit, in_cdb=False))


class CopyStatus(IntEnum):
    """COPY MANAGER STATUS (SPC-4 table 254)."""

    IN_PROGRESS = 0
    COMPLETED = 1
    FAILED = 2


@dataclass(frozen=True, slots=True)
class CopyOutcome:
    """How a copy ended: segments done whole, and bytes copied; ``sense`` is None when all is well."""

    segments: int
    bytes_copied: int
    sense: Sense | None = None

    def encode_status(self) -> bytes:
        """COPY STATUS data, 12 bytes; the transfer count saturates."""
        status = CopyStatus.COMPLETED if self.sense is None else CopyStatus.FAILED
        return _COPY_STATUS.pack(8, status, self.segments, 0, min(self.bytes_copied, 0xFFFFFFFF))

    def encode_failure(self) -> bytes:
        """FAILED SEGMENT DETAILS data; without a failure there are none."""
        if self.sense is None:
            return bytes(4)
        sense = self.sense.fixed()
        check_condition = 0x02
        body = bytes(52) + bytes((check_condition, 0)) + len(sense).to_bytes(2, "big") + sense
        return len(body).to_bytes(4, "big") + body


_COPY_STATUS: Final = Struct(">IBHBI")


def parse_copy_status(raw: bytes) -> tuple[CopyStatus, int, int]:
    """(status, segments done, bytes copied) of COPY STATUS data; ValueError when it is short or reserved."""
    if len(raw) < _COPY_STATUS.size:
        raise ValueError(f"copy status data has 12 bytes, got {len(raw)}")
    _, status, segments, _, count = _COPY_STATUS.unpack_from(raw)
    return CopyStatus(status & 0x7F), segments, count


_GRANULARITY: Final = 9
"""Segments are multiples of 2**9 bytes."""

_OPERATING_PARAMETERS: Final = Struct(">IB3xHHIIII4x2xHBBBB3xB")


def build_operating_parameters() -> bytes:
    """OPERATING PARAMETERS data. One copy runs at a time, since each is carried out in one go; nothing is held."""
    codes = bytes(sorted((BLOCK_TO_BLOCK, IDENTIFICATION_TARGET)))
    size = _OPERATING_PARAMETERS.size + len(codes)
    numbers = (MAX_TARGETS, MAX_SEGMENTS, MAX_LIST_BYTES, MAX_SEGMENT_BYTES, 0, 0)
    return _OPERATING_PARAMETERS.pack(size - 4, 1, *numbers, 1, 1, _GRANULARITY, 0, 0, len(codes)) + codes


def build_third_party_copy(commands: Sequence[tuple[int, Sequence[int]]]) -> bytes:
    """Page 8Fh: ``commands`` are opcodes with their service actions."""
    supported = b"".join(bytes((opcode, len(actions), *actions)) for opcode, actions in commands)
    codes = bytes(sorted((BLOCK_TO_BLOCK, IDENTIFICATION_TARGET)))
    body = (
        _descriptor(0x0001, bytes((len(supported),)) + supported)
        + _descriptor(0x0004, Struct(">4xHHII12x").pack(MAX_TARGETS, MAX_SEGMENTS, MAX_LIST_BYTES, 0))
        + _descriptor(0x0008, bytes((len(codes),)) + codes)
        + _descriptor(0x8001, Struct(">IIIBB18x").pack(1, 1, MAX_SEGMENT_BYTES, _GRANULARITY, 0))
    )
    return vpd_page(VpdPage.THIRD_PARTY_COPY, body)


def _descriptor(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body
