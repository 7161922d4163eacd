"""The device server: a CDB goes in, a status with data or sense comes out.

``execute`` finds the command's row by opcode (and service action), then checks in the order hosts rely on: reservation
conflict, unit attention, access through the portal, readiness, unknown opcode, reserved CDB bits, and last the
command's own rules. It runs to completion without waiting, so commands are atomic to one another; order and timing are
the transport's.

Source: SAM-5 5.3, 5.14; SPC-4 4.3 (CDB), 6.35.
"""

from __future__ import annotations

from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.scsi import CDB_LENGTH, MaintenanceIn, ScsiOpcode
from iscsi.sense import (
    INVALID_OPERATION_CODE,
    MEDIUM_READ_ERROR,
    MEDIUM_WRITE_ERROR,
    POWER_ON_OR_RESET,
    SPACE_ALLOCATION_FAILED,
    Sense,
)
from target import (
    disk_copy,
    disk_description,
    disk_diagnostics,
    disk_io,
    disk_medium,
    disk_mode,
    disk_persistent_in,
    disk_persistent_out,
    disk_port_groups,
    disk_provisioning,
    disk_reservations,
    disk_sanitize,
    disk_xor,
)
from target.command import (
    CONFLICT,
    TASK_ABORTED,
    Access,
    CheckCondition,
    Command,
    DataDirection,
    Provisioned,
    ScsiResult,
    bad_cdb_field,
    field_length,
    reserved_bit_set,
)
from target.disk import MAX_TRANSFER_BYTES, Disk
from target.identity import VolumeIdentity
from target.nexus import Nexus
from target.port_groups import PortGroups
from target.reservation_memory import ReservationMemory
from target.store import BlockStore, StoreFull
from target.supported_opcodes import report_supported_opcodes

__all__ = ["MAX_TRANSFER_BYTES", "DataDirection", "LogicalUnit", "ScsiResult"]

_NO_DATA: Final = DataDirection.NONE
_VARIABLE_LENGTH: Final = int(ScsiOpcode.VARIABLE_LENGTH)


