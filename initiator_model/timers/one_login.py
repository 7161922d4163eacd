"""What Linux's and ESXi's initiators have in common: one timer for connecting and logging in, and no layer above that
tries again. Their own files have the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from initiator_model.timers import SECOND_NS, Timers

__all__ = ["OneLoginTimer"]


@dataclass(frozen=True, slots=True)
class OneLoginTimer(Timers):
    """Timers of an initiator that reconnects at once after silence, and of a disk that outlives its paths."""

    login_timeout_ns: int = 15 * SECOND_NS  # of the TCP connection and the login together
    logout_timeout_ns: int = 15 * SECOND_NS

    @property
    def aborts_first(self) -> bool:
        return True

    @property
    def waits_after_logout(self) -> bool:
        return True

    @property
    def first_reconnect_ns(self) -> int:
        return 0  # DefaultTime2Wait is what is waited for

    @property
    def reconnect_after_silence_ns(self) -> int:
        return 0

    @property
    def reconnects_max(self) -> int:
        return 0xFFFF_FFFF

    @property
    def connect_ns(self) -> int:
        return self.login_timeout_ns

    def login_ns(self, connected_in_ns: int) -> int:
        return max(1, self.login_timeout_ns - connected_in_ns)

    @property
    def logout_ns(self) -> int:
        return self.logout_timeout_ns

    @property
    def class_retries(self) -> int:
        return 0

    @property
    def class_retry_ns(self) -> int:
        return 0

    @property
    def disk_outlives_paths(self) -> bool:
        return True
