"""Task management that waits until what it covers is out of the way (RFC 7143 4.2.3.3).

A function over many tasks may not act before the data the array has asked for on their behalf has come, nor before
every command that was sent ahead of it has arrived: those are covered, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iscsi.lun import decode_lun
from iscsi.pdu import ScsiCommand
from iscsi.serial import lt


@dataclass(slots=True, eq=False)
class Barrier:
    """One function that waits.

    ``lun``: the unit it is about, None for all; ``cmd_sn``: its own number, commands below it are covered; ``waits``:
    the tags of writes whose data is still on its way. ``on_end`` is called once, with False when a command ahead of it
    has not come by ``deadline_ns``.
    """

    lun: int | None
    cmd_sn: int
    deadline_ns: int
    on_end: Callable[[bool], None]
    waits: dict[int, None] = field(default_factory=dict)

    def covers(self, command: ScsiCommand) -> bool:
        """True for a command that was sent ahead of the function, and only comes now."""
        if command.immediate or not lt(command.cmd_sn, self.cmd_sn):
            return False
        return self.lun is None or decode_lun(command.lun) == self.lun
