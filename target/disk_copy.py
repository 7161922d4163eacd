"""EXTENDED COPY and RECEIVE COPY RESULTS: a disk that moves blocks within the array, for a host that only says which.

The disk that gets the command is the copy manager. Its targets are itself and what ``Copies.reach`` lets the nexus have
besides; a copy acts on them as the nexus itself would: reservations, write protection, readiness and capacity all hold.
What is not allocated at a thin source is not allocated by the copy either.

Source: SPC-4 5.17, 6.4, 6.24 to 6.28.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.copying import (
    MAX_SEGMENT_BYTES,
    BadCopyList,
    CopyList,
    CopyOutcome,
    CopyResults,
    CopySegment,
    CopyTarget,
    ExtendedCopy,
    ListIdUsage,
    build_operating_parameters,
)
from iscsi.identification import Association, DesignatorType
from iscsi.sense import (
    COPY_ABORTED,
    COPY_TARGET_NOT_REACHABLE,
    INVALID_FIELD_IN_PARAMETER_LIST,
    UNEXPECTED_INEXACT_SEGMENT,
    UNREACHABLE_COPY_TARGET,
)
from target.command import GOOD, Access, CheckCondition, Command, DataDirection, ScsiResult, bad_cdb_field, field_length
from target.disk import Disk
from target.flush import Flush, joined
from target.nexus import Nexus
from target.store import StoreFull, extents

_CHUNK_BYTES: Final = 1 << 20
_NAA_OF_UNIT: Final = Association.LOGICAL_UNIT << 4 | DesignatorType.NAA


def _extended_copy(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    length = int.from_bytes(cdb[10:14], "big")
    if not length:
        return GOOD
    try:
        wanted = CopyList.decode(data_out[:length])
    except BadCopyList as bad:
        raise CheckCondition(bad.sense) from None
    copy = _Copy(disk, nexus, wanted)
    outcome = copy.run()
    if wanted.usage is not ListIdUsage.NONE:
        disk.copies.keep(nexus, wanted.list_id, outcome)
    if outcome.sense is not None:
        raise CheckCondition(outcome.sense)
    return copy.end()


class _Copy:
    """One copy under way, carried out by ``manager`` for ``nexus``."""

    def __init__(self, manager: Disk, nexus: Nexus, wanted: CopyList) -> None:
        self._manager = manager
        self._nexus = nexus
        self._wanted = wanted
        self._written: dict[Disk, None] = {}

    def run(self) -> CopyOutcome:
        """Copy segment after segment, up to the first that fails."""
        done = 0
        for number, segment in enumerate(self._wanted.segments):
            try:
                done += self._segment(segment)
            except CheckCondition as end:
                return CopyOutcome(number, done, end.sense.with_command_specific(number))
            except (StoreFull, OSError):
                return CopyOutcome(number, done, COPY_ABORTED.with_command_specific(number))
        return CopyOutcome(len(self._wanted.segments), done)

    def end(self) -> ScsiResult:
        """GOOD, when the disks whose write cache is off have what was written."""
        pending: list[Flush] = []
        for disk in self._written:
            result = disk.written(stable=False)
            if result.pending is not None:
                pending.append(result.pending)
        return ScsiResult(ScsiStatus.GOOD, pending=joined(pending))

    def _segment(self, segment: CopySegment) -> int:
        """Copy one segment; the bytes of it."""
        source, _ = self._target(segment.source, Access.READ)
        destination, destination_target = self._target(segment.destination, Access.WRITE)
        length = segment.blocks * (destination if segment.counts_there else source).block_size
        if length > MAX_SEGMENT_BYTES:
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
        start, to = segment.source_lba * source.block_size, segment.destination_lba * destination.block_size
        padding = -length % destination.block_size
        if length % source.block_size or (padding and not destination_target.pad):
            raise CheckCondition(UNEXPECTED_INEXACT_SEGMENT)
        if start + length > source.store.size_bytes or to + length + padding > destination.store.size_bytes:
            raise CheckCondition(COPY_ABORTED)
        if destination.write_protected:
            raise CheckCondition(COPY_ABORTED)
        self._written[destination] = None
        pieces = list(_runs(source, start, start + length))  # before the copy changes them
        if source is destination and start < to:
            pieces.reverse()  # as memmove does
        for offset, size, mapped in pieces:
            if mapped or not destination.thin:
                destination.store.write(to + offset - start, source.store.read(offset, size))
            else:
                destination.store.discard(to + offset - start, size)
        if padding:
            destination.store.write(to + length, bytes(padding))
        return length

    def _target(self, index: int, access: Access) -> tuple[Disk, CopyTarget]:
        """The disk a segment names, if the nexus may do this with it."""
        if index >= len(self._wanted.targets):
            raise CheckCondition(UNREACHABLE_COPY_TARGET)
        target = self._wanted.targets[index]
        found = self._manager.copies.find(self._manager, self._nexus, target) if target.kind == _NAA_OF_UNIT else None
        if found is None:
            raise CheckCondition(COPY_TARGET_NOT_REACHABLE)
        disk, nexus = found
        if target.block_size != disk.block_size:
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
        if disk.not_ready is not None or disk.reservations.conflicts(nexus, access):
            raise CheckCondition(COPY_ABORTED)
        return disk, target


def _runs(source: Disk, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """(offset, length, mapped) of what is to be copied, in pieces of bounded size where there is data."""
    offset = start
    for run in extents(source.store, start, end, source.block_size):
        if not run.mapped:
            yield offset, run.length, False
        else:
            for at in range(offset, offset + run.length, _CHUNK_BYTES):
                yield at, min(_CHUNK_BYTES, offset + run.length - at), True
        offset += run.length


def _receive_copy_results(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    action, list_id = cdb[1] & 0x1F, cdb[2]
    if action == CopyResults.OPERATING_PARAMETERS:
        data = build_operating_parameters()
    else:
        keeps = action == CopyResults.RECEIVE_DATA
        outcome = disk.copies.peek(nexus, list_id) if keeps else disk.copies.take(nexus, list_id)
        if outcome is None:
            raise bad_cdb_field(2)
        data = _RESULTS[action](outcome)
    return ScsiResult(ScsiStatus.GOOD, data[: int.from_bytes(cdb[10:14], "big")])


_RESULTS: Final[dict[int, Callable[[CopyOutcome], bytes]]] = {
    CopyResults.COPY_STATUS: CopyOutcome.encode_status,
    CopyResults.RECEIVE_DATA: lambda outcome: bytes(4),  # no segment holds data
    CopyResults.FAILED_SEGMENT_DETAILS: CopyOutcome.encode_failure,
}

_ACTIONS: Final = (
    ("RECEIVE COPY STATUS(LID1)", CopyResults.COPY_STATUS),
    ("RECEIVE COPY DATA(LID1)", CopyResults.RECEIVE_DATA),
    ("RECEIVE COPY OPERATING PARAMETERS", CopyResults.OPERATING_PARAMETERS),
    ("RECEIVE COPY FAILURE DETAILS(LID1)", CopyResults.FAILED_SEGMENT_DETAILS),
)

COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        "EXTENDED COPY(LID1)",
        "83 00 00 00 00 00 00 00 00 00 ff ff ff ff 00 00",
        Access.WRITE,
        _extended_copy,
        DataDirection.OUT,
        field_length(10, 4),
        service_action=ExtendedCopy.LID1,
    ),
    *(
        Command(
            name,
            f"84 {action:02x} ff 00 00 00 00 00 00 00 ff ff ff ff 00 00",
            Access.WRITE,
            _receive_copy_results,
            DataDirection.IN,
            field_length(10, 4),
            service_action=action,
            needs_medium=False,
        )
        for name, action in _ACTIONS
    ),
)
