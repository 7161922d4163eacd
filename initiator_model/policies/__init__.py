"""Load-balance policies: which path carries the next request, and what happens when paths come and go.

A policy is pure. It reads paths and *says* which ones should change their state; the DSM changes them. So a policy can
be read aloud, tried on a list of paths in a test, and cannot break the rule that one place alone writes states.

`PathSelector` is the whole of what a policy is asked. `Selector` answers it the way most policies do (every path is
used, nothing is remembered), so that a policy of your own is a class with a `choose`. Each built-in policy has a file,
named after it, that states its rules and their source; `catalog` knows them all by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import ClassVar, NamedTuple, Protocol

from initiator_model.paths import Path, PathState
from initiator_model.requests import IoRequest

__all__ = [
    "FailBack",
    "LoadBalancePolicy",
    "Move",
    "PathSelector",
    "PathWish",
    "Promise",
    "Selector",
    "first_active",
    "first_usable",
    "why_not_all_active",
]


@dataclass(frozen=True, slots=True)
class LoadBalancePolicy:
    """What a policy is called. `number` is that of WMI, VDS and `mpclaim -l -d`; 7 is vendor specific."""

    option: str
    """The name in scenarios and on the command line; `module:Class` for one of your own."""
    display: str
    """The words a user sees: for the first four those of the 2.07 applet's drop-down list."""
    short: str
    """The abbreviation mpclaim prints."""
    number: int = 7

    FAIL_OVER_ONLY: ClassVar[LoadBalancePolicy]
    ROUND_ROBIN: ClassVar[LoadBalancePolicy]
    ROUND_ROBIN_SUBSET: ClassVar[LoadBalancePolicy]
    LEAST_QUEUE_DEPTH: ClassVar[LoadBalancePolicy]
    WEIGHTED_PATHS: ClassVar[LoadBalancePolicy]
    LEAST_BLOCKS: ClassVar[LoadBalancePolicy]


LoadBalancePolicy.FAIL_OVER_ONLY = LoadBalancePolicy("failover-only", "Fail Over Only", "FOO", 1)
LoadBalancePolicy.ROUND_ROBIN = LoadBalancePolicy("round-robin", "Round Robin", "RR", 2)
LoadBalancePolicy.ROUND_ROBIN_SUBSET = LoadBalancePolicy("round-robin-subset", "Round Robin With Subset", "RRWS", 3)
LoadBalancePolicy.LEAST_QUEUE_DEPTH = LoadBalancePolicy("least-queue-depth", "Least Queue Depth", "LQD", 4)
LoadBalancePolicy.WEIGHTED_PATHS = LoadBalancePolicy("weighted-paths", "Weighted Paths", "WP", 5)
LoadBalancePolicy.LEAST_BLOCKS = LoadBalancePolicy("least-blocks", "Least Blocks", "LB", 6)


class FailBack(IntEnum):
    """When Fail Over Only gives the work back to a path that has returned. No other Windows policy fails back."""

    NONE = 0  # never: the path that took over keeps the work
    PREFERRED = 1  # only to the path marked preferred
    DESIRED = 2  # also to the path the administrator last asked to be Active


class Promise(Enum):
    """What a policy says of itself beyond the rules for all; `mpiolab check` holds it to its word."""

    ONE_ACTIVE = "exactly one path is active while any is usable"
    EVERY_PATH_ACTIVE = "every usable path is active"
    TURNS = "while nothing changes, the counts of any two active paths differ by at most one"
    FEWEST_REQUESTS = "the path chosen has the fewest requests in flight of the active ones, over all LUNs"
    FEWEST_REQUESTS_HERE = "the path chosen has the fewest requests of this disk in flight of the active ones"
    LIGHTEST = "the path chosen has the lowest weight of the active ones"
    PREFERRED = "the path chosen is the preferred one whenever that is active"


class PathWish(NamedTuple):
    """What a policy request asks of one path."""

    path_id: int
    state: PathState
    preferred: bool = False
    weight: int = 0  # of weighted-paths
    throughput: int = 1  # of dm-service-time, relative, 0 to 100


class Move(NamedTuple):
    """A state change a policy wants, and why, in words for the log."""

    path: Path
    state: PathState
    why: str


