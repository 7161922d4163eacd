"""A scenario: one network, one array, some hosts, and what happens to them. The one type every run starts from.

TOML files, seeds and tests all produce this type through the one door `harness.load`, which also checks what the
parts say about each other. Quantities are integers with their unit in the name; the file's key is the same without
the unit (`rate = "1Gbit"` is `rate_bits_per_s`).
"""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, NonNegativeInt, Tag, field_serializer, model_validator

from harness.array_steps import SECOND_NS, LogoutNs, WholeSecondsNs
from harness.fields import (
    AccessStateName,
    ChapSecret,
    ChapText,
    DurationNs,
    Interface,
    Ip,
    IscsiName,
    Label,
    Listing,
    RateBitsPerS,
    SizeBytes,
    Subnet,
    Table,
    TimerValue,
)
from harness.step_base import Net
from harness.steps import AnyStep, Workload
from harness.timer_overrides import as_written
from initiator_model.fencing import NOTICES_NS
from iscsi.lun import MAX_LUN
from target.access_config import MAX_TRANSITION_S
from target.disk import MAX_SIZE_BYTES

__all__ = ["Access", "Array", "Chap", "FixedPlacement", "Host", "Net", "Network", "Nic", "Scenario", "Volume"]


def _access_delay(value: int) -> int:
    if value > MAX_TRANSITION_S * SECOND_NS:
        raise ValueError(f"expected at most {MAX_TRANSITION_S:g}s")
    return value


