"""What a scenario does, step after step: the applet's buttons, the workloads, the faults and what is expected of them.

One table per step, told apart by `do`. A step that may break something (`fault`) names the place; which places a kind
of fault wants stands in the table `FAULT_PLACES`.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from harness.array_steps import (
    AccessState,
    ControllerFailover,
    Drain,
    Drop,
    PortalGroupTag,
    Rebalance,
    RequestLogout,
    Undrain,
)
from harness.checks_model import Check
from harness.fields import (
    ChapText,
    DurationNs,
    Ip,
    Label,
    Listing,
    OfferedSecret,
    RateBitsPerS,
    Share,
    SizeBytes,
)
from harness.io_step import MAX_BLOCK_BYTES, SingleIo
from harness.policy_step import SetPolicy
from harness.step_base import HostStep, Step, VolumeStep
from target.faults import ArrayFault, FaultName

FaultKind = Literal[
    "link_down",
    "blackhole",
    "latency",
    "rate",
    "portal_down",
    "array_kill",
    "host_reboot",
    "busy",
    "task_set_full",
    "reservation_conflict",
    "check_condition",
    "medium_error",
    "write_error",
    "late",
    "stalled",
    "slow",
    "silent",
    "no_login",
    "out_of_resources",
    "redirect_to_dead",
]


class Discover(HostStep):
    """Add a target portal: SendTargets in a discovery session."""

    do: Literal["discover"]
    portal: Ip | None = None
    """Without it: the group address."""
    source: Ip | None = None


class Login(VolumeStep):
    """Log On, with the check boxes and the Advanced pane."""

    do: Literal["login"]
    source: Ip | None = None
    """Source IP: an address of one of the host's NICs. Without it: the host's choice."""
    portal: Ip | None = None
    """Target portal. Without it: the discovered (group) address."""
    persistent: bool = False
    """Reconnect automatically; listed among the persistent targets."""
    multipath: bool = False
    """The check box "Enable multi-path"."""
    chap_user: ChapText | None = None
    chap_secret: OfferedSecret | None = None
    mutual_user: ChapText | None = None
    """With mutual_secret: the array must prove itself, too (mutual CHAP)."""
    mutual_secret: OfferedSecret | None = None

    @model_validator(mode="after")
    def _chap_complete(self) -> Self:
        if (self.chap_user is None) != (self.chap_secret is None):
            raise ValueError("chap_user and chap_secret go together")
        if (self.mutual_user is None) != (self.mutual_secret is None):
            raise ValueError("mutual_user and mutual_secret go together")
        if self.mutual_user is not None and self.chap_user is None:
            raise ValueError("mutual CHAP wants chap_user and chap_secret, too")
        if self.mutual_secret is not None and self.mutual_secret == self.chap_secret:
            raise ValueError("one secret must not serve both directions (RFC 7143 9.2.1)")
        return self


class Logout(VolumeStep):
    """Log off the session from one source address, or all sessions."""

    do: Literal["logout"]
    source: Ip | None = None


class Targets(HostStep):
    """Show the Targets list."""

    do: Literal["targets"]


class Devices(VolumeStep):
    """Show the device's MPIO pane."""

    do: Literal["devices"]


class Netstat(HostStep):
    """Show `netstat -nt`; the result's `connections` are taken at the last such step."""

    do: Literal["netstat"]


class Mpclaim(HostStep):
    """Show `mpclaim -s -d`."""

    do: Literal["mpclaim"]
    volume: Label | None = None


class Workload(VolumeStep):
    """Reads and writes at a fixed queue depth: a phase of the result."""

    do: Literal["workload"]
    name: Label
    op: Literal["read", "write", "mixed"]
    read_share: Share = 0.5
    """Of op = "mixed"."""
    block_bytes: SizeBytes = Field(default=65536, alias="block")
    depth: PositiveInt = 16
    """Outstanding I/Os."""
    pattern: Literal["sequential", "random"] = "sequential"
    region_bytes: SizeBytes | None = Field(default=None, alias="region")
    """The first so many bytes of the volume; without it all of it."""
    duration_ns: DurationNs | None = Field(default=None, alias="duration")
    ios: PositiveInt | None = None
    iops: PositiveInt | None = None
    """Pacing; without it as fast as the depth allows."""
    background: bool = False
    """Later steps run meanwhile, until a `stop` step or the end."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.block_bytes > MAX_BLOCK_BYTES:
            raise ValueError(f"expected a block of at most {MAX_BLOCK_BYTES >> 20}MiB, the array's largest transfer")
        if self.duration_ns == 0:
            raise ValueError("expected a duration above 0")
        limits = (self.duration_ns is not None) + (self.ios is not None)
        if limits == 2:
            raise ValueError("expected duration or ios, not both")
        if limits == 0 and not self.background:
            raise ValueError('expected duration (such as "2s") or ios (such as 20000), or background = true')
        return self


class Stop(Step):
    """End a background workload and wait until its I/Os have drained."""

    do: Literal["stop"]
    name: Label


FAULT_PLACES: Mapping[FaultKind, tuple[tuple[str, ...], str | None]] = {
    # kind: (keys of which exactly one names the place, key of its strength)
    "link_down": (("nic", "portal"), None),
    "blackhole": (("nic", "portal"), None),
    "latency": (("nic", "portal"), "extra"),
    "rate": (("nic", "portal"), "rate"),
    "portal_down": (("portal",), None),
    "array_kill": ((), None),
    "host_reboot": (("host",), None),
}
"""Faults of cables, interfaces and machines. The others are the array's own: `target.faults` knows their places."""


