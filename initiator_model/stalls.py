"""How long I/O must stall when a path is lost, worked out from the host's timers.

The measured stall of a run is compared with these numbers, so they are derived apart from the code that produces it.
The chain is the same for every stack: something *notices* the loss, then the initiator *holds* the requests in the hope
of a new session, then the multipath layer sends them down another path. docs/failover.md has it with the numbers.

    cause                 noticed after
    carrier lost          nothing: the stack reports the disconnect (where it has media sense; Linux has not)
    fin or rst            nothing
    silent, pinged        up to an idle interval, then the ping's timeout
    silent, not pinged    the request's timeout, and that of its abort where one is tried; or TCP giving up, if sooner

The hold is LinkDownTime, recovery_tmo (replacement_timeout, or multipathd's fast_io_fail_tmo) or RecoveryTimeout. That
it starts when the loss is noticed is inferred for Windows, and measured for Linux (docs/calibration.md).

A new session ends the hold early, which is what happens when a redirecting array has another portal to send the
reconnecting host to; then the stall is the wait before the reconnect, and a retry where the stack waits before it sends
a request again that met the new nexus' unit attention.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from initiator_model.errors import Action
from initiator_model.profiles import Profile
from initiator_model.requests import Completion, CompletionKind
from initiator_model.timers import SECOND_NS
from iscsi.constants import ScsiStatus, SenseKey
from iscsi.sense import Sense

__all__ = ["StallBounds", "StallCause", "expected_stall_ns", "stall_bounds"]


class StallCause(Enum):
    """How a path is lost."""

    CARRIER_LOST = "carrier lost"
    FIN_OR_RST = "fin or rst"
    SILENT_PINGED = "silent, pinged"
    SILENT = "silent, not pinged"


class StallBounds(NamedTuple):
    """The shortest and the longest stall the timers allow; network and login time come on top."""

    least_ns: int
    most_ns: int


def stall_bounds(
    profile: Profile,
    cause: StallCause,
    *,
    reconnects: bool = False,
    time2wait_s: int = 0,
    tcp_give_up_ns: int | None = None,
) -> StallBounds:
    """Bounds of the stall.

    `reconnects`: the first attempt at a new session succeeds; it is made after `time2wait_s` (DefaultTime2Wait as
    negotiated) or the host's own delay, whichever is longer. `tcp_give_up_ns`: how long the host's TCP retransmits
    before it resets the connection, if it does so at all; matters to the silent causes.
    """
    timers = profile.timers
    hold_ns = timers.hold_ns(multipath=True)
    if reconnects:
        wait_ns = max(timers.first_reconnect_ns, time2wait_s * SECOND_NS)
        hold_ns = min(hold_ns, wait_ns + _after_reconnect_ns(profile))
    least_ns = most_ns = 0
    if cause is StallCause.SILENT_PINGED:
        if not timers.ping_interval_ns:
            raise ValueError(f"{profile.name} sends no pings with these timers")
        least_ns = timers.ping_timeout_ns
        most_ns = timers.ping_interval_ns + timers.ping_timeout_ns
    elif cause is StallCause.SILENT:
        least_ns = most_ns = timers.request_ns + (timers.abort_ns if timers.aborts_first else 0)
    if tcp_give_up_ns is not None:
        least_ns, most_ns = min(least_ns, tcp_give_up_ns), min(most_ns, tcp_give_up_ns)
    return StallBounds(least_ns + hold_ns, most_ns + hold_ns)


def expected_stall_ns(
    profile: Profile,
    cause: StallCause,
    *,
    reconnects: bool = False,
    time2wait_s: int = 0,
    tcp_give_up_ns: int | None = None,
) -> int:
    """The longest stall the timers allow; arguments as for `stall_bounds`."""
    bounds = stall_bounds(profile, cause, reconnects=reconnects, time2wait_s=time2wait_s, tcp_give_up_ns=tcp_give_up_ns)
    return bounds.most_ns


_NEW_NEXUS = Completion(
    CompletionKind.COMPLETED,
    ScsiStatus.CHECK_CONDITION,
    Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x00).encode(),
)


def _after_reconnect_ns(profile: Profile) -> int:
    """What the unit attention of a new nexus costs the first request that meets it."""
    return profile.timers.retry_ns if profile.errors.interpret(_NEW_NEXUS) is Action.RETRY else 0