AccessDelayNs = Annotated[DurationNs, AfterValidator(_access_delay)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Network(Table):
    """The switch every interface is plugged into."""

    switch_latency_ns: DurationNs = Field(default=5_000, alias="switch_latency")
    """Forwarding latency of the switch."""
    subnet: Subnet | None = None
    """Every address must lie in it. Without it the group address's network, or the first NIC's."""
    mtu: Annotated[int, Field(ge=576, le=9216)] = 1500


class Chap(Table):
    """CHAP credentials: the host's, and with the mutual ones also the array's."""

    user: ChapText
    secret: ChapSecret
    mutual_user: ChapText | None = None
    mutual_secret: ChapSecret | None = None

    @model_validator(mode="after")
    def _mutual_complete(self) -> Self:
        if (self.mutual_user is None) != (self.mutual_secret is None):
            raise ValueError("mutual_user and mutual_secret go together")
        if self.mutual_secret == self.secret:
            raise ValueError("one secret must not serve both directions (RFC 7143 9.2.1)")
        return self


class Access(Table):
    """Who may log in to the volume: every condition given must hold."""

    initiator: IscsiName | None = None
    source: Subnet | None = None
    chap: Chap | None = Field(
        default=None, json_schema_extra={"writeOnly": True}
    )  # a secret may stand there by mistake

    @model_validator(mode="after")
    def _some_condition(self) -> Self:
        if self.initiator is None and self.source is None and self.chap is None:
            raise ValueError('expected initiator, source or chap; for everybody say source = "0.0.0.0/0"')
        return self


class Disk(Table):
    """What one logical unit stores and how it shows itself."""

    size_bytes: SizeBytes = Field(alias="size")
    block_size: Literal[512, 4096] = 512
    physical_block_size: Literal[512, 4096] | None = None
    """Of the medium below; 4096 with a block_size of 512 is a disk that emulates its blocks (512e)."""
    provisioning: Literal["thin", "full"] = "thin"
    """thin: hosts may give blocks back (UNMAP), which then read as zeros; full: every block counts as written."""
    read_only: bool = False
    removable: bool = False
    """The medium can be ejected and loaded, as of a drive."""
    file: str | None = None
    """`serve` keeps the data in this file; without it, and in every run, in memory."""
    snapshot_of: str | None = None
    """A file that the volume starts as a copy of: `file` then holds only what differs from it."""

    @model_validator(mode="after")
    def _whole_blocks(self) -> Self:
        if self.size_bytes > MAX_SIZE_BYTES:
            raise ValueError(f"expected at most {MAX_SIZE_BYTES >> 60}EiB, got {self.size_bytes} bytes")
        if self.size_bytes == 0 or self.size_bytes % self.block_size:
            raise ValueError(f"expected a size of whole blocks of {self.block_size} bytes, got {self.size_bytes} bytes")
        if self.snapshot_of is not None and self.file in (None, self.snapshot_of):
            raise ValueError("snapshot_of wants a file of its own for what differs from it")
        if self.physical_block_size is not None and self.physical_block_size < self.block_size:
            raise ValueError(f"expected physical blocks of at least {self.block_size} bytes, as block_size says")
        return self


class Lun(Disk):
    """One more logical unit of a volume's target."""

    lun: Annotated[int, Field(ge=1, le=MAX_LUN)]


class Volume(Disk):
    """One volume, which is one target; size and the like are those of its LUN 0."""

    name: Label
    iqn: IscsiName | None = None
    """Without it a name in the array's grammar, made from the volume's."""
    access: Annotated[Listing[Access], Field(min_length=1)]
    """At least one rule: a volume without rules is nobody's."""
    max_sessions: Annotated[int, Field(ge=1)] | None = None
    """Sessions to it at once; a login above it is refused. Without it the array's limit alone holds."""
    luns: Listing[Lun] = ()
    """LUNs beside LUN 0, for tests: the volumes of a PS group have none."""

    @model_validator(mode="after")
    def _luns_once(self) -> Self:
        numbers = [lun.lun for lun in self.luns]
        for number in numbers:
            if numbers.count(number) > 1:
                raise ValueError(f"LUN {number} is given twice")
        return self


class FixedPlacement(Table):
    """Every login is redirected to one portal."""

    fixed: Ip


PlacementName = Literal["least-connections", "round-robin", "hash-source"]
Placement = Annotated[
    Annotated[PlacementName, Tag("name")] | Annotated[FixedPlacement, Tag("fixed")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "fixed"),
]


class PortGroup(Table):
    """A target port group: portals that give the same access to a volume."""

    id: Annotated[int, Field(ge=1, le=0xFFFF)]
    """Its number; not the portal group tag of iSCSI."""
    portals: Annotated[Listing[Ip], Field(min_length=1)]
    state: AccessStateName = "active-optimized"
    """In which it starts, for every volume."""
    preferred: bool = False
    """The PREF bit: the array would rather be used through this group."""


class Alua(Table):
    """Asymmetric logical unit access: the array serves its volumes through some portals better than through others."""

    implicit: bool = True
    """The array itself changes states (its operator, failover)."""
    explicit: bool = False
    """Hosts change states by SET TARGET PORT GROUPS."""
    failover: bool = False
    """true: when the last portal of the optimized groups is down, another group becomes optimized."""
    transition_ns: AccessDelayNs = Field(default=0, alias="transition")
    """How long a change takes; the group is transitioning meanwhile."""
    non_optimized_latency_ns: AccessDelayNs = Field(default=0, alias="non_optimized_latency")
    """How much later a command for the medium is answered through an active-non-optimized group."""
    groups: Annotated[Listing[PortGroup], Field(min_length=1)]

    @model_validator(mode="after")
    def _changed_by_somebody(self) -> Self:
        if not self.implicit and not self.explicit:
            raise ValueError("nobody could change a state: expected implicit, explicit or both to be true")
        if self.failover and not self.implicit:
            raise ValueError("failover is a change by the array itself, so it wants implicit = true")
        return self


class Array(Table):
    """The array: a group address in front of the portals of its interfaces."""

    kind: Literal["equallogic", "listed"] = "equallogic"
    """equallogic: discovery lists the group address alone, logins there are redirected; listed: every portal."""
    name: Label = "array"
    group: Interface | None = None
    """The group address and its prefix; wanted by kind = "equallogic", refused by "listed"."""
    portals: Annotated[Listing[Ip], Field(min_length=1)]
    rate_bits_per_s: RateBitsPerS = Field(default=10**9, alias="rate")
    """Of each portal's interface."""
    latency_ns: DurationNs = Field(default=10_000, alias="latency")
    """Of each portal's link."""
    port: Port = 3260
    placement: Placement = "least-connections"
    """How a portal is chosen for a redirected login."""
    direct_login: Literal["serve", "redirect"] = "serve"
    """What a login made directly at a portal gets."""
    command_window: Annotated[int, Field(ge=1, le=0xFFFF)] = 128
    """Commands the array takes of one session at a time; MaxCmdSN tells how many more."""
    time2wait_ns: LogoutNs = Field(default=2 * SECOND_NS, alias="time2wait")
    """What the array offers as DefaultTime2Wait, and answers logouts with. The larger offer wins."""
    time2retain_ns: WholeSecondsNs | None = Field(default=None, alias="time2retain")
    """What it offers as DefaultTime2Retain: how long after Time2Wait it keeps what a lost connection left behind."""
    lost_tasks: Literal["keep", "kill", "kill-beside-another-path"] = "keep"
    """What becomes of that: kept so long, ended at once, or ended once its host has another path to the volume."""
    ping_interval_ns: DurationNs | None = Field(default=None, alias="ping_interval")
    """Silence after which the array pings an initiator (NOP-In); 0s: never."""
    ping_timeout_ns: DurationNs | None = Field(default=None, alias="ping_timeout")
    """How long it waits for the answer before it takes the connection for lost."""
    rebalance_interval_ns: DurationNs = Field(default=0, alias="rebalance_interval")
    """How often the array looks whether connections should move; without it only when a step tells it to."""
    rebalance_threshold: Annotated[float, Field(ge=0, le=10)] = 0.25
    """What a move must take off the heavier portal, as a fraction of the mean portal's load."""
    logout_request_ns: LogoutNs = Field(default=10 * SECOND_NS, alias="logout_request")
    """What an initiator is given to log out when the array asks it to (async event 1)."""
    lun_gone_after_logout_request: bool = False
    """true: a defect of firmware 7.x; once asked to log out, a session's commands end LOGICAL UNIT NOT SUPPORTED."""
    r2t_without_numbers: bool = False
    """true: a defect of an early tgt; R2Ts say 0 for ExpCmdSN and MaxCmdSN."""
    active_passive: bool = False
    """true: only the first path of a host may be active, so Round Robin is refused."""
    alua: Alua | None = None
    """Without it every portal serves alike."""
    volumes: Annotated[Listing[Volume], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_kind_of_access(self) -> Self:
        if self.active_passive and self.alua is not None:
            raise ValueError("active_passive and alua are two ways to say who serves: expected one of them")
        return self

    @model_validator(mode="after")
    def _group_of_kind(self) -> Self:
        if self.kind == "equallogic" and self.group is None:
            raise ValueError('kind = "equallogic" wants group, such as group = "192.168.51.1/22"')
        if self.kind == "listed" and self.group is not None:
            raise ValueError('kind = "listed" has no group: every portal is listed, none redirects')
        return self

    @property
    def group_ip(self) -> str | None:
        """The group address without its prefix."""
        return self.group.partition("/")[0] if self.group else None

    @property
    def discovery_ip(self) -> str:
        """Where hosts discover: the group address, or the first portal of an array that lists them."""
        return self.group_ip or self.portals[0]

    def volume(self, name: str) -> Volume:
        """The volume of that name; KeyError if there is none."""
        return {volume.name: volume for volume in self.volumes}[name]


class Nic(Table):
    """One network interface of a host and its cable to the switch."""

    name: Label
    address: Interface
    rate_bits_per_s: RateBitsPerS = Field(default=10**9, alias="rate")
    latency_ns: DurationNs = Field(default=10_000, alias="latency")
    """Of the cable, one way."""
    offload: bool = False
    """A TCP offload engine, as netstat's "Offload State" shows it."""

    @property
    def ip(self) -> str:
        """The address without its prefix."""
        return self.address.partition("/")[0]

    @property
    def prefix_length(self) -> int:
        """22 of "192.168.50.105/22"."""
        return int(self.address.partition("/")[2])


ProfileName = Literal[
    "ms-iscsi-2.07", "msdsm-2008", "msdsm-2012", "eql-hit", "linux-dm-multipath", "linux-dm-multipath-eql", "esxi"
]


class Host(Table):
    """A host with the iSCSI initiator and, when multipath, MPIO."""

    name: Label
    profile: ProfileName = "ms-iscsi-2.07"
    """Which initiator and multipath layer: their default policy, timers, error rows and TCP (docs/profiles.md)."""
    iqn: IscsiName
    next_port: Port | None = None
    """The ephemeral port the host hands out next; without it the first of its operating system's range."""
    first_cmd_sn: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] | None = None
    """The CmdSN its sessions begin with, to see it wrap; without it a random one."""
    multipath: bool = True
    """MPIO is installed."""
    digests: bool = False
    """Header and data digests (CRC32C), which catch what TCP's checksum misses."""
    timers: dict[str, TimerValue] = Field(default_factory=dict)
    """Overrides of the profile's timers by its stack's names, such as { link_down_time = "15s" }; durations in ns."""
    fencing: Literal["none", "wait", "lun-reset", "preempt-and-abort"] = "none"
    """Before a write goes down another path: what is done about its ghost at the one that was lost. None of the
    profiles' real hosts does anything (docs/ghost-writes.md)."""
    target_notices_ns: DurationNs = Field(default=NOTICES_NS, alias="target_notices")
    """fencing = "wait" only: how long the array needs to see a silent loss; its ping_interval and ping_timeout."""
    nics: Annotated[Listing[Nic], Field(min_length=1)]

    @model_validator(mode="after")
    def _notices_where_it_waits(self) -> Self:
        if self.fencing != "wait" and "target_notices_ns" in self.model_fields_set:
            raise ValueError('target_notices is what fencing = "wait" goes by')
        return self

    @field_serializer("timers")
    def _timers_as_written(self, timers: dict[str, int]) -> dict[str, str | int]:
        return as_written(timers, self.profile)

    def nic(self, name: str) -> Nic:
        """The NIC of that name; KeyError if there is none."""
        return {nic.name: nic for nic in self.nics}[name]


class Scenario(Table):
    """What one run does. Read one by `harness.load`, which checks the parts against each other too."""

    name: Annotated[Label, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    """Names the run directory."""
    title: str = ""
    """One sentence for the terminal."""
    seed: NonNegativeInt = 1
    network: Network = Network()
    array: Array
    hosts: Annotated[Listing[Host], Field(min_length=1)]
    steps: Annotated[Listing[AnyStep], Field(min_length=1)]

    def host(self, name: str | None) -> Host:
        """The host of that name, the first one for None; KeyError if there is none."""
        return self.hosts[0] if name is None else {host.name: host for host in self.hosts}[name]

    def workload(self, name: str) -> Workload:
        """The workload step of that name; KeyError if there is none."""
        return {step.name: step for step in self.steps if isinstance(step, Workload)}[name]

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        """The storage network every address lies in."""
        if self.network.subnet:
            return ipaddress.IPv4Network(self.network.subnet)
        return ipaddress.IPv4Interface(self.array.group or self.hosts[0].nics[0].address).network
