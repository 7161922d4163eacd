"""The kinds of faults a swarm draws from: one row each.

A row says where the kind strikes, which settings it may have, how long it may last, and what it may cost: time alone,
or I/Os that end badly. A new kind of fault is a new row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from harness.fault_step import FaultKind

__all__ = ["FAULTS", "NOBODY_THERE", "NOT_DRAWN", "Cost", "Place", "SwarmFault"]

NOBODY_THERE: Final = "192.168.51.250"
"""An address of the storage network that no machine has."""


_ASKED_AGAIN_MS: Final = 200
"""Some hosts ask a busy array every two milliseconds, for each I/O: more of it is only more of the same."""

_NOT_GIVEN_UP_MS: Final = 300
"""What a clog holds is delivered when it is over: before any host has given it up, or it would be a ghost."""
_EITHER_WAY: Final = (None, "in", "out")


class Place(Enum):
    """Where a fault strikes."""

    NIC_OR_PORTAL = "a host's NIC or one of the array's portals"
    PORTAL = "one of the array's portals"
    HOST = "a whole host"
    VOLUME = "one volume"
    VOLUME_OR_ARRAY = "one volume, or all"
    ARRAY = "the array"


class Cost(Enum):
    """What a fault may cost a host that has the patience to wait for its paths."""

    TIME = "I/O stands still and then ends well"
    IO = "I/O may end badly: the array says no, or the machine is gone"


@dataclass(frozen=True, slots=True)
class SwarmFault:
    """One kind of fault."""

    kind: FaultKind
    place: Place
    cost: Cost = Cost.TIME
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Key of the step -> values to pick from, as a file has them; None leaves the key out."""
    redirecting_only: bool = False
    """It is about redirects, so it wants an array that redirects."""
    longest_ms: int | None = None
    """How long it may last at most; None: as long as the phase."""
    wants_digests: bool = False
    """It damages data in a way that only digests are sure to see."""
    holds_writes: bool = False
    """A write may be executed late. Where no host fences it off that is a ghost, as it should be, so there the fault
    strikes reads alone."""
    slows: bool = False
    """Data arrive late. So few may be under way that none arrives after its host has given it up (docs/modeled.md, "A
    ghost write")."""


NOT_DRAWN: Final[tuple[FaultKind, ...]] = ("stalled",)
"""It holds what hosts ask while they log in, too, for as long as it lasts; `late` holds commands one by one."""

_OPS: Final = ("read", "write")

FAULTS: Final = (
    SwarmFault("link_down", Place.NIC_OR_PORTAL, settings={"carrier": (False, True)}),
    SwarmFault("blackhole", Place.NIC_OR_PORTAL, settings={"direction": _EITHER_WAY}),
    SwarmFault("latency", Place.NIC_OR_PORTAL, settings={"extra": ("200us", "2ms", "10ms")}, slows=True),
    SwarmFault("rate", Place.NIC_OR_PORTAL, settings={"rate": ("100Mbit", "300Mbit")}, slows=True),
    SwarmFault(
        "loss", Place.NIC_OR_PORTAL, settings={"share": (0.001, 0.01, 0.05), "direction": _EITHER_WAY}, slows=True
    ),
    SwarmFault(
        "reorder",
        Place.NIC_OR_PORTAL,
        settings={"share": (0.01, 0.1), "delay": ("50us", "1ms"), "direction": _EITHER_WAY},
        slows=True,
    ),
    SwarmFault("jitter", Place.NIC_OR_PORTAL, settings={"extra": ("50us", "1ms")}, slows=True),
    SwarmFault(
        "corrupt",
        Place.NIC_OR_PORTAL,
        settings={"share": (0.001, 0.01), "direction": _EITHER_WAY},
        slows=True,
        wants_digests=True,
    ),
    SwarmFault("queue_limit", Place.NIC_OR_PORTAL, settings={"limit": ("16KiB", "64KiB")}, slows=True),
    SwarmFault(
        "clog", Place.NIC_OR_PORTAL, settings={"direction": _EITHER_WAY}, longest_ms=_NOT_GIVEN_UP_MS, slows=True
    ),
    SwarmFault("portal_down", Place.PORTAL),
    SwarmFault("silent", Place.PORTAL),
    SwarmFault("no_login", Place.VOLUME_OR_ARRAY),
    SwarmFault("out_of_resources", Place.VOLUME_OR_ARRAY),
    SwarmFault("redirect_to_dead", Place.VOLUME_OR_ARRAY, settings={"to": (NOBODY_THERE,)}, redirecting_only=True),
    SwarmFault("array_kill", Place.ARRAY),
    SwarmFault("host_reboot", Place.HOST, Cost.IO),
    SwarmFault("busy", Place.VOLUME_OR_ARRAY, Cost.IO, longest_ms=_ASKED_AGAIN_MS),
    SwarmFault("task_set_full", Place.VOLUME_OR_ARRAY, Cost.IO, longest_ms=_ASKED_AGAIN_MS),
    SwarmFault("reservation_conflict", Place.VOLUME_OR_ARRAY, Cost.IO),
    SwarmFault(
        "check_condition",
        Place.VOLUME_OR_ARRAY,
        Cost.IO,
        {"sense": ("6/29/00", "6/2A/01", "B/00/00", "4/44/00", "5/25/00", "2/04/01"), "count": (None, 1, 5, 20)},
    ),
    SwarmFault("medium_error", Place.VOLUME, Cost.IO, {"lba": (0, 8, 64), "blocks": (1, 8, 64)}),
    SwarmFault("write_error", Place.VOLUME, Cost.IO, {"lba": (0, 8, 64), "blocks": (1, 8, 64)}),
    SwarmFault("late", Place.VOLUME_OR_ARRAY, Cost.IO, {"op": _OPS, "count": (None, 1, 5)}, holds_writes=True),
    SwarmFault(
        "slow", Place.VOLUME_OR_ARRAY, Cost.IO, {"op": _OPS, "extra": ("20ms", "500ms", "2500ms")}, holds_writes=True
    ),
)

BY_KIND: Final = MappingProxyType({fault.kind: fault for fault in FAULTS})
