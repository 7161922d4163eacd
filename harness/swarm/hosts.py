"""The hosts a swarm draws from: profiles, their policies, and timers short enough for a run of seconds.

A patient host keeps an I/O longer than any fault of the run lasts, so nothing may fail there but what the array itself
refuses. An impatient one gives up, or loses its disk, when no path is left for too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

__all__ = ["KINDS", "HostKind"]

Timers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HostKind:
    """What can be drawn of one profile."""

    profile: str
    weight: int
    policies: tuple[str, ...]
    short: Timers
    """Overrides under which a failover takes a second or two."""
    patient: Timers
    """Requests wait for a path longer than anything lasts here."""
    impatient: Timers
    """They wait about as long as a fault lasts."""
    opens_sessions: bool = False
    """The host's session manager opens the sessions beyond the first."""


_WINDOWS_POLICIES: Final = (
    "failover-only",
    "round-robin",
    "round-robin-subset",
    "least-queue-depth",
    "weighted-paths",
    "least-blocks",
)
_LINUX_POLICIES: Final = ("dm-round-robin", "dm-queue-length", "dm-service-time", "dm-historical-service-time")
_ESXI_POLICIES: Final = ("vmw-rr", "vmw-mru", "vmw-fixed")

_WINDOWS_SHORT: Final[Timers] = {
    "link_down_time": "1s",
    "delay_between_reconnect": "200ms",
    "retry_interval": "50ms",
    "class_retry_interval": "100ms",
    "disk_timeout": "2s",
    "srb_timeout_delta": "500ms",
    "tcp_connect_time": "1s",
    "tcp_disconnect_time": "500ms",
    "wmi_request_timeout": "1s",
    "nop_out_interval": "500ms",
    "nop_out_timeout": "500ms",
    "use_custom_path_recovery_interval": True,
    "path_recovery_interval": "1s",
}
_WINDOWS_PATIENT: Final[Timers] = {
    "pdo_remove_period": "10min",
    "max_request_hold_time": "10min",
    "use_custom_path_recovery_interval": True,  # else a path would be tried again after twice PDORemovePeriod
    "path_recovery_interval": "40s",
}
_WINDOWS_IMPATIENT: Final[Timers] = {"pdo_remove_period": "2s", "max_request_hold_time": "3s"}
_LINUX_SHORT: Final[Timers] = {
    "replacement_timeout": "2s",
    "fast_io_fail_tmo": "1s",
    "noop_out_interval": "500ms",
    "noop_out_timeout": "500ms",
    "login_timeout": "1s",
    "logout_timeout": "1s",
    "abort_timeout": "500ms",
    "conn_err_reopen_delay": "200ms",
    "command_timeout": "2s",
    "polling_interval": "1s",
    "max_polling_interval": "2s",
}
_LINUX_PATIENT: Final[Timers] = {"no_path_retry": 600}
_LINUX_IMPATIENT: Final[Timers] = {"no_path_retry": 2}
_ESXI_SHORT: Final[Timers] = {
    "recovery_timeout": "1s",
    "noop_interval": "500ms",
    "noop_timeout": "500ms",
    "login_timeout": "1s",
    "logout_timeout": "1s",
    "abort_timeout": "500ms",
    "reconnect_delay": "200ms",
    "command_timeout": "2s",
    "path_eval_time": "1s",
}

KINDS: Final = (
    HostKind("ms-iscsi-2.07", 3, _WINDOWS_POLICIES, _WINDOWS_SHORT, _WINDOWS_PATIENT, _WINDOWS_IMPATIENT),
    HostKind("msdsm-2008", 2, _WINDOWS_POLICIES, _WINDOWS_SHORT, _WINDOWS_PATIENT, _WINDOWS_IMPATIENT),
    HostKind("msdsm-2012", 2, _WINDOWS_POLICIES, _WINDOWS_SHORT, _WINDOWS_PATIENT, _WINDOWS_IMPATIENT),
    HostKind(
        "eql-hit",
        1,
        _WINDOWS_POLICIES[1:],  # its session manager leaves a disk under Fail Over Only alone
        # A boot's first SYN may meet a connection of before; the one try of the kit's own timers has then run out.
        {**_WINDOWS_SHORT, "path_verification_period": "1s", "ehcm_interval": "2s", "portal_retry_count": 5},
        _WINDOWS_PATIENT,
        _WINDOWS_IMPATIENT,
        opens_sessions=True,
    ),
    HostKind("linux-dm-multipath", 2, _LINUX_POLICIES, _LINUX_SHORT, _LINUX_PATIENT, _LINUX_IMPATIENT),
    HostKind("linux-dm-multipath-eql", 2, _LINUX_POLICIES, _LINUX_SHORT, _LINUX_PATIENT, _LINUX_IMPATIENT),
    HostKind("esxi", 2, _ESXI_POLICIES, _ESXI_SHORT, {"apd_timeout": "10min"}, {"apd_timeout": "2s"}),
)

BY_PROFILE: Final = MappingProxyType({kind.profile: kind for kind in KINDS})
