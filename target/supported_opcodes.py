"""REPORT SUPPORTED OPERATION CODES, read off the table that dispatches.

Because both come from the same rows, a command the unit claims is a command it runs.

Source: SPC-4 6.35.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from iscsi.constants import ScsiStatus
from target.command import Command, ScsiResult, bad_cdb_field

_WANTS_TIMEOUTS: Final = 0x80
_HAS_TIMEOUTS: Final = 0x02
_ONE_HAS_TIMEOUTS: Final = 0x80
_HAS_SERVICE_ACTION: Final = 0x01
_NOT_SUPPORTED: Final = 1
_SUPPORTED: Final = 3
_NO_TIMEOUTS: Final = bytes((0, 10)) + bytes(10)
"""A timeouts descriptor that names no timeout."""


class _Reporting(IntEnum):
    ALL = 0
    BY_OPCODE = 1
    BY_SERVICE_ACTION = 2
    EITHER = 3


def report_supported_opcodes(commands: Sequence[Command], cdb: bytes) -> ScsiResult:
    """The answer to ``cdb`` over ``commands``; raises CheckCondition for a reporting option that does not fit."""
    allocation = int.from_bytes(cdb[6:10], "big")
    timeouts = _NO_TIMEOUTS if cdb[2] & _WANTS_TIMEOUTS else b""
    try:
        option = _Reporting(cdb[2] & 0x07)
    except ValueError:
        raise bad_cdb_field(2, 2) from None
    if option is _Reporting.ALL:
        data = _all_commands(commands, timeouts)
    else:
        data = _one_command(_find(commands, option, cdb), timeouts)
    return ScsiResult(ScsiStatus.GOOD, data[:allocation])


def _all_commands(commands: Sequence[Command], timeouts: bytes) -> bytes:
    body = b""
    for row in sorted(commands, key=lambda row: (row.opcode, row.service_action or 0)):
        flags = (_HAS_TIMEOUTS if timeouts else 0) | (0 if row.service_action is None else _HAS_SERVICE_ACTION)
        action = (row.service_action or 0).to_bytes(2, "big")
        body += bytes((row.opcode, 0)) + action + bytes((0, flags)) + len(row.mask).to_bytes(2, "big") + timeouts
    return len(body).to_bytes(4, "big") + body


def _find(commands: Sequence[Command], option: _Reporting, cdb: bytes) -> Command | None:
    opcode, action = cdb[3], int.from_bytes(cdb[4:6], "big")
    rows = [row for row in commands if row.opcode == opcode]
    has_actions = any(row.service_action is not None for row in rows)
    if option is _Reporting.BY_OPCODE and has_actions:
        raise bad_cdb_field(2, 2)
    if option is _Reporting.BY_SERVICE_ACTION and rows and not has_actions:
        raise bad_cdb_field(2, 2)
    return next((row for row in rows if not has_actions or row.service_action == action), None)


def _one_command(row: Command | None, timeouts: bytes) -> bytes:
    if row is None:
        return bytes((0, _NOT_SUPPORTED, 0, 0))
    support = _SUPPORTED | (_ONE_HAS_TIMEOUTS if timeouts else 0)
    return bytes((0, support)) + len(row.mask).to_bytes(2, "big") + row.mask + timeouts
