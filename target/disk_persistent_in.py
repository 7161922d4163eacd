"""PERSISTENT RESERVE IN: what is registered and reserved, as parameter data.

Source: SPC-4 6.15.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.scsi import PersistentIn
from iscsi.transport_id import TransportId
from target.command import Access, Command, DataDirection, Handler, ScsiResult, field_length
from target.disk import Disk
from target.nexus import Nexus
from target.persistent import PersistentReservations

_COMPATIBLE_RESERVATION_HANDLING: Final = 0x10
_SPECIFY_INITIATOR_PORTS: Final = 0x08
_ALL_TARGET_PORTS: Final = 0x04
_POWER_LOSS_CAPABLE: Final = 0x01
_TYPE_MASK_VALID: Final = 0x80
_POWER_LOSS_ACTIVE: Final = 0x01
_TYPE_MASK: Final = bytes((0xEA, 0x01))  # 80 WE-AR, 40 EA-RO, 20 WE-RO, 08 EA, 02 WE; second byte 01 EA-AR


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
    """A target has one target port, its portal group, so registering on all of them is what happens anyway."""
    can = _COMPATIBLE_RESERVATION_HANDLING | _SPECIFY_INITIATOR_PORTS | _ALL_TARGET_PORTS
    if persistent.can_survive_power_loss:
        can |= _POWER_LOSS_CAPABLE
    active = _POWER_LOSS_ACTIVE if persistent.survives_power_loss else 0
    return bytes((0, 8, can, _TYPE_MASK_VALID | active)) + _TYPE_MASK + bytes(2)


def _read_full_status(persistent: PersistentReservations) -> bytes:
    return _with_generation(
        persistent, b"".join(_full_status(persistent, nexus, key) for nexus, key in persistent.registrations)
    )


def _full_status(persistent: PersistentReservations, nexus: Nexus, key: int) -> bytes:
    """One full status descriptor (SPC-4 6.15.5)."""
    reservation = persistent.reservation
    holds = persistent.holds(nexus)
    kind = reservation.kind if reservation is not None and holds else 0
    head = key.to_bytes(8, "big") + bytes((0, 0, 0, 0, holds, kind, 0, 0, 0, 0))
    transport_id = TransportId.of_port(nexus.initiator_port).encode()
    return head + nexus.relative_port.to_bytes(2, "big") + len(transport_id).to_bytes(4, "big") + transport_id


def _with_generation(persistent: PersistentReservations, body: bytes) -> bytes:
    return persistent.generation.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body


_BUILDERS: Final[dict[PersistentIn, Callable[[PersistentReservations], bytes]]] = {
    PersistentIn.READ_KEYS: _read_keys,
    PersistentIn.READ_RESERVATION: _read_reservation,
    PersistentIn.REPORT_CAPABILITIES: _report_capabilities,
    PersistentIn.READ_FULL_STATUS: _read_full_status,
}


def _handler(action: PersistentIn) -> Handler:
    build = _BUILDERS[action]

    def run(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        return ScsiResult(ScsiStatus.GOOD, build(disk.reservations.persistent)[: int.from_bytes(cdb[7:9], "big")])

    return run


COMMANDS: Final = tuple(
    Command(
        f"PERSISTENT RESERVE IN: {action.name.replace('_', ' ')}",
        f"5e {action:02x} 00 00 00 00 00 ff ff 00",
        Access.PERSISTENT,
        _handler(action),
        DataDirection.IN,
        field_length(7, 2),
        service_action=action,
        needs_medium=False,
    )
    for action in PersistentIn
)
