"""The step that sets a disk's load-balance policy, and which policy takes which setting beside it."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from harness.fields import DurationNs, Ip, Listing, SizeBytes
from harness.mistakes import did_you_mean
from harness.step_base import VolumeStep
from initiator_model.policies.catalog import BUILT_IN, PolicyError, SelectorOptions, selector_class
from initiator_model.policies.path_groups import FailBackMode, Grouping

SECOND_NS = 10**9

_DM = ("dm-round-robin", "dm-queue-length", "dm-service-time", "dm-historical-service-time")

SETTINGS: Mapping[str, tuple[str, ...]] = {
    # setting: the policies that have it
    "preferred": ("failover-only", "vmw-fixed"),
    "weights": ("weighted-paths",),
    "throughputs": ("dm-service-time",),
    "use_cache": ("least-blocks",),
    "grouping": _DM,
    "failback": _DM,
    "type": ("vmw-rr",),
    "iops": ("vmw-rr",),
    "bytes": ("vmw-rr",),
}
"""Settings by the names files give them. What is not named here every policy has."""

PATH_SETTINGS = ("preferred", "weights", "throughputs")
"""What is set of paths and not of the policy: a policy of one's own may look at all of it."""


def _policy(name: str) -> str:
    known = [policy.option for policy in BUILT_IN]
    if ":" not in name and name not in known:
        raise ValueError(f'no policy "{name}" (one of your own is module:Class){did_you_mean(name, known)}')
    try:
        selector_class(name)
    except PolicyError as error:
        raise ValueError(str(error)) from error
    return name


PolicyName = Annotated[str, AfterValidator(_policy)]
"""A built-in policy, or `module:Class` for one of your own."""

Shares = Annotated[dict[Ip, Annotated[int, Field(ge=0)]], Field(max_length=32)]


class SetPolicy(VolumeStep):
    """Set the disk's load balance policy: one request that carries every path's wanted state."""

    do: Literal["set_policy"]
    policy: PolicyName
    preferred: Ip | None = None
    """Source address of the preferred path: failover-only and vmw-fixed fail back to it, one's own may."""
    standby: Listing[Ip] = ()
    """Source addresses the request leaves Standby."""
    weights: Shares = Field(default_factory=dict)
    """Of weighted-paths, and for one's own: source address to weight, 0 unless named. The lowest carries the work."""
    throughputs: Shares = Field(default_factory=dict)
    """Of dm-service-time, and for one's own: source address to relative throughput, 0 to 100, 1 unless named."""
    use_cache: bool = False
    """Of least-blocks: UseCacheForLeastBlocks, the rule that keeps a sequential stream on its path."""
    grouping: Grouping | None = None
    """Of the dm- policies: path_grouping_policy. Without it the profile's."""
    failback: Literal["manual", "immediate", "followover"] | DurationNs | None = None
    """Of the dm- policies: the mode, or after how many whole seconds. Without it the profile's."""
    type: Literal["iops", "bytes", "latency"] | None = None
    """Of vmw-rr: what ends a path's turn; iops unless set, or what the other setting says."""
    iops: PositiveInt | None = None
    """Of vmw-rr: requests in a turn."""
    bytes_in_turn: SizeBytes | None = Field(default=None, alias="bytes")
    """Of vmw-rr: bytes in a turn."""

    @model_validator(mode="after")
    def _settings_of_policy(self) -> Self:
        given = {SetPolicy.model_fields[name].alias or name for name in self.model_fields_set}
        for setting, policies in SETTINGS.items():
            if ":" in self.policy and setting in PATH_SETTINGS:
                continue
            if setting in given and self.policy not in policies:
                names = " or ".join(f'"{name}"' for name in policies)
                raise ValueError(f"only policy = {names} has {setting}")
        if self.preferred is not None and self.preferred in self.standby:
            raise ValueError(f"the preferred path {self.preferred} cannot be left Standby")
        if isinstance(self.failback, int) and self.failback % SECOND_NS:
            raise ValueError('expected failback in whole seconds, such as failback = "30s"')
        if any(share > 100 for share in self.throughputs.values()):
            raise ValueError("expected throughputs of 0 to 100")
        if (self.iops and self.bytes_in_turn) or (self.type == "latency" and (self.iops or self.bytes_in_turn)):
            raise ValueError("iops, bytes and type = 'latency' exclude each other")
        if self.bytes_in_turn == 0:
            raise ValueError("expected bytes above 0")
        return self

    def options(self, profile: SelectorOptions) -> SelectorOptions:
        """What is set beside the policy, the rest being what the host's profile has."""
        failback: FailBackMode | None = self.failback
        if isinstance(failback, int):
            failback //= SECOND_NS
        return SelectorOptions(
            fail_back=profile.fail_back,
            use_cache=self.use_cache,
            grouping=self.grouping or profile.grouping,
            failback=profile.failback if failback is None else failback,
            kind=self.type or ("bytes" if self.bytes_in_turn else profile.kind),
            iops=self.iops or profile.iops,
            size_bytes=self.bytes_in_turn or profile.size_bytes,
        )