class Fault(Step):
    """Break something; `heal` mends it."""

    do: Literal["fault"]
    kind: FaultKind
    nic: str | None = None
    """"host/nic", such as "w2k3/3A_iSCSI"."""
    portal: Ip | None = None
    host: Label | None = None
    carrier: bool = False
    """link_down only. false: the cable is out and the ends see it; true: the link light stays on, frames are lost."""
    extra_ns: DurationNs | None = Field(default=None, alias="extra")
    """latency: added to every frame; slow: to every command."""
    rate_bits_per_s: RateBitsPerS | None = Field(default=None, alias="rate")
    """rate only: what the link has left."""
    volume: Label | None = None
    """Of the array's own faults: one volume only."""
    lba: Annotated[int, Field(ge=0)] | None = None
    blocks: PositiveInt | None = None
    """medium_error, write_error: so many blocks from lba on cannot be read, or written."""
    to: Ip | None = None
    """redirect_to_dead only: the address logins are redirected to, where nobody answers."""
    sense: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]/[0-9A-Fa-f]{2}/[0-9A-Fa-f]{2}$")] | None = None
    """check_condition only: key, ASC and ASCQ, such as "5/25/00"."""
    count: PositiveInt | None = None
    """check_condition, late: how many commands meet it; without it all do until it is healed."""
    op: Literal["read", "write"] | None = None
    """late, slow: commands that read or write blocks only; without it all."""
    name: Label | None = None
    """To heal it by; without it kind and place, such as "link_down w2k3/3A_iSCSI"."""

    @model_validator(mode="after")
    def _place_of_kind(self) -> Self:
        given = {
            "nic": self.nic,
            "portal": self.portal,
            "host": self.host,
            "extra": self.extra_ns,
            "rate": self.rate_bits_per_s,
            "volume": self.volume,
            "lba": self.lba,
            "blocks": self.blocks,
            "to": self.to,
            "sense": self.sense,
            "count": self.count,
            "op": self.op,
        }
        if self.kind not in FAULT_PLACES:
            self._refuse(key for key in ("nic", "host", "rate") if given[key] is not None)
            assert self.array_fault is not None
            return self
        places, strength = FAULT_PLACES[self.kind]
        if places and sum(given[key] is not None for key in places) != 1:
            raise ValueError(f'a fault of kind "{self.kind}" wants {" or ".join(places)}')
        if strength is not None and given[strength] is None:
            raise ValueError(f'a fault of kind "{self.kind}" wants {strength}')
        self._refuse(key for key, value in given.items() if value is not None and key not in (*places, strength))
        return self

    def _refuse(self, stray: Iterable[str]) -> None:
        found = list(stray)
        if "carrier" in self.model_fields_set and self.kind != "link_down":
            found.append("carrier")
        if found:
            raise ValueError(f'a fault of kind "{self.kind}" has no {" and no ".join(found)}')

    @property
    def array_fault(self) -> ArrayFault | None:
        """The array's own fault; None when it is one of cables, interfaces or machines. Raises FaultError."""
        if self.kind in FAULT_PLACES:
            return None
        name = FaultName(self.kind.replace("_", "-"))
        place = (self.portal, self.volume, self.lba, self.blocks, self.to, self.sense, self.count, self.op)
        return ArrayFault(name, *place, self.extra_ns)

    @property
    def place(self) -> str:
        """Where it strikes: "host/nic", a portal's address, a host, a volume, or the array."""
        return self.nic or self.portal or self.host or self.volume or "array"

    @property
    def fault_name(self) -> str:
        """The name `heal` knows it by."""
        return self.name or f"{self.kind} {self.place}"


class Heal(Step):
    """Mend a fault of an earlier step."""

    do: Literal["heal"]
    name: str


class Wait(HostStep):
    """Let time pass, or wait for the paths to change."""

    do: Literal["wait"]
    duration_ns: DurationNs | None = Field(default=None, alias="duration")
    until: Literal["paths_usable", "path_lost", "no_paths"] | None = None
    volume: Label | None = None
    count: PositiveInt | None = None
    """Paths wanted by until = "paths_usable"; lost ones by "path_lost". Without it: all of them, and one."""
    within_ns: DurationNs = Field(default=60 * 10**9, alias="within")
    """The longest wait; then the run fails on liveness."""

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if (self.duration_ns is None) == (self.until is None):
            raise ValueError('expected duration (such as "5s") or until (such as "paths_usable"), one of them')
        if self.until is not None and self.volume is None:
            raise ValueError(f'until = "{self.until}" wants volume')
        return self


class Expect(Step):
    """What must hold: each `[[steps.that]]` is one check."""

    do: Literal["expect"]
    that: Annotated[Listing[Check], Field(min_length=1)]


AnyStep = Annotated[
    Discover
    | Login
    | Logout
    | Targets
    | Devices
    | Netstat
    | Mpclaim
    | SetPolicy
    | Workload
    | SingleIo
    | Stop
    | Fault
    | Heal
    | Drain
    | Undrain
    | Rebalance
    | RequestLogout
    | Drop
    | PortalGroupTag
    | AccessState
    | ControllerFailover
    | Wait
    | Expect,
    Field(discriminator="do"),
]
