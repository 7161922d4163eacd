"""Windows with EqualLogic's Host Integration Tools: Microsoft's timers, and what its session manager (EHCM) goes by.

The registry values are those that Dell asks for on hosts of EqualLogic and Compellent arrays.

Sources: the HIT User's Guide (limits per volume slice and per volume), Dell's registry file (FACTS C.5, D.5 column
EQL). How often EHCM looks is not on record (unverified).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from initiator_model.timers import SECOND_NS
from initiator_model.timers.microsoft import MicrosoftTimers

__all__ = ["EqualLogicTimers"]


@dataclass(frozen=True, slots=True)
class EqualLogicTimers(MicrosoftTimers):
    """See the module."""

    periods: ClassVar[tuple[str, ...]] = (*MicrosoftTimers.periods, "ehcm_interval_ns")
    counts: ClassVar[tuple[str, ...]] = (
        *MicrosoftTimers.counts,
        "max_sessions_per_volume_slice",
        "max_sessions_per_volume",
    )

    path_verify_enabled: int = 1
    pdo_remove_period_ns: int = 120 * SECOND_NS
    use_custom_path_recovery_interval: int = 1
    path_recovery_interval_ns: int = 60 * SECOND_NS
    link_down_time_ns: int = 35 * SECOND_NS
    max_request_hold_time_ns: int = 90 * SECOND_NS
    enable_nop_out: int = 1
    delay_between_reconnect_ns: int = 1 * SECOND_NS
    portal_retry_count: int = 1
    # EHCM
    max_sessions_per_volume_slice: int = 2  # 1 to 4
    max_sessions_per_volume: int = 6  # 1 to 12
    ehcm_interval_ns: int = 60 * SECOND_NS
