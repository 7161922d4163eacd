"""CUBIC's window: RFC 9438, in integers.

Between losses the window follows W(t) = C (t - K)^3 + W_max, with C = 0.4 segments per second cubed, so that its size
depends on the time since the last loss and not on the round trip; where NewReno would be faster, as on every short
network, it does what NewReno would (4.3). Times are nanoseconds and windows bytes, so the constants carry powers of
ten.

Left out: HyStart++ (RFC 9406, 4.10), which ends slow start before the queue overflows, and the undoing of reductions
that turn out to be spurious (4.9).
"""

from __future__ import annotations

from sim.net.congestion import CongestionControl

# RFC 9438 4.1 and 4.6: C = 4/10 segments per s^3, beta = 7/10; with time in ns, C = 4/10**28 segments per ns^3.
C_NUMERATOR, C_DENOMINATOR = 4, 10**28
# 4.3: alpha = 3 (1 - beta) / (1 + beta), which gives NewReno's average with CUBIC's beta.
ALPHA_NUMERATOR, ALPHA_DENOMINATOR = 9, 17


class Cubic(CongestionControl):
    """The window of RFC 9438. Growth counts bytes; slow start is unlimited by acknowledgements, as Linux has it."""

    __slots__ = ("_credit", "_epoch_ns", "_estimate", "_estimate_credit", "_k_ns", "_origin", "_prior", "_w_max")

    def __init__(self, mss: int, initial_segments: int) -> None:
        super().__init__(mss, initial_segments)
        self._w_max = 0
        self._prior = 0
        self._epoch_ns = -1  # when this stage of congestion avoidance began; below 0: it has not
        self._k_ns = 0
        self._origin = 0
        self._credit = 0
        self._estimate = 0
        self._estimate_credit = 0

    def acknowledged(self, now_ns: int, acked_bytes: int, srtt_ns: int) -> int:
        """See `CongestionControl.acknowledged`."""
        acked_bytes = self._slow_start(acked_bytes)
        if not acked_bytes:
            return self.window
        if self._epoch_ns < 0:
            self._begin(now_ns)
        window = self.window
        self._grow_estimate(acked_bytes)
        elapsed_ns = now_ns - self._epoch_ns
        if self._curve(elapsed_ns) < self._estimate:  # 4.3: the Reno-friendly region
            self._credit = 0
            self.window = max(window, self._estimate)
            return self.window
        target = min(max(self._curve(elapsed_ns + srtt_ns), window), window * 3 // 2)  # 4.4 and 4.5
        self._credit += (target - window) * acked_bytes
        grown, self._credit = divmod(self._credit, window)
        self.window = window + grown
        return self.window

    def lost(self, now_ns: int, flight_bytes: int) -> int:
        """See `CongestionControl.lost`: seven tenths of what was under way (4.6), with fast convergence (4.7)."""
        window = self.window
        self._w_max = window * 17 // 20 if window < self._w_max else window
        self._prior = window
        self._epoch_ns = -1
        self.window = self.ssthresh = max(flight_bytes * 7 // 10, 2 * self.mss)
        return self.window

    def timed_out(self, now_ns: int, flight_bytes: int) -> int:
        """See `CongestionControl.timed_out`; the stage after it begins on the curve's plateau (4.8: K = 0)."""
        window = super().timed_out(now_ns, flight_bytes)
        self._w_max = 0
        return window

    def rested(self, idle_ns: int, rto_ns: int) -> int:
        """See `CongestionControl.rested`; the pause does not count as time on the curve (RFC 9438 5.8)."""
        if self._epoch_ns >= 0:
            self._epoch_ns += idle_ns
        return super().rested(idle_ns, rto_ns)

    def _begin(self, now_ns: int) -> None:
        window = self.window
        self._epoch_ns = now_ns
        self._origin = max(self._w_max, window)
        self._k_ns = cube_root((self._origin - window) * C_DENOMINATOR // (C_NUMERATOR * self.mss))
        self._credit = self._estimate_credit = 0
        self._estimate = window

    def _curve(self, elapsed_ns: int) -> int:
        """W_cubic of 4.2, in bytes."""
        from_plateau_ns = elapsed_ns - self._k_ns
        return self._origin + self.mss * C_NUMERATOR * from_plateau_ns**3 // C_DENOMINATOR

    def _grow_estimate(self, acked_bytes: int) -> None:
        """What NewReno's window would be (4.3): by alpha segments per window, by one once it is past the last loss."""
        if self._estimate >= self._prior:
            self._estimate_credit += acked_bytes * ALPHA_DENOMINATOR
        else:
            self._estimate_credit += acked_bytes * ALPHA_NUMERATOR
        segments, self._estimate_credit = divmod(self._estimate_credit, self.window * ALPHA_DENOMINATOR)
        self._estimate += segments * self.mss


def cube_root(number: int) -> int:
    """The largest integer whose cube is not above `number`, which must not be negative (Newton's method)."""
    if not number:
        return 0
    guess = 1 << -(-number.bit_length() // 3)
    while True:
        better = (2 * guess + number // (guess * guess)) // 3
        if better >= guess:
            return guess
        guess = better
