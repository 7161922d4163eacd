"""RESERVE, RELEASE and PERSISTENT RESERVE as commands: CDB and parameter lists on top of ``target.reservations``.

Source: SPC-2 7.21, 7.22; SPC-4 6.15, 6.16.
"""

from __future__ import annotations

from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.scsi import PersistentIn, PersistentOut, PersistentType
from iscsi.sense import INVALID_FIELD_IN_PARAMETER_LIST, PARAMETER_LIST_LENGTH_ERROR
from target.command import (
    CONFLICT,
    GOOD,
    Access,
    CheckCondition,
    Command,
    DataDirection,
    Handler,
    ScsiResult,
    bad_cdb_field,
    field_length,
)
from target.disk import Disk
from target.nexus import Nexus
from target.persistent import PersistentReservations

_PARAMETER_LIST_LENGTH: Final = 24
_SPEC_I_PT: Final = 0x08
_ALL_TG_PT: Final = 0x04
_APTPL: Final = 0x01
_COMPATIBLE_RESERVATION_HANDLING: Final = 0x10
_TYPE_MASK_VALID: Final = 0x80
_TYPE_MASK: Final = bytes((0xEA, 0x01))  # 80 WE-AR, 40 EA-RO, 20 WE-RO, 08 EA, 02 WE; second byte 01 EA-AR
_PROTOCOL_ISCSI: Final = 5


def _reserve(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return GOOD if disk.reservations.reserve(nexus) else CONFLICT


def _release(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return GOOD if disk.reservations.release(nexus) else CONFLICT


def _read_keys(persistent: PersistentReservations) -> bytes:
    keys = b"".join(key.to_bytes(8, "big") for _, key in persistent.registrations)
    return _with_generation(persistent, keys)


def _read_reservation(persistent: PersistentReservations) -> bytes:
    reservation = persistent.reservation
    if reservation is None:
        return _with_generation(persistent, b"")
    key = 0 if reservation.all_registrants else dict(persistent.registrations)[reservation.holder]
    body = key.to_bytes(8, "big") + bytes((0, 0, 0, 0, 0, reservation.kind, 0, 0))
    return _with_generation(persistent, body)


def _report_capabilities(persistent: PersistentReservations) -> bytes:
    return bytes((0, 8, _COMPATIBLE_RESERVATION_HANDLING, _TYPE_MASK_VALID)) + _TYPE_MASK + bytes(2)


def _read_full_status(persistent: PersistentReservations) -> bytes:
    return _with_generation(
        persistent, b"".join(_full_status(persistent, nexus, key) for nexus, key in persistent.registrations)
    )


def _full_status(persistent: PersistentReservations, nexus: Nexus, key: int) -> bytes:
    """One full status descriptor, with the initiator port named by an iSCSI TransportID (SPC-4 7.6.4.6)."""
    name = nexus.initiator_port.encode("utf-8") + b"\0"
    name += bytes(-len(name) % 4)
    transport_id = bytes((0x40 | _PROTOCOL_ISCSI, 0)) + len(name).to_bytes(2, "big") + name
    reservation = persistent.reservation
    holds = persistent.holds(nexus)
    kind = reservation.kind if reservation is not None and holds else 0
    head = key.to_bytes(8, "big") + bytes((0, 0, 0, 0, holds, kind, 0, 0, 0, 0))
    return head + nexus.relative_port.to_bytes(2, "big") + len(transport_id).to_bytes(4, "big") + transport_id


def _with_generation(persistent: PersistentReservations, body: bytes) -> bytes:
    return persistent.generation.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body


_PERSISTENT_IN: Final = {
    PersistentIn.READ_KEYS: _read_keys,
    PersistentIn.READ_RESERVATION: _read_reservation,
    PersistentIn.REPORT_CAPABILITIES: _report_capabilities,
    PersistentIn.READ_FULL_STATUS: _read_full_status,
}


def _persistent_in(action: PersistentIn) -> Handler:
    build = _PERSISTENT_IN[action]

    def run(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        return ScsiResult(ScsiStatus.GOOD, build(disk.reservations.persistent)[: int.from_bytes(cdb[7:9], "big")])

    return run


def _persistent_out(action: PersistentOut) -> Handler:
    def run(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        if len(data_out) != _PARAMETER_LIST_LENGTH or int.from_bytes(cdb[5:9], "big") != _PARAMETER_LIST_LENGTH:
            raise CheckCondition(PARAMETER_LIST_LENGTH_ERROR)
        if data_out[20] & (_SPEC_I_PT | _ALL_TG_PT | _APTPL):
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(20, in_cdb=False))
        key, other_key = int.from_bytes(data_out[:8], "big"), int.from_bytes(data_out[8:16], "big")
        return _apply(disk.reservations.persistent, action, nexus, key, other_key, cdb)

    return run


def _apply(
    persistent: PersistentReservations, action: PersistentOut, nexus: Nexus, key: int, other_key: int, cdb: bytes
) -> ScsiResult:
    match action:
        case PersistentOut.REGISTER | PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY:
            ignore = action is PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY
            done = persistent.register(nexus, key, other_key, ignore_existing=ignore)
        case PersistentOut.RESERVE:
            done = persistent.reserve(nexus, key, _kind(cdb))
        case PersistentOut.RELEASE:
            done = persistent.release(nexus, key, _kind(cdb))
        case PersistentOut.CLEAR:
            done = persistent.clear(nexus, key)
        case PersistentOut.PREEMPT | PersistentOut.PREEMPT_AND_ABORT:
            lost = persistent.preempt(nexus, key, other_key, _kind(cdb))
            if lost is None:
                return CONFLICT
            aborts = action is PersistentOut.PREEMPT_AND_ABORT
            return ScsiResult(ScsiStatus.GOOD, aborted=lost if aborts else ())
    return GOOD if done else CONFLICT


def _kind(cdb: bytes) -> PersistentType:
    """The type of reservation in byte 2; only the scope of a whole logical unit (0) exists."""
    if cdb[2] >> 4:
        raise bad_cdb_field(2, 7)
    try:
        return PersistentType(cdb[2] & 0x0F)
    except ValueError:
        raise bad_cdb_field(2, 3) from None


def _in_row(action: PersistentIn) -> Command:
    return Command(
        f"PERSISTENT RESERVE IN: {action.name.replace('_', ' ')}",
        f"5e {action:02x} 00 00 00 00 00 ff ff 00",
        Access.PERSISTENT,
        _persistent_in(action),
        DataDirection.IN,
        field_length(7, 2),
        service_action=action,
        needs_medium=False,
    )


def _out_row(action: PersistentOut) -> Command:
    return Command(
        f"PERSISTENT RESERVE OUT: {action.name.replace('_', ' ')}",
        f"5f {action:02x} ff 00 00 ff ff ff ff 00",
        Access.PERSISTENT,
        _persistent_out(action),
        DataDirection.OUT,
        field_length(5, 4),
        service_action=action,
        needs_medium=False,
    )


COMMANDS: Final[tuple[Command, ...]] = (
    Command("RESERVE(6)", "16 00 00 00 00 00", Access.RESERVE, _reserve, needs_medium=False),
    Command("RELEASE(6)", "17 00 00 00 00 00", Access.RESERVE, _release, needs_medium=False),
    Command("RESERVE(10)", "56 00 00 00 00 00 00 00 00 00", Access.RESERVE, _reserve, needs_medium=False),
    Command("RELEASE(10)", "57 00 00 00 00 00 00 00 00 00", Access.RESERVE, _release, needs_medium=False),
    *(_in_row(action) for action in PersistentIn),
    *(_out_row(action) for action in PersistentOut),
)
