"""What an array is told before it starts: addresses, volumes, who may use them, and its limits.

Plain frozen values, checked when they are made; `harness` builds them from a file, a library user by hand.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from iscsi.chap import ChapPolicy
from iscsi.constants import ISCSI_PORT
from iscsi.errors import LocalProtocolError
from iscsi.lun import MAX_LUN
from iscsi.text import encode_keys
from target.access_config import AccessConfig
from target.config_error import ConfigError as ConfigError
from target.disk import MAX_SIZE_BYTES
from target.placement import POLICIES, STICKY


class ArrayKind(Enum):
    """How an array presents its interfaces to an initiator."""

    REDIRECTING = "redirecting"
    """One group address; each login there is redirected to a portal (EqualLogic, FACTS C.1)."""
    LISTED = "listed"
    """Every portal is listed by discovery and serves logins itself."""


class DirectLogin(Enum):
    """What a redirecting array does with a login made straight at a portal, without a redirect before it."""

    SERVE = "serve"
    REDIRECT = "redirect"


class LostTasks(Enum):
    """What becomes of the tasks that a lost connection leaves behind; see `target.cleanup`."""

    KEEP = "keep"
    """They are kept for Time2Wait + Time2Retain (RFC 7143 7.5), and executed meanwhile if their turn comes."""
    KILL = "kill"
    """They end with the connection, whatever was negotiated."""
    KILL_BESIDE = "kill-beside-another-path"
    """They end as soon as their host (InitiatorName) has another session to the volume: it needs them no more."""


@dataclass(frozen=True, slots=True)
class PortalConfig:
    """One Ethernet interface of the array: its name and IPv4 address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Who may log in to a volume: every part that is given must match (initiator name, source network, CHAP)."""

    initiator: str | None = None
    source: ipaddress.IPv4Network | None = None
    chap: ChapPolicy | None = None

    def matches(self, initiator: str, source: str) -> bool:
        """True when the initiator's name and the address it came from satisfy the rule."""
        if self.initiator is not None and self.initiator.lower() != initiator.lower():
            return False
        return self.source is None or ipaddress.IPv4Address(source) in self.source


@dataclass(frozen=True, slots=True)
class LunConfig:
    """One logical unit. ``path`` names a backing file; None means memory.

    ``snapshot_of``: the file holds only what differs from this one, which is read and never written.
    ``removable``: the medium can be ejected and loaded. ``thin``: blocks can be deallocated and then read as zeros.
    """

    number: int
    size_bytes: int
    block_size: int = 512
    path: str | None = None
    snapshot_of: str | None = None
    read_only: bool = False
    removable: bool = False
    thin: bool = True
    physical_block_size: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.number <= MAX_LUN:
            raise ConfigError(f"LUN {self.number} is outside 0 to {MAX_LUN}")
        if self.snapshot_of is not None and self.path in (None, self.snapshot_of):
            raise ConfigError("snapshot_of wants a file of its own for what differs from it")
        if self.block_size not in (512, 4096):
            raise ConfigError(f"block_size is 512 or 4096, not {self.block_size}")
        if self.physical_block_size not in (None, self.block_size, 4096):
            raise ConfigError(f"physical_block_size is {self.block_size} or 4096, not {self.physical_block_size}")
        if self.size_bytes > MAX_SIZE_BYTES:
            raise ConfigError(f"size_bytes is at most {MAX_SIZE_BYTES}, not {self.size_bytes}")
        if self.size_bytes <= 0 or self.size_bytes % self.block_size:
            raise ConfigError(
                f"size_bytes must be a positive multiple of the block size {self.block_size}, not {self.size_bytes}"
            )


