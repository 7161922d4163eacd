"""PERSISTENT RESERVE OUT: the two parameter lists, and one service action each on top of ``target.persistent``.

With APTPL the new state is stable before the command ends; where it cannot be made so, the command fails and nothing
has changed.

Source: SPC-4 6.16.
"""

from __future__ import annotations

from typing import Final

from iscsi.scsi import PersistentOut, PersistentType
from iscsi.sense import (
    INTERNAL_TARGET_FAILURE,
    INVALID_FIELD_IN_PARAMETER_LIST,
    PARAMETER_LIST_LENGTH_ERROR,
)
from iscsi.transport_id import TransportId, parse_transport_ids
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

_BASIC_LENGTH: Final = 24
_MAX_LENGTH: Final = 128 * 1024
"""Room for the name of every nexus that can be registered."""
_SPEC_I_PT: Final = 0x08
_APTPL: Final = 0x01
_FLAGS_BYTE: Final = 20
_MOVE_FLAGS_BYTE: Final = 17
_UNREG: Final = 0x02


def _bad_parameter(byte: int, bit: int | None = None) -> CheckCondition:
    return CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(byte, bit, in_cdb=False))


def _kind(cdb: bytes) -> PersistentType | None:
    """The type of reservation in byte 2, None for a reserved one; the only scope is the whole logical unit (0)."""
    if cdb[2] >> 4:
        raise bad_cdb_field(2, 7)
    try:
        return PersistentType(cdb[2] & 0x0F)
    except ValueError:
        return None


def _valid_kind(cdb: bytes) -> PersistentType:
    kind = _kind(cdb)
    if kind is None:
        raise bad_cdb_field(2, 3)
    return kind


def _transport_ids(data: bytes, length_byte: int) -> tuple[TransportId, ...]:
    """The TransportIDs behind their length field, which must fill the parameter list."""
    start = length_byte + 4
    if len(data) < start or int.from_bytes(data[length_byte:start], "big") != len(data) - start:
        raise CheckCondition(PARAMETER_LIST_LENGTH_ERROR)
    try:
        return parse_transport_ids(data[start:])
    except ValueError:
        raise _bad_parameter(start) from None


def _nexuses(disk: Disk, nexus: Nexus, initiators: tuple[TransportId, ...]) -> tuple[Nexus, ...]:
    """The nexuses of these initiators with the target port the command came through.

    A device stands for all its ports that the unit knows at present (SPC-4 7.6.4.6).
    """
    found: dict[Nexus, None] = {}
    for initiator in initiators:
        if initiator.port is not None:
            found[_nexus_of(nexus, initiator.port)] = None
        else:
            of_device = f"{initiator.name},i,"
            found |= {
                known: None
                for known in disk.attentions.known()
                if known.initiator_port.startswith(of_device) and known.target_port == nexus.target_port
            }
    found.pop(nexus, None)
    return tuple(found)


def _nexus_of(nexus: Nexus, initiator_port: str) -> Nexus:
    return Nexus(initiator_port, nexus.target_port, nexus.relative_port, nexus.tpgt)


def _register(action: PersistentOut) -> Handler:
    ignore = action is PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY

    def run(disk: Disk, cdb: bytes, data: bytes, nexus: Nexus) -> ScsiResult:
        persistent = disk.reservations.persistent
        flags = data[_FLAGS_BYTE]
        if flags & _APTPL and not persistent.can_survive_power_loss:
            raise _bad_parameter(_FLAGS_BYTE, 0)
        others: tuple[Nexus, ...] = ()
        if flags & _SPEC_I_PT:
            if ignore or persistent.is_registered(nexus):
                raise _bad_parameter(_FLAGS_BYTE, 3)
            others = _nexuses(disk, nexus, _transport_ids(data, _BASIC_LENGTH))
        if not persistent.register(nexus, _key(data), _new_key(data), ignore_existing=ignore, others=others):
            return CONFLICT
        persistent.survives_power_loss = bool(flags & _APTPL)
        return GOOD

    return run


def _reserve(disk: Disk, cdb: bytes, data: bytes, nexus: Nexus) -> ScsiResult:
    return _ended(disk.reservations.persistent.reserve(nexus, _key(data), _valid_kind(cdb)))


def _release(disk: Disk, cdb: bytes, data: bytes, nexus: Nexus) -> ScsiResult:
    return _ended(disk.reservations.persistent.release(nexus, _key(data), _valid_kind(cdb)))


