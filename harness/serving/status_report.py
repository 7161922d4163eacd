"""What a served array says of itself: one JSON document, `mpiolab.status/1`.

Fields may be added; those that are there stay. Rates are per second over the last two seconds; bytes are those on the
wire, so `sent_bytes` is what hosts read, with the headers. `reads` and `writes` are SCSI commands by the way their data
goes; those without data are neither.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from harness.serving.rates import Meter, Rates
from target.config import LunConfig
from target.disk import Disk
from target.faults import ArrayFault
from target.group import Group, Volume
from target.nexus import Nexus
from target.server import ArrayProtocol, ArrayServer, Traffic
from target.session import Session
from target.store import MemoryStore

SCHEMA: Final = "mpiolab.status/1"

STAT_BLOCK_BYTES: Final = 512
"""What st_blocks counts (stat(2))."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """When a report is made: on the loop's clock, and on the wall's."""

    loop_s: float
    wall_s: float

    def since(self, loop_ns: int) -> str:
        """A past time of the loop's clock, as the wall's."""
        return iso(self.wall_s - (self.loop_s - loop_ns / 1e9))


def iso(wall_s: float) -> str:
    """A time in UTC, such as "2026-11-22T23:59:59Z"."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def report(server: ArrayServer, meter: Meter, moment: Moment, *, state: str, faults: Iterable[ArrayFault]) -> Row:
    """The document; ``state`` is "serving" or "stopping"."""
    group = server.group
    counters = meter.count(moment.loop_s)
    carried: dict[int, list[ArrayProtocol]] = {}
    in_login = 0
    for protocol in server.connections():
        if protocol.session is None:
            in_login += 1
        else:
            carried.setdefault(protocol.session.tsih, []).append(protocol)
    sessions = [_session(session, carried.get(session.tsih, []), meter, moment) for session in group.sessions.all()]
    portals = _portals(server, meter, counters.addresses)
    return {
        "schema": SCHEMA,
        "array": group.config.name,
        "pid": os.getpid(),
        "state": state,
        "at": iso(moment.wall_s),
        "connections": len(server.connections()),
        "connections_in_login": in_login,
        "rates": asdict(_all_rates(portals)),
        "portals": portals,
        "sessions": sessions,
        "volumes": [_volume(volume, group) for volume in group.volumes.values()],
        "faults": [{"name": fault.name.value, "place": fault.place} for fault in faults],
    }


def _all_rates(portals: list[Row]) -> Rates:
    names = ("reads", "writes", "received_bytes", "sent_bytes")
    return Rates(*(sum(portal["rates"][name] for portal in portals) for name in names))


def _session(session: Session, protocols: list[ArrayProtocol], meter: Meter, moment: Moment) -> Row:
    identity = session.identity
    connections = [_connection(protocol, meter, moment) for protocol in protocols]
    return {
        "tsih": session.tsih,
        "initiator": identity.initiator_name,
        "alias": identity.initiator_alias,
        "isid": identity.isid.hex(),
        "target": identity.target_name if not session.discovery else None,
        "discovery": session.discovery,
        "portal": session.portal,
        "source": session.source,
        "state": session.state.name.lower(),
        "since": min((row["since"] for row in connections), default=None),
        "outstanding": session.window.in_use + len(session.window.held),
        "connections": connections,
    }


def _connection(protocol: ArrayProtocol, meter: Meter, moment: Moment) -> Row:
    connection = protocol.connection
    assert connection is not None, "it has a session"
    return {
        "number": protocol.number,
        "cid": connection.cid,
        "source": f"{protocol.source}:{protocol.source_port}",
        "portal": protocol.local,
        "state": connection.state.name.lower(),
        "since": moment.since(protocol.since_ns),
        "header_digest": connection.params.header_digest,
        "data_digest": connection.params.data_digest,
        "totals": asdict(protocol.traffic),
        "rates": asdict(meter.of_connection(protocol.number)),
    }


def _portals(server: ArrayServer, meter: Meter, totals: dict[str, Traffic]) -> list[Row]:
    group, config = server.group, server.group.config
    rows = [("group", config.group_address)] if config.group_address is not None else []
    rows += [(portal.name, portal.address) for portal in config.portals]
    at = [protocol.local for protocol in server.connections()]
    return [
        {
            "name": name,
            "address": address,
            "port": config.port,
            "state": portal_state(group, address),
            "connections": at.count(address),
            "totals": asdict(totals.get(address, Traffic())),
            "rates": asdict(meter.of_address(address)),
        }
        for name, address in rows
    ]


def portal_state(group: Group, address: str) -> str:
    """up, down or drained; the group address is always up."""
    if not group.portal_is_up(address):
        return "down"
    return "drained" if group.portal_is_drained(address) else "up"


def _volume(volume: Volume, group: Group) -> Row:
    config = volume.config
    sessions = [s for s in group.sessions.all() if not s.discovery and s.identity.target_name == config.iqn.lower()]
    return {
        "name": config.name,
        "iqn": config.iqn,
        "sessions": len(sessions),
        "port_groups": _port_groups(volume, group),
        "luns": [_lun(lun, unit.disk) for lun in config.luns if (unit := volume.luns.get(lun.number)) is not None],
    }


def _port_groups(volume: Volume, group: Group) -> list[Row]:
    """The target port groups with their states for this volume; none where all portals serve alike."""
    addresses = [portal.address for portal in group.config.portals]
    described = () if volume.luns.port_groups is None else volume.luns.port_groups.described()
    return [
        {
            "id": each.number,
            "state": each.state.words,
            "preferred": each.preferred,
            "portals": [addresses[port - 1] for port in each.ports],
        }
        for each in described
    ]


def _lun(lun: LunConfig, disk: Disk) -> Row:
    return {
        "lun": lun.number,
        "size_bytes": disk.store.size_bytes,
        "used_bytes": _used_bytes(lun, disk),
        "block_size": disk.block_size,
        "read_only": disk.read_only,
        "reservation": _reservation(disk),
        "registrations": len(disk.reservations.persistent.registrations),
    }


def _used_bytes(lun: LunConfig, disk: Disk) -> int | None:
    """What the data takes, in memory or in its file's blocks; None when that cannot be told."""
    if isinstance(disk.store, MemoryStore):
        return disk.store.allocated_bytes
    try:
        return None if lun.path is None else os.stat(lun.path).st_blocks * STAT_BLOCK_BYTES
    except OSError:
        return None


def _reservation(disk: Disk) -> Row | None:
    """Who holds the unit, and how; None when nobody does."""
    holder = disk.reservations.holder
    if holder is not None:
        return {"type": "reserve", "initiator": _initiator(holder)}
    persistent = disk.reservations.persistent.reservation
    if persistent is None:
        return None
    name = persistent.kind.name.lower().replace("_", " ")
    return {
        "type": name,
        "initiator": "all registrants" if persistent.all_registrants else _initiator(persistent.holder),
    }


def _initiator(nexus: Nexus) -> str:
    return nexus.initiator_port.partition(",i,")[0]
