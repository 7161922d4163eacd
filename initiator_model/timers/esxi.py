"""ESXi: the software iSCSI adapter's parameters and the storage stack's advanced settings, by VMware's names.

The chain after a path falls silent: a NOP-Out after NoopInterval, dead after NoopTimeout; the session then has
RecoveryTimeout to come back before its path is dead. A device without paths is *all paths down*: its I/O is retried for
APDTimeout and then fails at once until a path is back.

Sources: VMware's vSphere storage documentation of the advanced parameters of iSCSI adapters and of APD handling, from
memory (unverified), but for LoginTimeout (FACTS C.6).
"""

from __future__ import annotations

from dataclasses import dataclass

from initiator_model.timers import SECOND_NS
from initiator_model.timers.one_login import OneLoginTimer

__all__ = ["EsxiTimers"]


@dataclass(frozen=True, slots=True)
class EsxiTimers(OneLoginTimer):
    """See the module."""

    flags = ("apd_handling_enable",)
    periods = (
        "noop_timeout_ns",
        "recovery_timeout_ns",
        "login_timeout_ns",
        "logout_timeout_ns",
        "reconnect_delay_ns",
        "command_timeout_ns",
        "abort_timeout_ns",
        "retry_delay_ns",
        "path_eval_time_ns",
        "apd_timeout_ns",
    )
    counts = ("lun_queue_depth",)

    noop_interval_ns: int = 15 * SECOND_NS  # 0: no pings
    noop_timeout_ns: int = 10 * SECOND_NS
    recovery_timeout_ns: int = 10 * SECOND_NS
    login_timeout_ns: int = 5 * SECOND_NS
    reconnect_delay_ns: int = 3 * SECOND_NS
    command_timeout_ns: int = 40 * SECOND_NS
    abort_timeout_ns: int = 20 * SECOND_NS
    command_retries: int = 5
    retry_delay_ns: int = 2_000_000
    lun_queue_depth: int = 128  # iscsivmk_LunQDepth
    path_eval_time_ns: int = 300 * SECOND_NS  # Disk.PathEvalTime
    apd_handling_enable: int = 1  # Misc.APDHandlingEnable; 0: I/O without a path is retried for ever
    apd_timeout_ns: int = 140 * SECOND_NS  # Misc.APDTimeout

    def hold_ns(self, *, multipath: bool) -> int:
        return self.recovery_timeout_ns

    @property
    def reconnect_after_refusal_ns(self) -> int:
        return self.reconnect_delay_ns

    @property
    def first_login_tries(self) -> int:
        return 4

    @property
    def ping_interval_ns(self) -> int:
        return self.noop_interval_ns

    @property
    def ping_timeout_ns(self) -> int:
        return self.noop_timeout_ns

    @property
    def request_ns(self) -> int:
        return self.command_timeout_ns

    @property
    def abort_ns(self) -> int:
        return self.abort_timeout_ns

    @property
    def requests_max(self) -> int:
        return self.lun_queue_depth

    @property
    def retries(self) -> int:
        return self.command_retries

    @property
    def retry_ns(self) -> int:
        return self.retry_delay_ns

    @property
    def requeue_ns(self) -> int:
        return self.retry_delay_ns

    @property
    def requeue_patience_ns(self) -> int:
        return self.command_timeout_ns

    @property
    def no_path_ns(self) -> int | None:
        return self.apd_timeout_ns if self.apd_handling_enable else None

    @property
    def no_path_name(self) -> str:
        return "Misc.APDTimeout"

    @property
    def check_ns(self) -> int:
        return self.path_eval_time_ns

    @property
    def recovery_ns(self) -> int:
        return self.path_eval_time_ns