class LogicalUnit:
    """A disk with its command table.

    ``LogicalUnit.over(store, identity, ...)`` is the short way; a ``Disk`` made elsewhere may be handed in.
    """

    __slots__ = ("_by_action", "_by_opcode", "_pending", "_unknown", "_with_actions", "commands", "disk")

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        unlike = Provisioned.FULL if disk.thin else Provisioned.THIN
        rows = (*_COMMANDS, *disk_port_groups.commands(disk.port_groups), self._supported_row())
        self.commands = tuple(row for row in rows if row.only_for is not unlike)
        self._by_opcode = {row.opcode: row for row in self.commands if row.service_action is None}
        self._by_action = {
            (row.opcode, row.service_action): row for row in self.commands if row.service_action is not None
        }
        self._with_actions = frozenset(opcode for opcode, _ in self._by_action)
        self._unknown = Command(
            "unknown",
            "00" + "ff" * (CDB_LENGTH - 1),
            Access.ALWAYS,
            self._refuse,
            needs_medium=False,
            while_sanitizing=True,
        )
        self._pending = disk.attentions.pending

    @classmethod
    def over(
        cls,
        store: BlockStore,
        identity: VolumeIdentity,
        *,
        block_size: int = 512,
        physical_block_size: int | None = None,
        read_only: bool = False,
        removable: bool = False,
        thin: bool = True,
        memory: ReservationMemory | None = None,
        port_groups: PortGroups | None = None,
    ) -> LogicalUnit:
        """A logical unit on ``store``; see ``Disk`` for the arguments."""
        disk = Disk(
            store,
            identity,
            block_size=block_size,
            physical_block_size=physical_block_size,
            read_only=read_only,
            removable=removable,
            thin=thin,
            memory=memory,
            port_groups=port_groups,
        )
        return cls(disk)

    def execute(self, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        """Run one command to its end.

        ``cdb``: 16 bytes as the PDU carries them (others are cut or padded), or a variable length CDB; ``data_out``:
        all data of a write, at most ``transfer_length`` bytes of it are looked at. Never raises for anything a peer
        can send.
        """
        disk = self.disk
        if len(cdb) != CDB_LENGTH and cdb[0] != _VARIABLE_LENGTH:
            cdb = cdb[:CDB_LENGTH].ljust(CDB_LENGTH, b"\0")
        command = self._by_opcode.get(cdb[0]) or self._with_action(cdb) or self._unknown
        if disk.reservations.conflicts(nexus, command.access) and not command.spared(cdb):
            return CONFLICT
        queue = self._pending(nexus)
        if (queue is None or queue) and command.reports_attention:
            condition = disk.attentions.take(nexus)
            if condition is not None:
                return self.check_condition(condition)
        groups = disk.port_groups
        if groups is not None:
            condition = groups.refuses(command, nexus)
            if condition is not None:
                return self.check_condition(condition)
        if disk.not_ready is not None and (
            command.needs_medium or (disk.sanitizing is not None and not command.while_sanitizing)
        ):
            return self.check_condition(disk.not_ready)
        try:
            violation = int.from_bytes(cdb) & command.reserved
            if violation:
                raise reserved_bit_set(violation, len(cdb))
            result = command.run(disk, cdb, data_out, nexus)
            return result if groups is None or not command.needs_medium else groups.slowed(result, nexus)
        except CheckCondition as end:
            return self.check_condition(end.sense)
        except StoreFull:
            return self.check_condition(SPACE_ALLOCATION_FAILED)
        except OSError:
            return self.check_condition(MEDIUM_WRITE_ERROR if command.access is Access.WRITE else MEDIUM_READ_ERROR)

    def open_to_reads(self, nexus: Nexus) -> Disk | None:
        """The disk, when a sound READ of ``nexus`` would meet neither conflict, unit attention nor NOT READY."""
        return self._open_to(Access.READ, nexus)

    def open_to_writes(self, nexus: Nexus) -> Disk | None:
        """The disk, when a sound WRITE without FUA would meet none of these, nor protection, nor had to be flushed."""
        disk = self.disk
        return None if disk.write_protected or disk.write_through else self._open_to(Access.WRITE, nexus)

    def _open_to(self, access: Access, nexus: Nexus) -> Disk | None:
        disk, queue = self.disk, self._pending(nexus)
        if queue is None or queue or disk.not_ready is not None or disk.reservations.conflicts(nexus, access):
            return None
        if disk.port_groups is not None and not disk.port_groups.serves_at_once(nexus):
            return None
        return disk

    def transfer_length(self, cdb: bytes) -> tuple[DataDirection, int] | None:
        """Which way and how many bytes the CDB itself moves; None for a command without data or without a row."""
        command = self._by_opcode.get(cdb[0]) or self._with_action(cdb)
        if command is None or command.direction is _NO_DATA:
            return None
        return command.direction, command.length(self.disk, cdb)

    def wants_exactly(self, cdb: bytes) -> bool:
        """Whether the command is refused when the initiator announces more or less data than the CDB wants."""
        command = self._by_opcode.get(cdb[0]) or self._with_action(cdb)
        return command is not None and command.exact

    def _with_action(self, cdb: bytes) -> Command | None:
        """The row of a command that its service action names; a variable length CDB must have its whole length."""
        if cdb[0] != _VARIABLE_LENGTH:
            return self._by_action.get((cdb[0], cdb[1] & 0x1F))
        command = self._by_action.get((cdb[0], int.from_bytes(cdb[8:10])))
        return command if command is not None and len(cdb) == len(command.mask) == 8 + cdb[7] else None

    def check_condition(self, sense: Sense) -> ScsiResult:
        """CHECK CONDITION with ``sense`` in the format the control mode page names."""
        return ScsiResult(ScsiStatus.CHECK_CONDITION, b"", sense.encode(descriptor=self.disk.descriptor_sense))

    def end_of_aborted(self) -> ScsiResult | None:
        """How a task ends that another nexus has aborted: TASK ABORTED where TAS is set, else without a response."""
        return TASK_ABORTED if self.disk.task_aborted_status else None

    def nexus_lost(self, nexus: Nexus) -> None:
        """The I_T nexus is gone (session closed, reinstated or timed out): RESERVE, PREVENT and what it was owed end.

        When the same nexus comes back it finds I_T NEXUS LOSS OCCURRED.
        """
        self.disk.reservations.nexus_lost(nexus)
        self.disk.prevention.pop(nexus, None)
        self.disk.copies.forget(nexus)
        self.disk.attentions.forget(nexus)

    def reset(self, cause: Sense, *, by: Nexus | None = None) -> None:
        """A reset of the unit or the target; ``cause`` is the 29h condition every nexus is told, ``by`` too.

        Only a nexus that is alone with the unit is not told of the reset it asked for (docs/modeled.md).
        ``DEVICE_RESET`` after LOGICAL UNIT RESET, ``BUS_RESET`` after a warm, ``POWER_ON`` after a cold target reset.
        Aborting tasks is the transport's part.
        """
        self.disk.reservations.reset()
        self.disk.prevention.clear()
        self.disk.copies.reset()
        self.disk.restore_mode_defaults()
        if self.disk.attentions.known() != (by,):
            self.disk.attentions.establish_for_all(cause)

    def taken_over(self) -> None:
        """Another controller serves the unit: as after a reset, and every nexus is greeted like one never met.

        Medium and persistent reservations are the array's, not the controller's (its memory is mirrored).
        """
        self.reset(POWER_ON_OR_RESET)
        self.disk.attentions.greet_anew()

    def close(self) -> None:
        """Make everything stable and release the store."""
        self.disk.store.close()

    def _refuse(self, disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        if cdb[0] not in self._with_actions:
            raise CheckCondition(INVALID_OPERATION_CODE.at(0))
        raise bad_cdb_field(8) if cdb[0] == _VARIABLE_LENGTH else bad_cdb_field(1, 4)

    def _supported_row(self) -> Command:
        return Command(
            "REPORT SUPPORTED OPERATION CODES",
            "a3 0c 87 ff ff ff ff ff ff ff 00 00",
            Access.WRITE,
            lambda disk, cdb, data_out, nexus: report_supported_opcodes(self.commands, cdb),
            DataDirection.IN,
            field_length(6, 4),
            service_action=MaintenanceIn.REPORT_SUPPORTED_OPERATION_CODES,
            needs_medium=False,
            while_sanitizing=True,
        )


_COMMANDS: Final[tuple[Command, ...]] = (
    *disk_description.COMMANDS,
    *disk_diagnostics.COMMANDS,
    *disk_medium.COMMANDS,
    *disk_mode.COMMANDS,
    *disk_io.COMMANDS,
    *disk_xor.COMMANDS,
    *disk_provisioning.COMMANDS,
    *disk_sanitize.COMMANDS,
    *disk_copy.COMMANDS,
    *disk_reservations.COMMANDS,
    *disk_persistent_in.COMMANDS,
    *disk_persistent_out.COMMANDS,
)
