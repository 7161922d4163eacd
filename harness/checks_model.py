"""What an `expect` step may demand of a run: one small table per kind of check.

The models hold the demand and refuse demands that mean nothing (a throughput check without a bound). Judging a run by
them is `harness.expectations`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from harness.fields import DurationNs, Ip, Label, Listing, RateBitsPerS, Share, Table
from harness.policy_step import PolicyName

PathStateName = Literal[
    "Active", "Active/Unoptimized", "Standby", "Unavailable", "Transitioning", "Failed", "Undetermined"
]
TargetStateName = Literal["Connected", "Inactive"]


class ThroughputCheck(Table):
    """The payload rate of a phase: between bounds, in proportion to another phase, or what a link's headers leave."""

    check: Literal["throughput"]
    phase: Label
    """Name of the workload."""
    min_bits_per_s: RateBitsPerS | None = Field(default=None, alias="min")
    max_bits_per_s: RateBitsPerS | None = Field(default=None, alias="max")
    of: Label | None = None
    """Another workload to compare with: wants ratio_min or ratio_max."""
    ratio_min: PositiveFloat | None = None
    ratio_max: PositiveFloat | None = None
    of_arithmetic_bits_per_s: RateBitsPerS | None = Field(default=None, alias="of_arithmetic")
    """Line rate; the payload must be what Ethernet, IP, TCP and iSCSI headers leave of it."""
    within: Share = 0.03
    """Tolerance of of_arithmetic, as a fraction."""

    @model_validator(mode="after")
    def _one_demand(self) -> Self:
        bounds = self.min_bits_per_s is not None or self.max_bits_per_s is not None
        ratios = self.ratio_min is not None or self.ratio_max is not None
        if not (bounds or self.of or self.of_arithmetic_bits_per_s):
            raise ValueError('expected min, max, of or of_arithmetic, such as min = "1.8Gbit"')
        if bool(self.of) != ratios:
            raise ValueError('"of" and "ratio_min"/"ratio_max" go together, such as of = "one-path", ratio_min = 1.9')
        return self


class ShareCheck(Table):
    """How a phase's I/Os (or bytes) spread over the paths: every path alike, or one path between bounds."""

    check: Literal["share"]
    phase: Label
    beside: Listing[Label] = ()
    """Other workloads of the same disk, counted together with it."""
    of: Literal["ios", "bytes"] = "ios"
    """What is counted. One workload's I/Os are all of one size, so bytes say more only of several."""
    each: Share | None = None
    within: Share = 0.01
    path: Ip | None = None
    """Source address of one path; with min and/or max."""
    min: Share | None = None
    max: Share | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        bounded = self.min is not None or self.max is not None
        if (self.each is None) == (self.path is None) or (self.path is None) == bounded:
            raise ValueError("expected either each (such as each = 0.5, within = 0.01) or path with min and/or max")
        return self


class PathStatesCheck(Table):
    """How many paths of the disk are in each state, here and now."""

    check: Literal["path_states"]
    host: Label | None = None
    volume: Label
    states: Annotated[dict[PathStateName, Annotated[int, Field(ge=0)]], Field(min_length=1)]
    """Such as { Active = 1, Standby = 1 }; states not named must be empty."""


class PolicyCheck(Table):
    """The disk's load balance policy, here and now."""

    check: Literal["policy"]
    host: Label | None = None
    volume: Label
    policy: PolicyName


class TargetStateCheck(Table):
    """What the applet's Targets list says of the volume, here and now."""

    check: Literal["target_state"]
    host: Label | None = None
    volume: Label
    state: TargetStateName


class ConnectionsCheck(Table):
    """The host's established iSCSI connections in the run's `connections`: exactly these pairs."""

    check: Literal["connections"]
    host: Label | None = None
    table: Annotated[dict[str, str], Field(min_length=1)]
    """Local "ip:port" (or "ip") to remote "ip:port" (or "ip")."""
    offload: bool | None = None


class IoCheck(Table):
    """Logical I/Os of the whole run that ended badly: so many, or as many as the bounds say."""

    check: Literal["io"]
    failed: Annotated[int, Field(ge=0)] = 0
    """Not judged where failed_min or failed_max says something else; then unknown is not judged either."""
    unknown: Annotated[int, Field(ge=0)] = 0
    failed_min: Annotated[int, Field(ge=0)] | None = None
    """Bounds for failed and unknown together."""
    failed_max: Annotated[int, Field(ge=0)] | None = None
    refused: bool = False
    """true: workloads may end because their disk was removed, as Windows does it."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        bounded = self.failed_min is not None or self.failed_max is not None
        if bounded and {"failed", "unknown"} & self.model_fields_set:
            raise ValueError("expected either failed and unknown, or failed_min and/or failed_max")
        return self


class StallCheck(Table):
    """How long I/O stood still after the last path loss: as the profile's timers say, or between bounds."""

    check: Literal["stall"]
    host: Label | None = None
    within: Share = 0.1
    """Tolerance around the timers' sum, as a fraction; without min and max."""
    min_ns: DurationNs | None = Field(default=None, alias="min")
    max_ns: DurationNs | None = Field(default=None, alias="max")


class RedirectsCheck(Table):
    """Logins of the host that the array redirected during the run."""

    check: Literal["redirects"]
    host: Label | None = None
    count: Annotated[int, Field(ge=0)] | None = None
    portals: Listing[Ip] | None = None
    """Where they were sent, in order."""

    @model_validator(mode="after")
    def _one_demand(self) -> Self:
        if self.count is None and self.portals is None:
            raise ValueError('expected count and/or portals, such as portals = ["192.168.51.2", "192.168.51.4"]')
        return self


class LatencyCheck(Table):
    """The 99th percentile of a phase's latency, or its longest."""

    check: Literal["latency"]
    phase: Label
    p99_max_ns: DurationNs | None = Field(default=None, alias="p99_max")
    longest_min_ns: DurationNs | None = Field(default=None, alias="longest_min")
    longest_max_ns: DurationNs | None = Field(default=None, alias="longest_max")

    @model_validator(mode="after")
    def _some_demand(self) -> Self:
        if (self.p99_max_ns, self.longest_min_ns, self.longest_max_ns) == (None, None, None):
            raise ValueError('expected p99_max, longest_min and/or longest_max, such as longest_max = "1s"')
        return self


Check = Annotated[
    ThroughputCheck
    | ShareCheck
    | PathStatesCheck
    | PolicyCheck
    | TargetStateCheck
    | ConnectionsCheck
    | IoCheck
    | StallCheck
    | RedirectsCheck
    | LatencyCheck,
    Field(discriminator="check"),
]

StateCheck = PathStatesCheck | PolicyCheck | TargetStateCheck
"""These speak of the moment of their step; all others are judged when the run has ended."""