def _clear(disk: Disk, cdb: bytes, data: bytes, nexus: Nexus) -> ScsiResult:
    return _ended(disk.reservations.persistent.clear(nexus, _key(data)))


def _preempt(disk: Disk, cdb: bytes, data: bytes, nexus: Nexus) -> ScsiResult:
    lost = disk.reservations.persistent.preempt(nexus, _key(data), _new_key(data), _kind(cdb))
    return _ended(lost is not None)


def _preempt_and_abort(disk: Disk, cdb: bytes, data: bytes, nexus: Nexus) -> ScsiResult:
    lost = disk.reservations.persistent.preempt(nexus, _key(data), _new_key(data), _kind(cdb))
    return CONFLICT if lost is None else GOOD._replace(aborted=lost)


def _move(disk: Disk, cdb: bytes, data: bytes, nexus: Nexus) -> ScsiResult:
    persistent = disk.reservations.persistent
    flags = data[_MOVE_FLAGS_BYTE]
    ids = _transport_ids(data, _FLAGS_BYTE)
    if not persistent.is_registered(nexus):
        return CONFLICT
    if flags & _APTPL and not persistent.can_survive_power_loss:
        raise _bad_parameter(_MOVE_FLAGS_BYTE, 0)
    if not _new_key(data):
        raise _bad_parameter(8)
    ports = {known.relative_port for known in (nexus, *disk.attentions.known())}
    if int.from_bytes(data[18:20], "big") not in ports:
        raise _bad_parameter(18)
    if len(ids) != 1 or ids[0].port is None:
        raise _bad_parameter(24)
    to = _nexus_of(nexus, ids[0].port)
    if to == nexus:
        raise _bad_parameter(24)
    if not persistent.move(nexus, _key(data), _new_key(data), to, unregister=bool(flags & _UNREG)):
        return CONFLICT
    persistent.survives_power_loss = bool(flags & _APTPL)
    return GOOD


def _ended(done: bool) -> ScsiResult:
    return GOOD if done else CONFLICT


def _key(data: bytes) -> int:
    return int.from_bytes(data[:8], "big")


def _new_key(data: bytes) -> int:
    return int.from_bytes(data[8:16], "big")


_HANDLERS: Final[dict[PersistentOut, Handler]] = {
    PersistentOut.REGISTER: _register(PersistentOut.REGISTER),
    PersistentOut.RESERVE: _reserve,
    PersistentOut.RELEASE: _release,
    PersistentOut.CLEAR: _clear,
    PersistentOut.PREEMPT: _preempt,
    PersistentOut.PREEMPT_AND_ABORT: _preempt_and_abort,
    PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY: _register(PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY),
    PersistentOut.REGISTER_AND_MOVE: _move,
}
_SPECIFIES_PORTS: Final = (PersistentOut.REGISTER, PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY)


def _handler(action: PersistentOut) -> Handler:
    act = _HANDLERS[action]

    def run(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        length = int.from_bytes(cdb[5:9], "big")
        if len(data_out) < length or not _BASIC_LENGTH <= length <= _MAX_LENGTH:
            raise CheckCondition(PARAMETER_LIST_LENGTH_ERROR)
        data = data_out[:length]
        if action is not PersistentOut.REGISTER_AND_MOVE:
            _check_basic(action, data)
        persistent = disk.reservations.persistent
        before = persistent.snapshot()
        result = act(disk, cdb, data, nexus)
        try:
            persistent.keep()
        except OSError:
            persistent.restore(before)
            raise CheckCondition(INTERNAL_TARGET_FAILURE) from None
        return result

    return run


def _check_basic(action: PersistentOut, data: bytes) -> None:
    """The list is 24 bytes long unless SPEC_I_PT says that initiator ports follow."""
    if not data[_FLAGS_BYTE] & _SPEC_I_PT:
        if len(data) != _BASIC_LENGTH:
            raise CheckCondition(PARAMETER_LIST_LENGTH_ERROR)
    elif action not in _SPECIFIES_PORTS:
        raise _bad_parameter(_FLAGS_BYTE, 3)


COMMANDS: Final = tuple(
    Command(
        f"PERSISTENT RESERVE OUT: {action.name.replace('_', ' ')}",
        f"5f {action:02x} ff 00 00 ff ff ff ff 00",
        Access.PERSISTENT,
        _handler(action),
        DataDirection.OUT,
        field_length(5, 4),
        service_action=action,
        needs_medium=False,
    )
    for action in PersistentOut
)
