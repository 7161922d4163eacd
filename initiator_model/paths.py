"""A path: one session from one source address to one portal, as the DSM sees it.

The state values are those of the Microsoft DSM (its header lists them; everything above 16 is a failed state). A disk
whose array has no ALUA uses only *active/optimized*, which every tool displays as "Active", and *standby*. On an
asymmetric disk the policy still knows these two alone: *active* among the paths that serve best, or not. What the array
says of a path stands beside it (`Path.access`), and the two together are what is shown.

A path holds facts. Who may change its state is the DSM alone (`dsm.Dsm`), through `Path.enter`.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import Final

from iscsi.port_groups import AccessState

__all__ = ["TRANSITIONS", "FailOverGroup", "Path", "PathState", "ScsiAddress"]


class PathState(IntEnum):
    """The DSM's path states, with its own numbers."""

    ACTIVE_OPTIMIZED = 0
    ACTIVE_UNOPTIMIZED = 1
    STANDBY = 2
    UNAVAILABLE = 3
    TRANSITIONING = 15
    NOT_USED = 16
    UNDETERMINED = 17
    FAILED = 18
    INVALIDATED = 19
    REMOVE_PENDING = 20
    REMOVED = 21

    @property
    def is_failed(self) -> bool:
        """True for the states in which the DSM sends nothing down the path."""
        return self > PathState.NOT_USED

    @property
    def display(self) -> str:
        """The word the applet shows."""
        return _DISPLAY[self]


_SHOWN: Final = MappingProxyType(
    {
        AccessState.ACTIVE_NON_OPTIMIZED: PathState.ACTIVE_UNOPTIMIZED,
        AccessState.STANDBY: PathState.STANDBY,
        AccessState.UNAVAILABLE: PathState.UNAVAILABLE,
        AccessState.OFFLINE: PathState.UNAVAILABLE,
        AccessState.LBA_DEPENDENT: PathState.ACTIVE_UNOPTIMIZED,
        AccessState.TRANSITIONING: PathState.TRANSITIONING,
    }
)

_DISPLAY: Final = MappingProxyType(
    {
        PathState.ACTIVE_OPTIMIZED: "Active",
        PathState.ACTIVE_UNOPTIMIZED: "Active/Unoptimized",
        PathState.STANDBY: "Standby",
        PathState.UNAVAILABLE: "Unavailable",
        PathState.TRANSITIONING: "Transitioning",
        PathState.NOT_USED: "Not Used",
        PathState.UNDETERMINED: "Undetermined",
        PathState.FAILED: "Failed",
        PathState.INVALIDATED: "Invalidated",
        PathState.REMOVE_PENDING: "Remove Pending",
        PathState.REMOVED: "Removed",
    }
)

# Where a path of a disk without ALUA may go from each state. A state that is not a key is never entered or left.
TRANSITIONS: Final = MappingProxyType(
    {
        PathState.UNDETERMINED: (
            PathState.ACTIVE_OPTIMIZED,
            PathState.STANDBY,
            PathState.FAILED,
            PathState.REMOVED,
        ),
        PathState.ACTIVE_OPTIMIZED: (PathState.STANDBY, PathState.FAILED, PathState.REMOVED),
        PathState.STANDBY: (PathState.ACTIVE_OPTIMIZED, PathState.FAILED, PathState.REMOVED),
        PathState.FAILED: (PathState.ACTIVE_OPTIMIZED, PathState.STANDBY, PathState.REMOVED),
        PathState.REMOVED: (),
    }
)


class ScsiAddress:
    """Where Windows hangs the path's LUN: adapter port, bus, target, LUN. The path id is made of the first three."""

    __slots__ = ("bus", "lun", "port", "target")

    def __init__(self, port: int, bus: int, target: int, lun: int) -> None:
        for name, value in (("port", port), ("bus", bus), ("target", target), ("lun", lun)):
            if not 0 <= value <= 255:
                raise ValueError(f"SCSI address: {name} is {value}, wanted 0 to 255")
        self.port = port
        self.bus = bus
        self.target = target
        self.lun = lun

    def __str__(self) -> str:
        return f"{self.port:03d}|{self.bus:03d}|{self.target:03d}|{self.lun:03d}"

    @property
    def path_id(self) -> int:
        """The id as mpclaim prints it: 77, then port, bus and target as a byte each (layout unverified)."""
        return 0x77 << 24 | self.port << 16 | self.bus << 8 | self.target


