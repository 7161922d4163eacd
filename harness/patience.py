"""How long a run waits for I/O before it says that nothing will come any more.

Worked out from the host's own timers: a run must not give up on an I/O that the modeled host has not given up, and it
must not wait for ever for one that a mistake in the model has lost.
"""

from __future__ import annotations

from initiator_model.profiles import Timers


def longest_io_ns(timers: Timers) -> int:
    """The longest a logical I/O can take: every retry used, each attempt timed out, held, and aborted in vain."""
    hold_ns = max(timers.link_down_time_ns, timers.max_request_hold_time_ns)
    attempt_ns = timers.srb_timeout_ns + timers.srb_timeout_delta_ns + hold_ns
    between_ns = timers.retry_count * timers.retry_interval_ns + timers.class_retry_interval_ns
    return (timers.class_retry_count + 1) * (attempt_ns + between_ns) + timers.pdo_remove_period_ns
