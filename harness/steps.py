"""What a scenario does, step after step: the applet's buttons, the workloads, the faults and what is expected of them.

One table per step, told apart by `do`. What can be broken, and where, stands in `fault_step`.
"""

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
    SwapVolumes,
    Undrain,
)
from harness.checks_model import Check
from harness.fault_step import Fault
from harness.fields import (
    ChapText,
    DurationNs,
    Ip,
    Label,
    Listing,
    OfferedSecret,
    Share,
    SizeBytes,
)
from harness.io_step import MAX_BLOCK_BYTES, SingleIo
from harness.policy_step import SetPolicy
from harness.step_base import HostStep, Step, VolumeStep


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
    | SwapVolumes
    | AccessState
    | ControllerFailover
    | Wait
    | Expect,
    Field(discriminator="do"),
]