class FailOverGroup:
    """What one session carries for all its LUNs together: the Microsoft DSM counts requests there, not per disk."""

    __slots__ = ("bytes_in_flight", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self.bytes_in_flight = 0


class Path:
    """One way to the disk, and what the DSM knows of it.

    `source` and `portal` are `"ip:port"` strings as netstat shows them. `can_be_active` is the array's word: False on
    an active/passive array for a path that may take over but may not carry I/O while another path does.
    `desired_state` is what the administrator last asked for (None: never asked); it survives failures.
    `generation` counts recoveries, so that the late failure of a request sent before one cannot fail the path again.
    `in_flight` and `bytes_in_flight` count this disk's requests, `group` those of every LUN behind the session.
    `throughput` is the path's share of the work under dm-service-time, 0 to 100. `priority` is multipathd's: paths of
    equal priority can make one path group, and the higher group is used first.
    On an asymmetric disk `port_group` is the target port group behind the path, `access` what the array says of it, and
    `group_preferred` whether it prefers it; `serves` is False while a DSM that follows the array leaves the path alone
    because of that.
    """

    __slots__ = (
        "access",
        "bytes_in_flight",
        "can_be_active",
        "desired_state",
        "generation",
        "group",
        "group_preferred",
        "in_flight",
        "path_id",
        "port_group",
        "portal",
        "preferred",
        "priority",
        "scsi_address",
        "serves",
        "source",
        "state",
        "throughput",
        "weight",
    )

    def __init__(
        self,
        *,
        source: str,
        portal: str,
        scsi_address: ScsiAddress,
        weight: int = 0,
        preferred: bool = False,
        desired_state: PathState | None = None,
        can_be_active: bool = True,
        throughput: int = 1,
        priority: int = 1,
        group: FailOverGroup | None = None,
        port_group: int | None = None,
    ) -> None:
        self.path_id = scsi_address.path_id
        self.source = source
        self.portal = portal
        self.scsi_address = scsi_address
        self.weight = weight
        self.preferred = preferred
        self.desired_state = desired_state
        self.can_be_active = can_be_active
        self.port_group = port_group
        self.access: AccessState | None = None
        self.group_preferred = False
        self.serves = True
        self.state = PathState.UNDETERMINED
        self.throughput = throughput
        self.priority = priority
        self.group = FailOverGroup() if group is None else group
        self.in_flight = 0
        self.bytes_in_flight = 0
        self.generation = 0

    def take(self, size_bytes: int) -> None:
        """A request is going down this path."""
        group = self.group
        self.in_flight += 1
        self.bytes_in_flight += size_bytes
        group.in_flight += 1
        group.bytes_in_flight += size_bytes

    def release(self, size_bytes: int) -> None:
        """It came back, or was given up."""
        group = self.group
        self.in_flight -= 1
        self.bytes_in_flight -= size_bytes
        group.in_flight -= 1
        group.bytes_in_flight -= size_bytes

    @property
    def label(self) -> str:
        """The path id as eight hex digits: how messages name the path."""
        return f"{self.path_id:08x}"

    @property
    def usable(self) -> bool:
        """True when the path carries I/O or could be told to."""
        return self.serves and self.works

    @property
    def works(self) -> bool:
        """True when the path has not failed, whatever the array lets it carry."""
        return self.state is PathState.ACTIVE_OPTIMIZED or self.state is PathState.STANDBY

    @property
    def shown(self) -> PathState:
        """The state as the applet shows it: on an asymmetric disk that of the array, where the path works."""
        if self.access is None or self.state.is_failed:
            return self.state
        if self.access is AccessState.ACTIVE_OPTIMIZED:
            return self.state
        return _SHOWN[self.access]

    def enter(self, state: PathState) -> None:
        """Change the state.

        Raises:
            ValueError: the table does not allow it; that is a fault of the caller.
        """
        if state not in TRANSITIONS.get(self.state, ()):
            raise ValueError(f"path {self.label}: {self.state.name} to {state.name} is not a step a path can take")
        self.state = state

    def __repr__(self) -> str:
        return f"Path({self.label}, {self.source} -> {self.portal}, {self.state.display})"
