"""Windows: the registry values of the Microsoft initiator, of MPIO and of the disk class driver, by Microsoft's names.

Windows has more (DiskPathCheckInterval, IPSecConfigTimeout, NetworkReadyRetryCount, MaxTransferLength): what they
govern is not modeled, and a timer that did nothing would only mislead.

Sources: FACTS D.5. Not on record, and so (unverified): the period and patience of the NOP-Out ping, the class driver's
retries, and whether the first reconnect waits for DelayBetweenReconnect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from initiator_model.timers import SECOND_NS, Timers

__all__ = ["MicrosoftTimers"]


@dataclass(frozen=True, slots=True)
class MicrosoftTimers(Timers):
    """See the module."""

    flags: ClassVar[tuple[str, ...]] = ("path_verify_enabled", "use_custom_path_recovery_interval", "enable_nop_out")
    periods: ClassVar[tuple[str, ...]] = (
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
    counts: ClassVar[tuple[str, ...]] = ("portal_retry_count", "max_pending_requests")

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

    def hold_ns(self, *, multipath: bool) -> int:
        return self.link_down_time_ns if multipath else self.max_request_hold_time_ns

    @property
    def first_reconnect_ns(self) -> int:
        return self.delay_between_reconnect_ns

    @property
    def reconnect_after_refusal_ns(self) -> int:
        return self.delay_between_reconnect_ns

    @property
    def reconnect_after_silence_ns(self) -> int:
        return self.delay_between_reconnect_ns

    @property
    def reconnects_max(self) -> int:
        return self.max_connection_retries

    @property
    def connect_ns(self) -> int:
        return self.tcp_connect_time_ns

    def login_ns(self, connected_in_ns: int) -> int:
        return self.wmi_request_timeout_ns

    @property
    def logout_ns(self) -> int:
        return self.tcp_disconnect_time_ns

    @property
    def first_login_tries(self) -> int:
        return self.portal_retry_count

    @property
    def ping_interval_ns(self) -> int:
        return self.nop_out_interval_ns if self.enable_nop_out else 0

    @property
    def ping_timeout_ns(self) -> int:
        return self.nop_out_timeout_ns

    @property
    def request_ns(self) -> int:
        return self.disk_timeout_ns + self.srb_timeout_delta_ns

    @property
    def abort_ns(self) -> int:
        return self.srb_timeout_delta_ns

    @property
    def requests_max(self) -> int:
        return self.max_pending_requests

    @property
    def retries(self) -> int:
        return self.retry_count

    @property
    def retry_ns(self) -> int:
        return self.retry_interval_ns

    @property
    def requeue_ns(self) -> int:
        return self.retry_interval_ns

    @property
    def requeue_patience_ns(self) -> int:
        return 0  # the DSM has no such action

    @property
    def class_retries(self) -> int:
        return self.class_retry_count

    @property
    def class_retry_ns(self) -> int:
        return self.class_retry_interval_ns

    @property
    def no_path_ns(self) -> int | None:
        return self.pdo_remove_period_ns

    @property
    def no_path_name(self) -> str:
        return "PDORemovePeriod"

    @property
    def disk_outlives_paths(self) -> bool:
        return False

    @property
    def check_ns(self) -> int:
        return self.path_verification_period_ns if self.path_verify_enabled else 0

    @property
    def recovery_ns(self) -> int:
        """MPIO's own interval if enabled, else twice PDORemovePeriod (unverified; the numbers agree)."""
        if self.use_custom_path_recovery_interval:
            return self.path_recovery_interval_ns
        return 2 * self.pdo_remove_period_ns
