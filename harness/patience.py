"""How long a run waits before it says that nothing will come any more: bounds worked out from the hosts' own timers.

A run must not give up on what the modeled host has not given up, and it must not wait for ever for something that a
mistake in the model has lost.
"""

from __future__ import annotations

from initiator_model.profiles import Profile
from initiator_model.timers import SECOND_NS, Timers
from sim.net.tcp_profiles import profile as tcp_profile

FOR_EVER_NS = 24 * 3600 * SECOND_NS
"""What stands for "for ever" where a host would wait so long for a path: a run is over before."""

LOGIN_HOPS = 2
"""Logins that coming back takes: one at the group address, one where that redirects to."""


def longest_io_ns(timers: Timers, fence_ns: int = 0) -> int:
    """The longest a logical I/O can take: every retry used, each attempt timed out, held, and aborted in vain.

    ``fence_ns`` is the longest wait for a fence, which comes before each attempt on another path.
    """
    between_ns = timers.retries * timers.retry_ns + timers.class_retry_ns + timers.requeue_patience_ns
    no_path_ns = FOR_EVER_NS if timers.no_path_ns is None else timers.no_path_ns
    return (timers.class_retries + 1) * (_attempt_ns(timers) + fence_ns + between_ns) + no_path_ns


def longest_log_off_ns(timers: Timers, sessions: int) -> int:
    """The longest a log-off of so many sessions can take, and a second: a target that is silent answers no logout."""
    return sessions * timers.logout_ns + SECOND_NS


def longest_return_ns(profile: Profile) -> int:
    """The longest it can take until a path works again, from the moment from which nothing is broken any more.

    A request runs into its time-out over a connection that is dead and whose end nobody has heard of; TCP waits for its
    longest back-off; then the reconnects: one that had begun while all was broken runs into its own time-outs, the next
    one leads through the group address to a portal; and the path is looked at.
    """
    timers = profile.timers
    wait_ns = max(timers.first_reconnect_ns, timers.reconnect_after_refusal_ns, timers.reconnect_after_silence_ns)
    hop_ns = timers.connect_ns + timers.login_ns(timers.connect_ns)
    reconnects_ns = 2 * (wait_ns + LOGIN_HOPS * hop_ns)
    look_ns = max(timers.check_ns, timers.recovery_ns) + timers.request_ns
    back_off_ns = tcp_profile(profile.tcp_profile).max_rto_ns
    return _attempt_ns(timers) + back_off_ns + reconnects_ns + look_ns


def _attempt_ns(timers: Timers) -> int:
    hold_ns = max(timers.hold_ns(multipath=True), timers.hold_ns(multipath=False))
    return timers.request_ns + timers.abort_ns + hold_ns
