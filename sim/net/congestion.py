"""How much may be under way: the congestion window of RFC 5681, for the algorithms that differ in its growth.

TCP asks at four moments: an acknowledgement came while the window was in use, the first loss of a window was seen, the
retransmission timer ran out, and data is sent again after a pause. The answer is the window, in bytes. Everything is
whole numbers: the window decides when segments leave, and what reaches an event's time must not depend on rounding.

A receiver here answers a burst with one acknowledgement (`sim.net.segment`), where a real one sends one for every
second frame. So growth is counted in bytes, or in the acknowledgements those bytes would have brought.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

# RFC 5681 3.1: the slow start threshold begins "arbitrarily high".
UNKNOWN_BYTES = 1 << 62


class CongestionControl(ABC):
    """One connection's window. `window` and `ssthresh` are bytes and never below one and two segments.

    `mss` is the payload of a full segment, `initial_segments` how many the connection begins with.
    """

    __slots__ = ("initial_bytes", "mss", "ssthresh", "window")

    def __init__(self, mss: int, initial_segments: int) -> None:
        self.mss = mss
        self.initial_bytes = self.window = initial_segments * mss
        self.ssthresh = UNKNOWN_BYTES

    @abstractmethod
    def acknowledged(self, now_ns: int, acked_bytes: int, srtt_ns: int) -> int:
        """`acked_bytes` more have arrived while the window was in use; returns the window."""

    @abstractmethod
    def lost(self, now_ns: int, flight_bytes: int) -> int:
        """A loss was seen with `flight_bytes` under way, the first of its window; returns the window to go on with."""

    def _slow_start(self, credit_bytes: int) -> int:
        """Open the window by `credit_bytes` up to the threshold; returns what is left of them."""
        used_bytes = min(credit_bytes, max(self.ssthresh - self.window, 0))
        self.window += used_bytes
        return credit_bytes - used_bytes

    def timed_out(self, now_ns: int, flight_bytes: int) -> int:
        """The retransmission timer ran out for the first time: one segment, then slow start (RFC 5681 3.1)."""
        self.lost(now_ns, flight_bytes)
        self.window = self.mss
        return self.window

    def rested(self, idle_ns: int, rto_ns: int) -> int:
        """Nothing was sent for `idle_ns`: half the window goes for each time-out in it (RFC 2861).

        Not below the initial window, and the threshold remembers three quarters of what there was.
        """
        floor = min(self.initial_bytes, self.window)
        self.ssthresh = max(self.ssthresh, self.window * 3 // 4)
        self.window = max(self.window >> min(idle_ns // rto_ns, 60), floor)
        return self.window