class PathSelector(Protocol):
    """One load-balance policy at work on one disk. `paths` is always the disk's paths in the order they arrived.

    A path is *usable* in the states Active and Standby; only an Active one may be chosen. Between two calls the states
    of paths change only as `Move`s say, except that a path fails (then `after_loss` follows) or is removed (`forget`
    before, `after_loss` after it left the list).
    """

    policy: LoadBalancePolicy
    promises: frozenset[Promise]
    needs_every_path: bool
    """True for a policy that cannot leave a path standing by: a disk with a path that cannot be active refuses it."""
    measures: bool
    """True to be told of each request's start and end."""
    clock: Callable[[], int]
    """Nanoseconds; set by the DSM."""

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        """Why a request with these wishes is invalid under this policy, or None."""

    def installed(self, paths: Sequence[Path]) -> list[Move]:
        """The policy has been set on a disk that has paths, and their states are as wished: what must change now."""

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        """The path for this request; None when no path is active. Counts as a use: some policies rotate."""

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        """What must change now that some path has failed or gone."""

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        """What must change now that `arrived` (one of `paths`, not yet in a usable state) is there."""

    def forget(self, index: int) -> None:
        """The path at `index` is about to leave the list."""

    def started(self, path: Path, io: IoRequest) -> None:
        """The request went down the path; only with `measures`."""

    def ended(self, path: Path, io: IoRequest, began_ns: int) -> None:
        """It came back, well or not; `began_ns` is when it `started`."""


def _no_clock() -> int:
    return 0


class Selector:
    """A policy that keeps every path active and remembers nothing: the base of most policies, and of your own."""

    policy: LoadBalancePolicy
    promises: frozenset[Promise] = frozenset({Promise.EVERY_PATH_ACTIVE})
    needs_every_path = True
    measures = False
    clock: Callable[[], int] = staticmethod(_no_clock)

    def __init_subclass__(cls) -> None:
        """A class that does not say what it is called is called after itself."""
        if "policy" not in cls.__dict__ and not hasattr(cls, "policy"):
            cls.policy = LoadBalancePolicy(f"{cls.__module__}:{cls.__qualname__}", cls.__name__, "VS")

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        """Every path must be asked to be Active."""
        return why_not_all_active(wishes, self.policy) if self.needs_every_path else None

    def installed(self, paths: Sequence[Path]) -> list[Move]:
        """As when a path was lost."""
        return self.after_loss(paths)

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        """Every policy has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no choose")

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        """Nothing to activate: all the others are active already."""
        return []

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        """The newcomer becomes active."""
        return [Move(arrived, _ACTIVE, f"arrived: {self.policy.display} uses every path")]

    def forget(self, index: int) -> None:
        """Nothing is remembered between requests."""

    def started(self, path: Path, io: IoRequest) -> None:
        """Nothing is measured."""

    def ended(self, path: Path, io: IoRequest, began_ns: int) -> None:
        """Nothing is measured."""


_ACTIVE = PathState.ACTIVE_OPTIMIZED  # looked up once: this runs for every request


def first_active(paths: Sequence[Path], start: int = 0) -> int:
    """Index of the first active path at or after `start`, wrapping round once; -1 when there is none."""
    count = len(paths)
    for step in range(start, start + count):
        at = step % count
        if paths[at].state is _ACTIVE:
            return at
    return -1


def first_usable(paths: Sequence[Path]) -> Path | None:
    """The first path in list order that could carry I/O; one whose port group the array prefers wins."""
    usable = [path for path in paths if path.usable]
    return next((path for path in usable if path.group_preferred), usable[0] if usable else None)


def why_not_all_active(wishes: Sequence[tuple[Path, PathWish]], policy: LoadBalancePolicy) -> str | None:
    """Why a request cannot have every path active, as some policies need it; None when it can."""
    for path, wish in wishes:
        if not path.can_be_active:
            return (
                f"path {path.label} cannot be active beside another path (the array is active/passive), "
                f"and {policy.display} needs every path active"
            )
        if wish.state is not _ACTIVE:
            return (
                f"path {path.label} was asked to be {wish.state.display}, and {policy.display} needs every path Active"
            )
    return None
