"""Plain reads, the shortest way: from the bytes of commands to the bytes of answers, without an object in between.

Reads are most of what an array does, and what one costs is mostly this code, run by a processor that has forgotten it
since the last one. So a run of plain reads (see `iscsi.plain_command`) that nothing stands in the way of is answered
here. Whatever is not plain, is not due, or might end other than GOOD is left where it stands, for `target.full_feature`
and `target.tasks`, whose answers these are byte for byte (tests/properties/test_plain_commands.py).

Only a connection at ErrorRecoveryLevel 0, alone in its session, has this way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from google_crc32c import value as crc32c

from iscsi.constants import BHS_LENGTH, DIGEST_LENGTH, RESERVED_TAG
from iscsi.lun import decode_lun
from iscsi.pieces import Bytes
from iscsi.plain_command import (
    COMMAND_MASK,
    DATA_IN,
    DATA_IN_FINAL,
    DATA_IN_GOOD,
    READ_COMMAND,
    pack_answer,
    pack_digest,
    unpack_command,
    unpack_digest,
)
from iscsi.scsi import RANGE_BY_OPCODE, ScsiOpcode
from iscsi.transfer import segments
from target.disk import Disk
from target.disk_io import COMMANDS

if TYPE_CHECKING:
    from target.connection import TargetConnection

_READS: Final = {
    row.opcode: (row.reserved, RANGE_BY_OPCODE[row.opcode])
    for row in COMMANDS
    if row.opcode in (ScsiOpcode.READ_6, ScsiOpcode.READ_10, ScsiOpcode.READ_12, ScsiOpcode.READ_16)
}
"""The bits of the CDB that must be zero, and where LBA and length are: by opcode."""

_MAX_PARTS: Final = 64
"""Data-In PDUs of one plain read."""


def answer_plain_reads(connection: TargetConnection, buffer: Bytes, output: list[bytes]) -> int:
    """Answer the plain reads that ``buffer`` begins with; return where the first other thing stands.

    The answers are added to ``output``, numbered and counted. Ends early when the connection holds as much as it may.
    """
    window, tasks, params = connection.window, connection.tasks, connection.params
    ahead = window.depth - 1 - window.in_use
    segment, burst = params.peer_max_recv_data_segment_length, params.max_burst_length
    if window.held or tasks.managing or ahead < 0 or (segment | burst) & 3:
        return 0
    waiting, luns, nexus = tasks.waiting, tasks.luns, connection.nexus
    exp_cmd_sn, stat_sn = window.exp_cmd_sn, connection.stat_sn
    held, room, longest = connection.output_bytes, connection.output_high_bytes, _MAX_PARTS * min(segment, burst)
    header_digest, data_digest = params.header_digest, params.data_digest
    head_bytes = BHS_LENGTH + DIGEST_LENGTH if header_digest else BHS_LENGTH
    disk: Disk | None = None
    disk_lun = -1
    reads = position = 0
    end = len(buffer) - head_bytes
    while position <= end and held < room:
        word, lengths, lun, itt, expected, cmd_sn, _, cdb = unpack_command(buffer, position)
        read = _READS.get(cdb[0])
        if (
            read is None
            or word & COMMAND_MASK != READ_COMMAND
            or lengths
            or cmd_sn != exp_cmd_sn
            or itt == RESERVED_TAG
        ):
            break
        if waiting and tasks.find(itt):
            break
        if header_digest:
            behind = position + BHS_LENGTH
            if crc32c(bytes(buffer[position:behind])) != unpack_digest(buffer, behind)[0]:
                break
        if lun != disk_lun:
            disk, disk_lun = luns.open_to_reads(decode_lun(lun), nexus), lun
        reserved, locate = read
        lba, blocks = locate(cdb)
        if disk is None or int.from_bytes(cdb) & reserved or lba + blocks > disk.blocks:
            break
        size = disk.block_size
        length = blocks * size
        if length != expected or not 0 < length <= longest or blocks > disk.max_transfer_blocks:
            break
        begin, gather = lba * size, disk.store.gather
        exp_cmd_sn = (cmd_sn + 1) & 0xFFFFFFFF
        max_cmd_sn = (exp_cmd_sn + ahead) & 0xFFFFFFFF
        mark = len(output)
        try:
            for first, part, offset, data_sn, status in _parts(length, segment, burst):
                data = gather(begin + offset, part)
                header = pack_answer(
                    first, part, 0, itt, RESERVED_TAG, stat_sn & status, exp_cmd_sn, max_cmd_sn, data_sn, offset, 0
                )
                output.append(header + pack_digest(crc32c(header)) if header_digest else header)
                if data_digest:
                    whole = bytes(data)
                    output += (whole, pack_digest(crc32c(whole)))
                elif isinstance(data, bytes):
                    output.append(data)
                else:
                    output += data.buffers
        except OSError:
            del output[mark:]
            exp_cmd_sn = cmd_sn
            break
        held += length + (head_bytes + DIGEST_LENGTH if data_digest else head_bytes) * (data_sn + 1)
        stat_sn = (stat_sn + 1) & 0xFFFFFFFF
        position += head_bytes
        reads += 1
    if reads:
        connection.reads += reads
        connection.stat_sn = stat_sn
        connection.output_bytes = held
        window.pass_through(reads)
    return position


@lru_cache(maxsize=64)
def _parts(length: int, segment: int, burst: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """The Data-In PDUs of a read: of each its first word, length, offset, DataSN, and a mask for its StatSN.

    Only the last has one (11.7.4).
    """
    cut = list(enumerate(segments(0, length, segment, burst)))
    parts = [(DATA_IN_FINAL if part.final else DATA_IN, part.length, part.offset, sn, 0) for sn, part in cut]
    _, size, offset, data_sn, _ = parts.pop()
    return (*parts, (DATA_IN_GOOD, size, offset, data_sn, 0xFFFFFFFF))
