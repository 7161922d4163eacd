"""Linux: iscsid.conf, the SCSI midlayer, and multipath.conf, by their own names.

The chain after a path falls silent: a NOP-Out after `noop_out_interval`, dead after `noop_out_timeout`; then requests
are held for `replacement_timeout`, or for `fast_io_fail_tmo` where multipathd runs (it writes its own value over
iscsid's, for the sessions of multipath devices; 0 stands for "off" here). iscsid meanwhile reconnects: once
DefaultTime2Wait is over, then at once after an attempt that ran into `login_timeout`, and 3 s after one that the
network refused.

A path that failed comes back when multipathd's checker finds it well: every `polling_interval`; the interval of a path
that works doubles up to `max_polling_interval`, four times that unless set.

Sources: FACTS E.2, E.3 (etc/iscsid.conf and README of open-iscsi, the multipath.conf manual); the two reconnect pauses:
usr/initiator.c of open-iscsi (ISCSI_CONN_ERR_REOPEN_DELAY); `requeue_delay`: SCSI_QUEUE_DELAY of the kernel's
scsi_lib.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from initiator_model.timers import SECOND_NS
from initiator_model.timers.one_login import OneLoginTimer

__all__ = ["NO_PATH_RETRY_QUEUE", "LinuxTimers"]

NO_PATH_RETRY_QUEUE: Final = 0xFFFF_FFFF
"""no_path_retry queue."""


@dataclass(frozen=True, slots=True)
class LinuxTimers(OneLoginTimer):
    """See the module."""

    periods = (
        "noop_out_timeout_ns",
        "login_timeout_ns",
        "logout_timeout_ns",
        "abort_timeout_ns",
        "conn_err_reopen_delay_ns",
        "command_timeout_ns",
        "requeue_delay_ns",
        "polling_interval_ns",
        "max_polling_interval_ns",
    )
    counts = ("cmds_max", "initial_login_retry_max")

    # iscsid.conf: node.session.timeo, node.conn[0].timeo, node.session.err_timeo, node.session
    replacement_timeout_ns: int = 120 * SECOND_NS
    noop_out_interval_ns: int = 5 * SECOND_NS  # 0: no pings
    noop_out_timeout_ns: int = 5 * SECOND_NS
    abort_timeout_ns: int = 15 * SECOND_NS
    initial_login_retry_max: int = 8
    cmds_max: int = 128
    # iscsid itself
    conn_err_reopen_delay_ns: int = 3 * SECOND_NS
    # The SCSI midlayer
    command_timeout_ns: int = 30 * SECOND_NS  # 30 s by the kernel; udev rules of some distributions say 60
    command_retries: int = 5
    requeue_delay_ns: int = 3_000_000
    # multipath.conf
    fast_io_fail_tmo_ns: int = 5 * SECOND_NS  # 0: off, replacement_timeout is left alone
    polling_interval_ns: int = 5 * SECOND_NS
    max_polling_interval_ns: int = 20 * SECOND_NS
    no_path_retry: int = 0  # times polling_interval; 0: fail; NO_PATH_RETRY_QUEUE: queue

    def hold_ns(self, *, multipath: bool) -> int:
        if multipath and self.fast_io_fail_tmo_ns:
            return self.fast_io_fail_tmo_ns
        return self.replacement_timeout_ns

    @property
    def reconnect_after_refusal_ns(self) -> int:
        return self.conn_err_reopen_delay_ns

    @property
    def first_login_tries(self) -> int:
        return self.initial_login_retry_max

    @property
    def ping_interval_ns(self) -> int:
        return self.noop_out_interval_ns

    @property
    def ping_timeout_ns(self) -> int:
        return self.noop_out_timeout_ns

    @property
    def request_ns(self) -> int:
        return self.command_timeout_ns

    @property
    def abort_ns(self) -> int:
        return self.abort_timeout_ns

    @property
    def requests_max(self) -> int:
        return self.cmds_max

    @property
    def retries(self) -> int:
        return self.command_retries

    @property
    def retry_ns(self) -> int:
        return self.requeue_delay_ns

    @property
    def requeue_ns(self) -> int:
        return self.requeue_delay_ns

    @property
    def requeue_patience_ns(self) -> int:
        """A command may be requeued for as long as all its tries together may take."""
        return (self.command_retries + 1) * self.command_timeout_ns

    @property
    def no_path_ns(self) -> int | None:
        return None if self.no_path_retry == NO_PATH_RETRY_QUEUE else self.no_path_retry * self.polling_interval_ns

    @property
    def no_path_name(self) -> str:
        return "no_path_retry"

    @property
    def check_ns(self) -> int:
        return self.polling_interval_ns

    @property
    def check_max_ns(self) -> int:
        return max(self.polling_interval_ns, self.max_polling_interval_ns)

    @property
    def recovery_ns(self) -> int:
        return self.polling_interval_ns

    @property
    def session_restores_path(self) -> bool:
        return False
