"""How long a run waits for I/O before it says that nothing will come any more.

Worked out from the host's own timers: a run must not give up on an I/O that the modeled host has not given up, and it
must not wait for ever for one that a mistake in the model has lost.
"""

from __future__ import annotations

from initiator_model.timers import Timers

FOR_EVER_NS = 24 * 3600 * 10**9
"""What stands for "for ever" where a host would wait so long for a path: a run is over before."""


def longest_io_ns(timers: Timers, fence_ns: int = 0) -> int:
    """The longest a logical I/O can take: every retry used, each attempt timed out, held, and aborted in vain.

    ``fence_ns`` is the longest wait for a fence, which comes before each attempt on another path.
    """
    hold_ns = max(timers.hold_ns(multipath=True), timers.hold_ns(multipath=False))
    attempt_ns = timers.request_ns + timers.abort_ns + hold_ns + fence_ns
    between_ns = timers.retries * timers.retry_ns + timers.class_retry_ns + timers.requeue_patience_ns
    no_path_ns = FOR_EVER_NS if timers.no_path_ns is None else timers.no_path_ns
    return (timers.class_retries + 1) * (attempt_ns + between_ns) + no_path_ns
