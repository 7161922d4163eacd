"""NewReno's window: RFC 5681 for growth and halving, the recovery around it (RFC 6582, 6675) in `tcp_recovery`."""

from __future__ import annotations

from sim.net.congestion import CongestionControl


class NewReno(CongestionControl):
    """Additive increase by one segment per round trip, multiplicative decrease to one half.

    Growth counts the bytes acknowledged, as RFC 5681 3.1 recommends (and RFC 3465 describes), so that a receiver that
    delays its acknowledgements does not slow it down.
    """

    __slots__ = ("_progress",)

    def __init__(self, mss: int, initial_segments: int) -> None:
        super().__init__(mss, initial_segments)
        self._progress = 0

    def acknowledged(self, now_ns: int, acked_bytes: int, srtt_ns: int) -> int:
        """See `CongestionControl.acknowledged`."""
        self._progress += self._slow_start(self._credit(acked_bytes))
        if self._progress >= self.window:
            self._progress -= self.window
            self.window += self.mss
        return self.window

    def lost(self, now_ns: int, flight_bytes: int) -> int:
        """See `CongestionControl.lost`: half of what was under way (RFC 5681 equation 4)."""
        self._progress = 0
        self.window = self.ssthresh = max(flight_bytes // 2, 2 * self.mss)
        return self.window

    def _credit(self, acked_bytes: int) -> int:
        return acked_bytes


class NewRenoByAcks(NewReno):
    """NewReno that counts acknowledgements, as RFC 2581 3.1 had it: a segment's worth for each.

    Its receiver acknowledges every second segment, so the window opens by half in slow start, and afterwards by half a
    segment per round trip.
    """

    __slots__ = ()

    def _credit(self, acked_bytes: int) -> int:
        acks = -(-acked_bytes // (2 * self.mss))
        return min(acked_bytes, acks * self.mss)
