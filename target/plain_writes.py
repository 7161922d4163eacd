"""Plain writes, the shortest way: what `target.plain_reads` is for reads.

A plain write comes whole, its data with its command, and wants nothing flushed. It is stored where it stands in what
was received, without being copied before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google_crc32c import value as crc32c

from iscsi.constants import BHS_LENGTH, DIGEST_LENGTH, RESERVED_TAG
from iscsi.lun import decode_lun
from iscsi.pieces import Bytes
from iscsi.plain_command import (
    COMMAND_MASK,
    RESPONSE_GOOD,
    WRITE_COMMAND,
    pack_answer,
    pack_digest,
    unpack_command,
    unpack_digest,
)
from iscsi.scsi import RANGE_BY_OPCODE, ScsiOpcode
from target.disk import Disk
from target.disk_io import COMMANDS, FUA
from target.store import StoreFull

if TYPE_CHECKING:
    from target.connection import TargetConnection

_WRITES: Final = {
    row.opcode: (row.reserved | FUA << 8 * 14, RANGE_BY_OPCODE[row.opcode])
    for row in COMMANDS
    if row.opcode in (ScsiOpcode.WRITE_10, ScsiOpcode.WRITE_12, ScsiOpcode.WRITE_16)
}
"""The bits of the CDB that must be zero, FUA among them, and where LBA and length are: by opcode."""


def answer_plain_writes(connection: TargetConnection, buffer: Bytes, output: list[bytes]) -> int:
    """Execute the plain writes that ``buffer`` begins with; return where the first other thing stands.

    The answers are added to ``output``, numbered and counted. Ends early when the connection holds as much as it may.
    """
    window, tasks, params = connection.window, connection.tasks, connection.params
    ahead = window.depth - 1 - window.in_use
    if window.held or tasks.managing or ahead < 0 or not params.immediate_data:
        return 0
    waiting, luns, nexus = tasks.waiting, tasks.luns, connection.nexus
    exp_cmd_sn, stat_sn = window.exp_cmd_sn, connection.stat_sn
    longest = min(params.first_burst_length, connection.framer.max_data_segment_length)
    header_digest, data_digest = params.header_digest, params.data_digest
    head_bytes = BHS_LENGTH + DIGEST_LENGTH if header_digest else BHS_LENGTH
    tail_bytes = DIGEST_LENGTH if data_digest else 0
    room = connection.output_high_bytes - connection.output_bytes
    disk: Disk | None = None
    disk_lun = -1
    writes = position = 0
    end = len(buffer) - head_bytes - tail_bytes
    while position <= end and head_bytes * writes < room:
        word, length, lun, itt, expected, cmd_sn, _, cdb = unpack_command(buffer, position)
        write = _WRITES.get(cdb[0])
        if write is None or word & COMMAND_MASK != WRITE_COMMAND or cmd_sn != exp_cmd_sn or itt == RESERVED_TAG:
            break
        if length != expected or not 0 < length <= longest or position + length > end or (waiting and tasks.find(itt)):
            break
        if header_digest:
            behind = position + BHS_LENGTH
            if crc32c(bytes(buffer[position:behind])) != unpack_digest(buffer, behind)[0]:
                break
        if lun != disk_lun:
            disk, disk_lun = luns.open_to_writes(decode_lun(lun), nexus), lun
        reserved, locate = write
        lba, blocks = locate(cdb)
        if disk is None or int.from_bytes(cdb) & reserved or lba + blocks > disk.blocks:
            break
        size = disk.block_size
        if blocks * size != length or blocks > disk.max_transfer_blocks:
            break
        begin = position + head_bytes
        data: Bytes = buffer[begin : begin + length]
        if data_digest:
            data = bytes(data)
            if crc32c(data) != unpack_digest(buffer, begin + length)[0]:
                break
        try:
            disk.store.write(lba * size, data)
        except (OSError, StoreFull):
            break
        exp_cmd_sn = (cmd_sn + 1) & 0xFFFFFFFF
        max_cmd_sn = (exp_cmd_sn + ahead) & 0xFFFFFFFF
        header = pack_answer(RESPONSE_GOOD, 0, 0, itt, 0, stat_sn, exp_cmd_sn, max_cmd_sn, 0, 0, 0)
        output.append(header + pack_digest(crc32c(header)) if header_digest else header)
        stat_sn = (stat_sn + 1) & 0xFFFFFFFF
        position = begin + length + tail_bytes
        writes += 1
    if writes:
        connection.writes += writes
        connection.stat_sn = stat_sn
        connection.output_bytes += head_bytes * writes
        window.pass_through(writes)
    return position
