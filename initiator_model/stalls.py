"""How long I/O must stall when a path is lost, worked out from the host's timers.

The measured stall of a run is compared with these numbers, so they are derived apart from the code that produces it.
The chain is always the same: something *notices* the loss, then the initiator *holds* the requests for LinkDownTime in
the hope of a new session, then MPIO sends them down another path. Sources of the chain: Microsoft's descriptions of
LinkDownTime and SrbTimeoutDelta; that LinkDownTime starts when the loss is noticed is inferred.

    cause                 noticed after
    carrier lost          nothing: the stack reports the disconnect
    fin or rst            nothing
    silent, NOP-Out on    up to an idle interval, then the ping's timeout
    silent, NOP-Out off   the request's timeout (disk timeout + SrbTimeoutDelta), or TCP giving up if that is sooner

A new session ends the hold early, which is what happens when a redirecting array has another portal to send the
reconnecting host to; then the stall is the wait before the reconnect.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from initiator_model.profiles import Profile

__all__ = ["StallBounds", "StallCause", "expected_stall_ns", "stall_bounds"]


class StallCause(Enum):
    """How a path is lost."""

    CARRIER_LOST = "carrier lost"
    FIN_OR_RST = "fin or rst"
    SILENT_NOP_ON = "silent, NOP-Out on"
    SILENT_NOP_OFF = "silent, NOP-Out off"


class StallBounds(NamedTuple):
    """The shortest and the longest stall the timers allow; network and login time come on top."""

    least_ns: int
    most_ns: int


def stall_bounds(
    profile: Profile, cause: StallCause, *, reconnects: bool = False, tcp_give_up_ns: int | None = None
) -> StallBounds:
    """Bounds of the stall.

    `reconnects`: the first attempt at a new session succeeds. `tcp_give_up_ns`: how long the host's TCP retransmits
    before it resets the connection, if it does so at all; matters to the silent causes.
    """
    timers = profile.timers
    hold_ns = timers.link_down_time_ns
    if reconnects:
        # The first request on the new nexus meets its unit attention and is sent again after RetryInterval.
        hold_ns = min(hold_ns, timers.delay_between_reconnect_ns + timers.retry_interval_ns)
    least_ns = most_ns = 0
    if cause is StallCause.SILENT_NOP_ON:
        least_ns = timers.nop_out_timeout_ns
        most_ns = timers.nop_out_interval_ns + timers.nop_out_timeout_ns
    elif cause is StallCause.SILENT_NOP_OFF:
        least_ns = most_ns = timers.srb_timeout_ns
    if tcp_give_up_ns is not None:
        least_ns, most_ns = min(least_ns, tcp_give_up_ns), min(most_ns, tcp_give_up_ns)
    return StallBounds(least_ns + hold_ns, most_ns + hold_ns)


def expected_stall_ns(
    profile: Profile, cause: StallCause, *, reconnects: bool = False, tcp_give_up_ns: int | None = None
) -> int:
    """The longest stall the timers allow; arguments as for `stall_bounds`."""
    return stall_bounds(profile, cause, reconnects=reconnects, tcp_give_up_ns=tcp_give_up_ns).most_ns
