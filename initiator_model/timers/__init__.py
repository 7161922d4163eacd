"""A host's timers as data: each stack's own, by its own names, and what they come to for the code that acts on them.

`Timers` is what the model reads: how long requests are held, when a reconnect is tried. No administrator sets these.
What is set are the timers of a stack, `microsoft.MicrosoftTimers`, `linux.LinuxTimers` and `esxi.EsxiTimers`, each of
which works out what its own names come to. A scenario may override any of them, by the stack's name for it.

Everything is in integer nanoseconds; names of durations end in ``_ns``; flags are 0 or 1; the rest are counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Final, Self

__all__ = ["SECOND_NS", "Timers"]

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timers(ABC):
    """What every stack's timers come to. A subclass has a field for each timer, and these as properties."""

    flags: ClassVar[tuple[str, ...]] = ()
    """Fields that are switches, 0 or 1."""
    periods: ClassVar[tuple[str, ...]] = ()
    """Fields of what is done again and again at such a distance, or given up after so long: at least 1 ms."""
    counts: ClassVar[tuple[str, ...]] = ()
    """Fields of counts that are at least 1."""

    # -- the session -----------------------------------------------------------------------------------------------

    @abstractmethod
    def hold_ns(self, *, multipath: bool) -> int:
        """How long requests are held after a session is lost."""

    @property
    def waits_after_logout(self) -> bool:
        """Whether Time2Wait of a Logout Response is waited for when the target had asked for the logout."""
        return False

    @property
    @abstractmethod
    def first_reconnect_ns(self) -> int:
        """From the loss to the first attempt at a new connection; the target's Time2Wait is waited for anyway."""

    @property
    @abstractmethod
    def reconnect_after_refusal_ns(self) -> int:
        """From an attempt that was turned down to the next."""

    @property
    @abstractmethod
    def reconnect_after_silence_ns(self) -> int:
        """From an attempt that nobody answered to the next."""

    @property
    @abstractmethod
    def reconnects_max(self) -> int:
        """Attempts in all."""

    @property
    @abstractmethod
    def connect_ns(self) -> int:
        """How long a TCP connection may take to come up."""

    @abstractmethod
    def login_ns(self, connected_in_ns: int) -> int:
        """How long the login may then take, the connection having taken so long."""

    @property
    @abstractmethod
    def logout_ns(self) -> int:
        """How long the answer to a Logout may take."""

    @property
    @abstractmethod
    def first_login_tries(self) -> int:
        """How often a login that is made by itself, as after a boot, is tried."""

    @property
    @abstractmethod
    def ping_interval_ns(self) -> int:
        """Silence before a NOP-Out; 0: none is sent."""

    @property
    @abstractmethod
    def ping_timeout_ns(self) -> int:
        """Silence after it that ends the connection."""

    @property
    @abstractmethod
    def request_ns(self) -> int:
        """How long one request may take before it is aborted."""

    @property
    def aborts_first(self) -> bool:
        """Whether a request that ran out of time is aborted even if nothing at all has come meanwhile."""
        return False

    @property
    @abstractmethod
    def abort_ns(self) -> int:
        """How long the answer to an ABORT TASK may take."""

    @property
    @abstractmethod
    def requests_max(self) -> int:
        """Outstanding requests of one session."""

    # -- the multipath layer and what stands above it --------------------------------------------------------------

    @property
    @abstractmethod
    def retries(self) -> int:
        """Counted retries of a request."""

    @property
    @abstractmethod
    def retry_ns(self) -> int:
        """Before each of them, and before each that is not counted."""

    @property
    @abstractmethod
    def requeue_ns(self) -> int:
        """Before a request that the device was too busy for is sent again down its path."""

    @property
    @abstractmethod
    def requeue_patience_ns(self) -> int:
        """How long that goes on."""

    @property
    @abstractmethod
    def class_retries(self) -> int:
        """Retries of the layer above, once the multipath layer has handed an error up."""

    @property
    @abstractmethod
    def class_retry_ns(self) -> int:
        """Before each of them."""

    @property
    @abstractmethod
    def no_path_ns(self) -> int | None:
        """How long requests wait when no path is left; None: for ever."""

    @property
    @abstractmethod
    def no_path_name(self) -> str:
        """The timer that says so, as its stack calls it."""

    @property
    @abstractmethod
    def disk_outlives_paths(self) -> bool:
        """False: the disk is removed then. True: it stays, and requests fail at once until a path is back."""

    # -- looking after paths ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def check_ns(self) -> int:
        """How often working paths are checked; 0: never."""

    @property
    def check_max_ns(self) -> int:
        """As long as a path works, the interval doubles up to this."""
        return self.check_ns

    @property
    @abstractmethod
    def recovery_ns(self) -> int:
        """How often a failed path is checked while its session works."""

    @property
    def session_restores_path(self) -> bool:
        """True: a session that is back brings its path back. False: the next check of the path does."""
        return True

    # -- as data ---------------------------------------------------------------------------------------------------

    @classmethod
    def least_value(cls, name: str) -> int:
        """The smallest value a field may be given: 1 ms for a period, 1 for some counts, else 0."""
        return SECOND_NS // 1000 if name in cls.periods else 1 if name in cls.counts else 0

    @classmethod
    def names(cls) -> dict[str, str]:
        """What each field is called in scenarios (durations without their ``_ns``) -> the field."""
        return {item.name.removesuffix("_ns"): item.name for item in fields(cls)}

    def overridden(self, overrides: Mapping[str, int]) -> Self:
        """A copy with some values replaced. Names are field names, durations with or without their `_ns`.

        Raises:
            ValueError: an unknown name (the message lists the known ones), a flag not 0 or 1, or less than
                `least_value` allows.
        """
        names = self.names()
        known = names | {field: field for field in names.values()}
        unknown = [name for name in overrides if name not in known]
        if unknown:
            raise ValueError(f"no timer named {', '.join(map(repr, unknown))}; there are: {', '.join(names)}")
        values: dict[str, int] = {}
        for name, value in overrides.items():
            field = known[name]
            if field in self.flags and value not in (0, 1):
                raise ValueError(f"timer {name} is a switch, 0 or 1, and was given {value}")
            least = self.least_value(field)
            if value < least:
                raise ValueError(f"timer {name} is at least {least}{' ns' if field.endswith('_ns') else ''}: {value}")
            values[field] = int(value)
        return replace(self, **values)
