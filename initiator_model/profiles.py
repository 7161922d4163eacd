"""A host's timers and habits as data: which Windows, which initiator.

Numbers are the registry defaults of the Microsoft initiator and of MPIO, under the names Microsoft gives them, in
integer nanoseconds. A scenario may override any of them by name. Two profiles:

    ms-iscsi-2.07   Windows Server 2003 R2 SP2 with the 2.07 initiator, whose own DSM starts with Fail Over Only
    msdsm-2008      Windows Server 2008 and later, whose in-box DSM starts with Round Robin on a symmetric array

The 2.07 initiator's defaults are not on record; its profile carries those of 2008 (unverified). So are, in both, the
period and patience of the NOP-Out ping, the class driver's retries, Time2Wait, Time2Retain and MaxOutstandingR2T.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Final

from initiator_model.policies import FailBack, LoadBalancePolicy
from initiator_model.policies.catalog import SelectorOptions

__all__ = ["PROFILES", "SECOND_NS", "OfferedKeys", "Profile", "Timers", "profile_named"]

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timers:
    """The timers and retry limits the host acts on. Nanoseconds end in `_ns`; flags are 0 or 1; the rest count.

    Windows has more (DiskPathCheckInterval, IPSecConfigTimeout, NetworkReadyRetryCount, MaxTransferLength): what they
    govern is not modeled, and a timer that did nothing would only mislead.
    """

    # MPIO (Services\\mpio\\Parameters)
    path_verify_enabled: int = 0  # 1: failed and healthy paths are checked with TEST UNIT READY
    path_verification_period_ns: int = 30 * SECOND_NS
    pdo_remove_period_ns: int = 20 * SECOND_NS  # how long the disk outlives its last path
    retry_count: int = 3
    retry_interval_ns: int = 1 * SECOND_NS
    use_custom_path_recovery_interval: int = 0
    path_recovery_interval_ns: int = 40 * SECOND_NS
    # The disk class driver
    disk_timeout_ns: int = 60 * SECOND_NS  # TimeOutValue: what one request is given
    class_retry_count: int = 8
    class_retry_interval_ns: int = 1 * SECOND_NS
    # The iSCSI initiator (its instance key, Parameters)
    link_down_time_ns: int = 15 * SECOND_NS  # how long requests are held after a session is lost, with MPIO
    max_request_hold_time_ns: int = 60 * SECOND_NS  # the same for disks without MPIO
    srb_timeout_delta_ns: int = 15 * SECOND_NS  # added to the class driver's timeout
    enable_nop_out: int = 0
    nop_out_interval_ns: int = 5 * SECOND_NS  # silence before a ping
    nop_out_timeout_ns: int = 5 * SECOND_NS  # silence after it
    delay_between_reconnect_ns: int = 5 * SECOND_NS
    max_connection_retries: int = 0xFFFF_FFFF  # for ever
    tcp_connect_time_ns: int = 15 * SECOND_NS
    tcp_disconnect_time_ns: int = 15 * SECOND_NS
    wmi_request_timeout_ns: int = 30 * SECOND_NS
    portal_retry_count: int = 5
    max_pending_requests: int = 255  # outstanding requests of one session

    @property
    def srb_timeout_ns(self) -> int:
        """How long one request may take before the initiator gives it up."""
        return self.disk_timeout_ns + self.srb_timeout_delta_ns

    @property
    def recovery_interval_ns(self) -> int:
        """How often MPIO tries lost paths: its own interval if enabled, else twice PDORemovePeriod (unverified)."""
        if self.use_custom_path_recovery_interval:
            return self.path_recovery_interval_ns
        return 2 * self.pdo_remove_period_ns

    def overridden(self, overrides: Mapping[str, int]) -> Timers:
        """A copy with some values replaced. Names are field names, durations with or without their `_ns`.

        Raises:
            ValueError: an unknown name (the message lists the known ones), a flag not 0 or 1, or less than
                `least_value` allows.
        """
        known = {item.name: item.name for item in fields(self)}
        known |= {name.removesuffix("_ns"): name for name in known}
        unknown = [name for name in overrides if name not in known]
        if unknown:
            names = ", ".join(item.name.removesuffix("_ns") for item in fields(self))
            raise ValueError(f"no timer named {', '.join(map(repr, unknown))}; there are: {names}")
        values: dict[str, int] = {}
        for name, value in overrides.items():
            if known[name] in _FLAGS and value not in (0, 1):
                raise ValueError(f"timer {name} is a switch, 0 or 1, and was given {value}")
            least = least_value(known[name])
            if value < least:
                raise ValueError(
                    f"timer {name} is at least {least}{' ns' if known[name].endswith('_ns') else ''}: {value}"
                )
            values[known[name]] = int(value)
        return replace(self, **values)


_PERIODS: Final = (
    "path_verification_period_ns",
    "path_recovery_interval_ns",
    "pdo_remove_period_ns",
    "disk_timeout_ns",
    "nop_out_interval_ns",
    "nop_out_timeout_ns",
    "delay_between_reconnect_ns",
    "tcp_connect_time_ns",
    "tcp_disconnect_time_ns",
    "wmi_request_timeout_ns",
)
"""What is done again and again at such a distance, or given up after so long, cannot be no time at all."""
_AT_LEAST_ONE: Final = ("portal_retry_count", "max_pending_requests")


def least_value(field: str) -> int:
    """The smallest value a field of `Timers` may be given: 1 ms for a period, 1 for some counts, else 0."""
    return SECOND_NS // 1000 if field in _PERIODS else 1 if field in _AT_LEAST_ONE else 0


_FLAGS: Final = ("path_verify_enabled", "use_custom_path_recovery_interval", "enable_nop_out")


@dataclass(frozen=True, slots=True)
class OfferedKeys:
    """What the initiator offers at login (RFC 7143 section 13), under the names of the negotiation table."""

    header_digest: tuple[str, ...] = ("None",)
    data_digest: tuple[str, ...] = ("None",)
    max_connections: int = 1
    initial_r2t: bool = False
    immediate_data: bool = True
    max_recv_data_segment_length: int = 65_536
    max_burst_length: int = 262_144
    first_burst_length: int = 65_536
    default_time2wait: int = 0
    default_time2retain: int = 60
    max_outstanding_r2t: int = 16
    data_pdu_in_order: bool = True
    data_sequence_in_order: bool = True
    error_recovery_level: int = 0  # Windows offers 2 (D.5); this host recovers by session only, and says so


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of host."""

    name: str
    title: str
    dsm_name: str  # as mpclaim and the device details name it
    symmetric_policy: LoadBalancePolicy  # what a disk starts with when all its paths are equal
    options: SelectorOptions  # what is set beside the policy unless an administrator says otherwise
    tcp_profile: str  # name of the TCP behaviour in the simulated world
    isid_prefix: bytes  # first four of the six ISID bytes: enterprise number format, Microsoft's number 311
    timers: Timers = field(default_factory=Timers)
    offered: OfferedKeys = field(default_factory=OfferedKeys)

    def default_policy(self, *, symmetric: bool = True) -> LoadBalancePolicy:
        """What a disk starts with. Fail Over Only is the only choice on an array that is not symmetric."""
        return self.symmetric_policy if symmetric else LoadBalancePolicy.FAIL_OVER_ONLY

    def with_timers(self, overrides: Mapping[str, int]) -> Profile:
        """A copy with some timers replaced; see `Timers.overridden`."""
        return replace(self, timers=self.timers.overridden(overrides))


_MICROSOFT_ISID: Final = bytes.fromhex("40000137")

PROFILES: Final = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile(
                name="ms-iscsi-2.07",
                title="Windows Server 2003 R2 SP2, Microsoft iSCSI initiator 2.07",
                dsm_name="Microsoft iSCSI DSM",
                symmetric_policy=LoadBalancePolicy.FAIL_OVER_ONLY,
                options=SelectorOptions(fail_back=FailBack.DESIRED),
                tcp_profile="windows-2003",
                isid_prefix=_MICROSOFT_ISID,
            ),
            Profile(
                name="msdsm-2008",
                title="Windows Server 2008 and later, in-box initiator and DSM",
                dsm_name="Microsoft DSM",
                symmetric_policy=LoadBalancePolicy.ROUND_ROBIN,
                options=SelectorOptions(fail_back=FailBack.DESIRED),
                tcp_profile="windows-2012",
                isid_prefix=_MICROSOFT_ISID,
            ),
        )
    }
)


def profile_named(name: str) -> Profile:
    """The profile of that name; ValueError lists the names there are."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"host profile {name!r} is not one of: {', '.join(PROFILES)}") from None
