"""When to give up waiting for an acknowledgement: RFC 6298, in whole nanoseconds."""

from __future__ import annotations

from sim.net.tcp_profiles import TcpProfile


class RtoEstimator:
    """Smoothed round-trip time and the retransmission time-out that follows from it.

    `rto_ns` includes the back-off: it doubles with every `back_off()` up to the profile's maximum and falls back with
    the next measurement or `progress()`.
    """

    __slots__ = ("_base_ns", "_max_ns", "_min_ns", "rto_ns", "srtt_ns", "variation_ns")

    def __init__(self, profile: TcpProfile) -> None:
        self._min_ns = profile.min_rto_ns
        self._max_ns = profile.max_rto_ns
        self._base_ns = profile.initial_rto_ns
        self.rto_ns = profile.initial_rto_ns
        self.srtt_ns = 0
        self.variation_ns = 0

    def measured(self, round_trip_ns: int) -> None:
        """Take a measurement of a segment that was sent once only (Karn's rule is the caller's)."""
        smoothed, variation = self.srtt_ns, self.variation_ns
        if smoothed:
            error = round_trip_ns - smoothed
            variation += (abs(error) - variation) // 4
            smoothed += error // 8
        else:
            smoothed, variation = round_trip_ns, round_trip_ns // 2
        self.srtt_ns, self.variation_ns = smoothed, variation
        base = smoothed + 4 * variation
        if base < self._min_ns:
            base = self._min_ns
        elif base > self._max_ns:
            base = self._max_ns
        self._base_ns = self.rto_ns = base

    def back_off(self) -> None:
        """Double the time-out (RFC 6298 5.5)."""
        self.rto_ns = min(self.rto_ns * 2, self._max_ns)

    def progress(self) -> None:
        """The peer acknowledged something new: the back-off ends."""
        self.rto_ns = self._base_ns
