"""An active/passive volume: it is served through one portal at a time, its owner.

Through any other portal the volume is there to be asked about, but not ready: TEST UNIT READY ends NOT READY, LOGICAL
UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE (04h/0Bh), which is how a host learns that the path cannot be active.
A command for the medium through another portal moves the ownership there, as arrays with automatic trespass do; a
host that sent I/O down both paths at once would make the volume change hands all the time.

Source: SPC-4 5.15.2.7 (what a port in standby state answers). Automatic trespass is a common vendor feature, not part
of a standard.
"""

from __future__ import annotations

from iscsi.scsi import ScsiOpcode
from target import disk_io, disk_provisioning
from target.nexus import Nexus

_MEDIUM_ACCESS = frozenset(
    row.opcode for row in (*disk_io.COMMANDS, *disk_provisioning.COMMANDS) if row.service_action is None
)
"""Every command that reads, writes or flushes the medium, by the device server's own tables."""


class Ownership:
    """Which relative target port owns the volume; the first one that is asked whether it is ready becomes owner."""

    __slots__ = ("moves", "owner")

    def __init__(self) -> None:
        self.owner: int | None = None
        self.moves = 0

    def refuses(self, opcode: int, nexus: Nexus) -> bool:
        """True when the command must end in standby; a medium access through another portal takes the volume over."""
        port = nexus.relative_port
        if port == self.owner:
            return False
        if opcode == ScsiOpcode.TEST_UNIT_READY and self.owner is not None:
            return True
        if opcode in _MEDIUM_ACCESS or opcode == ScsiOpcode.TEST_UNIT_READY:
            self.moves += self.owner is not None
            self.owner = port
        return False