@dataclass(frozen=True, slots=True)
class VolumeConfig:
    """One volume, which is one target; its own fields are those of its LUN 0, see `LunConfig`.

    A PS group has nothing but LUN 0 (FACTS C.1). ``more_luns`` gives a test array others beside it.
    """

    name: str
    iqn: str
    size_bytes: int
    block_size: int = 512
    access: tuple[AccessRule, ...] = ()
    path: str | None = None
    snapshot_of: str | None = None
    read_only: bool = False
    removable: bool = False
    thin: bool = True
    physical_block_size: int | None = None
    more_luns: tuple[LunConfig, ...] = ()
    max_sessions: int | None = None
    """Sessions to it at once; None for no limit but the pool's."""

    def __post_init__(self) -> None:
        if self.max_sessions is not None and self.max_sessions < 1:
            raise ConfigError(f"volume {self.name}: max_sessions must be at least 1, not {self.max_sessions}")
        try:
            encode_keys([("TargetAlias", self.name)])
        except (LocalProtocolError, UnicodeEncodeError) as error:
            raise ConfigError(f"volume {self.name[:40]!r}: no name for an initiator to read: {error}") from None
        try:
            numbers = [lun.number for lun in self.luns]
        except ConfigError as error:
            raise ConfigError(f"volume {self.name}: {error}") from None
        for number in numbers:
            if numbers.count(number) > 1:
                raise ConfigError(f"volume {self.name}: LUN {number} is given twice")

    @property
    def luns(self) -> tuple[LunConfig, ...]:
        """All logical units, LUN 0 first."""
        first = LunConfig(
            0,
            self.size_bytes,
            self.block_size,
            path=self.path,
            snapshot_of=self.snapshot_of,
            read_only=self.read_only,
            removable=self.removable,
            thin=self.thin,
            physical_block_size=self.physical_block_size,
        )
        return (first, *self.more_luns)


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound the array keeps, so that no peer can take more than its share. Times in seconds."""

    max_connections: int = 1024
    """TCP connections at once, over all addresses, those in login too; more are closed at once."""
    max_sessions: int = 1024
    """Sessions to volumes at once; a login above it is refused (TR1072's figure for the connections of a pool)."""
    login_timeout_s: float = 15.0
    """From the TCP connection to the full-feature phase."""
    max_connections_per_session: int = 4
    """What MaxConnections is negotiated down to (RFC 7143 13.2)."""
    error_recovery_level: int = 2
    """What ErrorRecoveryLevel is negotiated down to (13.20)."""
    time2wait_s: float = 2.0
    """DefaultTime2Wait, whole seconds: how long an initiator waits before it comes back for what it lost (13.15)."""
    time2retain_s: float = 20.0
    """DefaultTime2Retain, whole seconds: how long after that its tasks and its session are kept; 0: not at all."""
    command_window: int = 128
    """Commands a session may have outstanding: MaxCmdSN - ExpCmdSN + 1."""
    max_recv_data_segment_length: int = 262144
    max_burst_length: int = 262144
    first_burst_length: int = 65536
    nop_interval_s: float = 15.0
    """Silence after which the array pings the initiator with a NOP-In; 0 switches the ping off."""
    nop_timeout_s: float = 15.0
    """How long it then waits before it drops the connection."""
    output_high_bytes: int = 1 << 20
    """Answers held for a peer that does not read; above it no further command is taken from that connection."""
    write_buffer_bytes: int = 32 << 20
    """Data of writes a session may have on its way by R2T; a write above it waits for its R2T until others end."""
    retained_bytes: int = 16 << 20
    """Answers kept per connection until they are acknowledged, above ErrorRecoveryLevel 0."""
    data_timeout_s: float = 5.0
    """How long the rest of a write's data is waited for once some of it is known to be lost or wrong."""
    linger_s: float = 5.0
    """How long a connection that is being closed may take to read its last answers."""
    ticket_lifetime_s: float = 15.0
    """How long a redirected login counts as a connection of the portal it was sent to."""

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must be {low} to {high}, not {getattr(self, name)}")
        if self.first_burst_length > self.max_burst_length:
            raise ConfigError(
                f"first_burst_length {self.first_burst_length} is above max_burst_length {self.max_burst_length}"
            )
        for name in ("time2wait_s", "time2retain_s"):
            if getattr(self, name) != int(getattr(self, name)):
                raise ConfigError(f"{name} must be whole seconds, not {getattr(self, name)}")
        for name in ("output_high_bytes", "write_buffer_bytes", "retained_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("login_timeout_s", "nop_timeout_s", "data_timeout_s", "ticket_lifetime_s", "linger_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be more than 0 s, not {getattr(self, name)}")
        if self.nop_interval_s < 0:
            raise ConfigError(f"nop_interval_s must be 0 s or more, not {self.nop_interval_s}")


_RANGES: Final = (
    ("max_connections", 1, 0xFFFF),  # each may be a session, and a TSIH has 16 bits
    ("max_sessions", 1, 0xFFFF),
    ("max_connections_per_session", 1, 0xFFFF),
    ("error_recovery_level", 0, 2),
    ("time2wait_s", 0, 3600),
    ("time2retain_s", 0, 3600),
    ("command_window", 1, 0xFFFF),
    ("max_recv_data_segment_length", 512, (1 << 24) - 1),
    ("max_burst_length", 512, (1 << 24) - 1),
    ("first_burst_length", 512, (1 << 24) - 1),
)
"""Lowest and highest value; the three lengths are those of RFC 7143 13.12 to 13.14."""


@dataclass(frozen=True, slots=True)
class Balancing:
    """How connections are moved after login; see `target.balancer`. EqualLogic's own figures are not published."""

    interval_s: float = 0.0
    """How often the array looks; 0: only when told to."""
    threshold: float = 0.25
    """What a move must take off the heavier portal, as a fraction of the mean portal's weight."""
    max_moves: int = 4
    """Connections asked to log out at one look."""
    rest_intervals: int = 3
    """For so many intervals after its login a connection is not moved again."""
    logout_request_s: int = 10
    """What an initiator is given to log out when nobody says otherwise: Param3 of async event 1 (FACTS C.3)."""

    def __post_init__(self) -> None:
        if self.interval_s < 0:
            raise ConfigError(f"rebalance_interval must be 0 s or more, not {self.interval_s}")
        if not 0 <= self.threshold <= 10:
            raise ConfigError(f"rebalance_threshold must be 0 to 10, not {self.threshold}")
        if self.max_moves < 1 or self.rest_intervals < 0:
            raise ConfigError("rebalancing moves at least 1 connection at a time and rests 0 intervals or more")
        if not 1 <= self.logout_request_s <= 0xFFFF:
            raise ConfigError(f"logout_request must be 1 to 65535 s, not {self.logout_request_s}")


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """The array: its addresses and how it places logins.

    ``group_address`` is required for a redirecting array and must be None for a listed one. ``placement`` is a name
    of `target.placement.POLICIES`, with ``fixed_portal`` for "fixed".
    """

    name: str
    portals: tuple[PortalConfig, ...]
    volumes: tuple[VolumeConfig, ...]
    group_address: str | None = None
    kind: ArrayKind = ArrayKind.REDIRECTING
    port: int = ISCSI_PORT
    tpgt: int = 1
    placement: str = "least-connections"
    fixed_portal: str | None = None
    direct_login: DirectLogin = DirectLogin.SERVE
    lun_gone_after_logout_request: bool = False
    """A firmware defect: commands of a session that was asked to log out end 5/25/00; see `target.faults`."""
    r2t_without_numbers: bool = False
    """A defect of an early tgt: R2Ts say 0 for ExpCmdSN and MaxCmdSN, which every PDU has to tell (RFC 7143 11.8)."""
    active_passive: bool = False
    """Each volume is served through one portal at a time; see `target.ownership`."""
    access: AccessConfig | None = None
    """Asymmetric logical unit access: the target port groups; None: all portals serve alike."""
    lost_tasks: LostTasks = LostTasks.KEEP
    limits: Limits = field(default_factory=Limits)
    balancing: Balancing = field(default_factory=Balancing)

    def __post_init__(self) -> None:
        if not self.portals:
            raise ConfigError("portals: an array needs at least one")
        if self.kind is ArrayKind.REDIRECTING and self.group_address is None:
            raise ConfigError("group_address: a redirecting array needs one")
        if self.kind is ArrayKind.LISTED and self.group_address is not None:
            raise ConfigError("group_address: an array that lists its portals has none")
        seen: list[str] = []
        for address in self.addresses:
            try:
                ipaddress.IPv4Address(address)
            except ValueError:
                raise ConfigError(f"{address!r} is not an IPv4 address") from None
            if address in seen:
                raise ConfigError(f"address {address} is given twice")
            seen.append(address)
        names = [volume.iqn.lower() for volume in self.volumes]
        for iqn in names:
            if names.count(iqn) > 1:
                raise ConfigError(f"volume target name {iqn} is given twice")
        if self.placement not in POLICIES:
            raise ConfigError(f"placement: expected {_either(tuple(POLICIES))}, not {self.placement!r}")
        if self.placement == "fixed" and self.fixed_portal not in [portal.address for portal in self.portals]:
            raise ConfigError(f"fixed_portal: placement fixed wants one of the portals, not {self.fixed_portal}")
        if self.balancing.interval_s and self.kind is ArrayKind.LISTED:
            raise ConfigError("rebalance_interval: an array that does not redirect cannot say where a login goes")
        if self.balancing.interval_s and self.placement in STICKY:
            raise ConfigError(f"rebalance_interval: placement {self.placement} sends each login back to where it was")
        if self.access is not None:
            self.access.check([portal.address for portal in self.portals])
            if self.active_passive:
                raise ConfigError("active_passive and access are two ways to say who serves: give one")
        if not 1 <= self.port <= 0xFFFF:
            raise ConfigError(f"port must be 1 to 65535, not {self.port}")
        if not 0 <= self.tpgt <= 0xFFFF:
            raise ConfigError(f"tpgt must be 0 to 65535, not {self.tpgt}")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address the array listens on: the group address first, then the portals in order."""
        first = () if self.group_address is None else (self.group_address,)
        return first + tuple(portal.address for portal in self.portals)

    def relative_port(self, address: str) -> int:
        """SAM's relative target port: the portal's place in the list, from 1; the group address counts as 1."""
        addresses = [portal.address for portal in self.portals]
        return addresses.index(address) + 1 if address in addresses else 1


def _either(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
