"""How long the array waits for the other end of a connection: for its login, for a sign of life, for its logout.

Pure: times come in, one deadline goes out. `tick` says what is due when the deadline has passed. Pings follow RFC 7143
11.19 (a NOP-In with a target transfer tag); what is answered with anything at all counts as alive.
"""

from __future__ import annotations

from enum import Enum, auto

from target.config import Limits


class Due(Enum):
    """What a passed deadline asks for."""

    NOTHING = auto()
    PING = auto()
    DATA = auto()
    """Data of writes that was waited for has had its time."""
    CLOSE = auto()
    """End the connection in order; `Liveness.why` says for what."""
    DISMISS = auto()
    """The same, of an initiator that was asked to log out and did not: it is told that it is dropped."""
    ABANDON = auto()
    """Drop it without a word: nobody is listening."""


class Liveness:
    """The waits of one connection. All times in nanoseconds on the driver's clock."""

    __slots__ = (
        "_data_by_ns",
        "_leave_by_ns",
        "_limits",
        "_login",
        "_now_ns",
        "deadline_ns",
        "last_heard_ns",
        "pinged_ns",
        "why",
    )

    def __init__(self, limits: Limits, now_ns: int) -> None:
        self._limits = limits
        self._login = True
        self._leave_by_ns: int | None = None
        self._data_by_ns: int | None = None
        self._now_ns = now_ns
        self.deadline_ns: int | None = now_ns + round(limits.login_timeout_s * 1e9)
        self.last_heard_ns = now_ns
        self.pinged_ns: int | None = None
        self.why = ""

    def logged_in(self) -> None:
        """The login has ended well: from now on silence counts."""
        self._login = False
        self._arm(self.last_heard_ns)

    def logout_requested(self, within_s: int, now_ns: int) -> None:
        """The initiator was asked to log out (async event 1): it has so many seconds from now."""
        self._leave_by_ns = now_ns + round(within_s * 1e9)
        self._arm(self.last_heard_ns)

    def data_deadline(self) -> int:
        """When data that ought to come now is given up; `tick` then says DATA."""
        now_ns = max(self.last_heard_ns, self._now_ns)
        deadline_ns = now_ns + round(self._limits.data_timeout_s * 1e9)
        if self._data_by_ns is None:
            self.wait_for_data(deadline_ns)
        return deadline_ns

    def wait_for_data(self, until_ns: int | None) -> None:
        """Look at what data is overdue at that time; None for never."""
        self._data_by_ns = until_ns
        self._arm(max(self.last_heard_ns, self._now_ns))

    def tick(self, now_ns: int) -> Due:
        """The deadline may have passed: what is due. Sets the next one."""
        self._now_ns = now_ns
        if self.deadline_ns is None or now_ns < self.deadline_ns:
            return Due.NOTHING
        limits = self._limits
        if self._login:
            return self._end(Due.CLOSE, f"no login within {limits.login_timeout_s:g} s")
        if self._leave_by_ns is not None and now_ns >= self._leave_by_ns:
            return self._end(Due.DISMISS, "no logout within the time it was asked for")
        if self.pinged_ns is not None and now_ns - self.pinged_ns >= round(limits.nop_timeout_s * 1e9):
            return self._end(Due.ABANDON, f"silent for {(now_ns - self.last_heard_ns) / 1e9:g} s")
        if self._data_by_ns is not None and now_ns >= self._data_by_ns:
            self._data_by_ns = None
            self._arm(now_ns)
            return Due.DATA
        ping = self.pinged_ns is None and self._pings and now_ns - self.last_heard_ns >= self._interval_ns
        if ping:
            self.pinged_ns = now_ns
        self._arm(now_ns)
        return Due.PING if ping else Due.NOTHING

    @property
    def _pings(self) -> bool:
        return self._limits.nop_interval_s > 0

    @property
    def _interval_ns(self) -> int:
        return round(self._limits.nop_interval_s * 1e9)

    def _end(self, due: Due, why: str) -> Due:
        self.why = why
        self.deadline_ns = None
        return due

    def _arm(self, now_ns: int) -> None:
        deadlines = []
        if self.pinged_ns is not None:
            deadlines.append(self.pinged_ns + round(self._limits.nop_timeout_s * 1e9))
        elif self._pings:
            deadlines.append(max(now_ns + 1, self.last_heard_ns + self._interval_ns))
        if self._leave_by_ns is not None:
            deadlines.append(self._leave_by_ns)
        if self._data_by_ns is not None:
            deadlines.append(self._data_by_ns)
        self.deadline_ns = min(deadlines, default=None)
