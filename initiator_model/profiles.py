"""Which host: a stack's timers, habits and error rows as data.

    ms-iscsi-2.07            Windows Server 2003 R2 SP2, the 2.07 initiator, whose own DSM starts with Fail Over Only
    msdsm-2008               Windows Server 2008, whose in-box DSM starts with Round Robin on a symmetric array
    msdsm-2012               Windows Server 2012 and later: the same (what DiskPathCheckInterval adds is not modeled)
    eql-hit                  the same with EqualLogic's host kit: it opens the sessions itself, least queue depth
    linux-dm-multipath       open-iscsi and dm-multipath as they come: a path group for each path
    linux-dm-multipath-eql   the same with multipath-tools' built-in EQLOGIC entry: one group, service-time, queueing
    esxi                     ESXi's software iSCSI adapter with its native multipathing, claimed as an EqualLogic

The 2.07 initiator's defaults are not on record; its profile carries those of 2008 (unverified). Where the numbers come
from, and which are unverified, each stack's file in `timers` says, and docs/profiles.md in one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

from initiator_model.errors import ErrorTable
from initiator_model.errors.esxi import ESXI
from initiator_model.errors.linux import LINUX
from initiator_model.errors.msdsm import MSDSM
from initiator_model.policies import FailBack, LoadBalancePolicy
from initiator_model.policies.catalog import SelectorOptions, policy_named
from initiator_model.timers import Timers
from initiator_model.timers.equallogic import EqualLogicTimers
from initiator_model.timers.esxi import EsxiTimers
from initiator_model.timers.linux import LinuxTimers
from initiator_model.timers.microsoft import MicrosoftTimers

__all__ = ["PROFILES", "OfferedKeys", "Profile", "profile_named"]


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
    timers: Timers = field(default_factory=MicrosoftTimers)
    errors: ErrorTable = MSDSM
    offered: OfferedKeys = field(default_factory=OfferedKeys)
    console: Literal["applet", "multipath", "esxcli"] = "applet"  # how a disk's paths are looked at
    follows_access: bool = True  # on an asymmetric disk the best paths are used; False: priorities are made of it

    def with_timers(self, overrides: Mapping[str, int]) -> Profile:
        """A copy with some timers replaced; see `Timers.overridden`."""
        return replace(self, timers=self.timers.overridden(overrides))

    def with_digests(self) -> Profile:
        """A copy that insists on CRC32C of headers and data (RFC 7143 13.1), as an administrator may tick it."""
        return replace(self, offered=replace(self.offered, header_digest=("CRC32C",), data_digest=("CRC32C",)))


_MICROSOFT_ISID: Final = bytes.fromhex("40000137")
_OPEN_ISCSI_ISID: Final = bytes.fromhex("00023d00")  # OUI format, 00-02-3d, which ESXi's initiator has, too

_OPEN_ISCSI_KEYS: Final = OfferedKeys(
    max_recv_data_segment_length=262_144,
    max_burst_length=16_776_192,
    first_burst_length=262_144,
    default_time2wait=2,
    default_time2retain=0,
    max_outstanding_r2t=1,
)

_MS_2_07: Final = Profile(
    name="ms-iscsi-2.07",
    title="Windows Server 2003 R2 SP2, Microsoft iSCSI initiator 2.07",
    dsm_name="Microsoft iSCSI DSM",
    symmetric_policy=LoadBalancePolicy.FAIL_OVER_ONLY,
    options=SelectorOptions(fail_back=FailBack.DESIRED),
    tcp_profile="windows-2003",
    isid_prefix=_MICROSOFT_ISID,
)
_MSDSM_2008: Final = replace(
    _MS_2_07,
    name="msdsm-2008",
    title="Windows Server 2008, in-box initiator and DSM",
    dsm_name="Microsoft DSM",
    symmetric_policy=LoadBalancePolicy.ROUND_ROBIN,
    tcp_profile="windows-2012",
)
_MSDSM_2012: Final = replace(
    _MSDSM_2008, name="msdsm-2012", title="Windows Server 2012 and later, in-box initiator and DSM"
)
_EQL_HIT: Final = replace(
    _MSDSM_2008,
    name="eql-hit",
    title="Windows Server 2008 with EqualLogic's Host Integration Tools",
    dsm_name="EqualLogic DSM",
    symmetric_policy=LoadBalancePolicy.LEAST_QUEUE_DEPTH,
    timers=EqualLogicTimers(),
)
_LINUX: Final = Profile(
    name="linux-dm-multipath",
    title="Linux, open-iscsi 2.1 and dm-multipath with multipathd's defaults",
    dsm_name="device-mapper multipath",
    symmetric_policy=policy_named("dm-service-time"),
    options=SelectorOptions(grouping="failover", failback="manual"),
    tcp_profile="linux",
    isid_prefix=_OPEN_ISCSI_ISID,
    timers=LinuxTimers(),
    errors=LINUX,
    offered=_OPEN_ISCSI_KEYS,
    console="multipath",
    follows_access=False,
)
_LINUX_EQL: Final = replace(
    _LINUX,
    name="linux-dm-multipath-eql",
    title="Linux, open-iscsi 2.1 and dm-multipath with the built-in EQLOGIC entry",
    options=SelectorOptions(grouping="multibus", failback="manual"),
    timers=LinuxTimers(no_path_retry=30),
)
_ESXI: Final = Profile(
    name="esxi",
    title="ESXi, software iSCSI adapter with port binding, VMW_SATP_EQL",
    dsm_name="NMP",
    symmetric_policy=policy_named("vmw-rr"),
    options=SelectorOptions(),
    tcp_profile="linux",  # (unverified): ESXi's own stack descends from BSD's
    isid_prefix=_OPEN_ISCSI_ISID,
    timers=EsxiTimers(),
    errors=ESXI,
    offered=_OPEN_ISCSI_KEYS,
    console="esxcli",
)

_ALL: Final = (_MS_2_07, _MSDSM_2008, _MSDSM_2012, _EQL_HIT, _LINUX, _LINUX_EQL, _ESXI)

PROFILES: Final = MappingProxyType({profile.name: profile for profile in _ALL})


def profile_named(name: str) -> Profile:
    """The profile of that name; ValueError lists the names there are."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"host profile {name!r} is not one of: {', '.join(PROFILES)}") from None
