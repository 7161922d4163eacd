"""The device-specific module: one disk's paths, their states, and the policy that chooses among them.

Everything that happens to a path comes through here, so the rules hold in one place:

* a path's state changes by `add_path`, `remove_path`, `path_failed`, `path_recovered`, `set_access` and `set_policy`,
  nothing else;
* failing a failed path does nothing, so two requests that die on one path cannot start two fail-overs;
* a policy request carries the wanted state of *every* path and is taken whole or not at all;
* each change is told to `on_change(path, old, new, why)`, in the order it was made.

Rules from the Microsoft DSM's published sample; the default policy of the 2.07 initiator's own DSM from its applet.
dm-multipath's map and ESXi's storage array plug-in keep the same book, by other names: their policies say what differs.
`meter` is the policy if it wants to hear of each request's start and end, else None. `on_misstep` is told of the wrong
answers of a policy that is not built in (see `policies.guard`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy, Move, PathSelector, PathWish, first_active
from initiator_model.policies.catalog import DEFAULT_OPTIONS, SelectorOptions, make_selector
from initiator_model.policies.guard import Guarded, Misstep, PolicyMisstep, behind
from initiator_model.policies.path_groups import PathGroups
from initiator_model.requests import IoRequest
from iscsi.port_groups import AccessState

__all__ = ["MAX_PATHS", "STATUS_INVALID_PARAMETER", "Dsm", "PolicyRefused", "PolicyRequest"]

MAX_PATHS: Final = 32
"""Paths one disk can have (DSM_MAX_PATHS)."""

STATUS_INVALID_PARAMETER: Final = 0xC000000D

OnChange = Callable[[Path, PathState, PathState, str], None]

ACTIVE = PathState.ACTIVE_OPTIMIZED
STANDBY = PathState.STANDBY


def access_priority(access: AccessState, preferred: bool) -> int:
    """The priority multipathd's `alua` prioritizer gives a path; 80 more for a preferred one that is not optimized."""
    return _PRIORITIES.get(access, 0) + (80 if preferred and access is not AccessState.ACTIVE_OPTIMIZED else 0)


_PRIORITIES: Final = MappingProxyType(
    {
        AccessState.ACTIVE_OPTIMIZED: 50,
        AccessState.ACTIVE_NON_OPTIMIZED: 10,
        AccessState.LBA_DEPENDENT: 5,
        AccessState.STANDBY: 1,
    }
)


class PolicyRefused(ValueError):
    """A policy request was invalid. Nothing has changed. `status` is the NTSTATUS, the message says which path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = STATUS_INVALID_PARAMETER


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What the applet sends when its OK button is pressed: the policy and the wanted state of every path."""

    policy: LoadBalancePolicy
    wishes: tuple[PathWish, ...]
    options: SelectorOptions | None = None
    """What is set beside the policy; None: what the disk has."""

    @classmethod
    def all_active(cls, policy: LoadBalancePolicy, paths: Iterable[Path]) -> PolicyRequest:
        """Every path Active, as the applet asks when Round Robin is chosen."""
        return cls(policy, tuple(PathWish(path.path_id, ACTIVE, weight=path.weight) for path in paths))

    @classmethod
    def one_active(cls, paths: Iterable[Path], active: Path, *, preferred: bool = False) -> PolicyRequest:
        """Fail Over Only with `active` working and the rest standing by; `preferred` marks it for fail-back."""
        wishes = tuple(
            PathWish(path.path_id, ACTIVE if path is active else STANDBY, preferred and path is active, path.weight)
            for path in paths
        )
        return cls(LoadBalancePolicy.FAIL_OVER_ONLY, wishes)


class Dsm:
    """The paths of one disk.

    `default_policy` is what the disk starts with (the profile's). Round Robin as a default holds only while the array
    is symmetric: once a path arrives that cannot be active beside the others, the disk drops to Fail Over Only, as a
    DSM must that cannot keep every path active.
    """

    def __init__(
        self,
        default_policy: LoadBalancePolicy = LoadBalancePolicy.FAIL_OVER_ONLY,
        *,
        options: SelectorOptions = DEFAULT_OPTIONS,
        on_change: OnChange | None = None,
        clock: Callable[[], int] | None = None,
        follows_access: bool = True,
    ) -> None:
        self.follows_access = follows_access
        self.options = options
        self.on_change = on_change
        self.on_policy: Callable[[PolicyRequest], None] | None = None
        self.on_misstep: Callable[[Misstep], None] | None = None
        self.meter: PathSelector | None = None
        self._clock = clock
        self._paths: list[Path] = []
        self._selector: PathSelector
        self.beginnings = 0
        """How often a policy has begun anew, its turns with it: when it was set, and when a map was loaded again."""
        self._install(make_selector(default_policy.option, options))

    @property
    def policy(self) -> LoadBalancePolicy:
        """The policy in force."""
        return self._selector.policy

    @property
    def selector(self) -> PathSelector:
        """The policy at work."""
        return self._selector

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths in the order they arrived, failed ones included."""
        return tuple(self._paths)

    @property
    def symmetric(self) -> bool:
        """True while every path may be active beside the others."""
        return all(path.can_be_active for path in self._paths) and not self.asymmetric

    @property
    def asymmetric(self) -> bool:
        """True when the array tells paths apart (ALUA)."""
        return any(path.access is not None for path in self._paths)

    @property
    def has_active(self) -> bool:
        """True while some path carries I/O."""
        return first_active(self._paths) >= 0

    def path(self, path_id: int) -> Path:
        """The path with that id; KeyError names the ids there are."""
        for path in self._paths:
            if path.path_id == path_id:
                return path
        known = ", ".join(path.label for path in self._paths) or "none"
        raise KeyError(f"no path {path_id:08x} here; there are: {known}")

    def choose(self, io: IoRequest) -> Path | None:
        """The path for this request, by the policy in force; None when no path is active."""
        return self._selector.choose(self._paths, io)

    def add_path(self, path: Path) -> None:
        """A new session's path joins, in the state the policy gives it."""
        if path.state is not PathState.UNDETERMINED:
            raise ValueError(f"path {path.label} is {path.state.display}; only a new path can be added")
        if any(other.path_id == path.path_id for other in self._paths):
            raise ValueError(f"there is a path {path.label} already")
        if len(self._paths) >= MAX_PATHS:
            raise ValueError(f"a disk has at most {MAX_PATHS} paths")
        self._paths.append(path)
        if self._selector.needs_every_path and not all(path.can_be_active for path in self._paths):
            self._drop_to_fail_over_only(path)
        self._arrives(path, "")

    def remove_path(self, path: Path, why: str) -> None:
        """The path's session is gone for good (logout). Its work goes to whom the policy says."""
        index = self._paths.index(path)
        self._selector.forget(index)
        del self._paths[index]
        self._move(path, PathState.REMOVED, why)
        self._lost()

    def path_failed(self, path: Path, why: str) -> bool:
        """The path is dead for now. False when it was failed or gone already: nothing happens twice."""
        if not path.works:
            return False
        self._move(path, PathState.FAILED, why)
        self._lost()
        return True

    def path_recovered(self, path: Path, why: str) -> bool:
        """The path works again; the policy decides what it does now. False when it was not failed."""
        if path.state is not PathState.FAILED:
            return False
        path.generation += 1
        self._arrives(path, f"{why}; ")
        return True

    def set_access(self, access: Mapping[int, tuple[AccessState, bool]]) -> None:
        """The array has said which state each path's port group is in, and whether it prefers it; by path id.

        A DSM that follows the array uses the optimized paths, or if there are none the non-optimized ones, and Round
        Robin becomes Round Robin with Subset, as the Microsoft DSM does it. dm-multipath makes priorities of it.
        """
        before = [path.priority for path in self._paths]
        news = any(path.access is None and path.path_id in access for path in self._paths)
        for path in self._paths:
            if path.path_id in access:
                path.access, path.group_preferred = access[path.path_id]
                path.priority = access_priority(path.access, path.group_preferred)
        if not self.follows_access:
            selector = behind(self._selector)
            if isinstance(selector, PathGroups) and news:
                self.beginnings += 1
                self._apply(selector.installed(self._paths))  # priorities are known before a path enters a map
            elif isinstance(selector, PathGroups) and [path.priority for path in self._paths] != before:
                self.beginnings += 1
                self._apply(selector.priorities_changed(self._paths))
            return
        self._leave_round_robin()
        self._lost()
        self._gained()

    def _leave_round_robin(self) -> None:
        if self.asymmetric and self.policy is LoadBalancePolicy.ROUND_ROBIN:
            self._install(make_selector(LoadBalancePolicy.ROUND_ROBIN_SUBSET.option, self.options))

    def _serves(self, path: Path) -> bool:
        """Whether the path is as good as any: what the array says, and what the other paths have to offer."""
        if path.access is None or not self.follows_access:
            return True
        if path.access is AccessState.ACTIVE_OPTIMIZED:
            return True
        best = any(other.access is AccessState.ACTIVE_OPTIMIZED and not other.state.is_failed for other in self._paths)
        return path.access.active and not best

    def _lost(self) -> None:
        """Some path is worse than before, or gone: whoever must not work any more stops, and heirs are looked for."""
        for path in self._paths:
            path.serves = path.serves and self._serves(path)
            if not path.serves and path.state is ACTIVE:
                self._move(path, STANDBY, f"the array says {path.shown.display}")
        self._apply(self._selector.after_loss(self._paths))
        self._gained()

    def _gained(self) -> None:
        """Some path is better than before, or was left alone because of one that is gone: it is as if it arrived."""
        for path in self._paths:
            if not path.serves and self._serves(path):
                path.serves = True
                if path.state is STANDBY:
                    self._apply(self._selector.after_arrival(self._paths, path))

    def _arrives(self, path: Path, why: str) -> None:
        path.serves = self._serves(path)
        if not path.serves:
            self._move(path, STANDBY, f"{why}the array says {path.shown.display}")
            return
        moves = self._selector.after_arrival(self._paths, path)
        self._apply([Move(*move[:2], f"{why}{move.why}") if move.path is path else move for move in moves])
        if path.access is not None and self.follows_access:
            self._lost()  # those that only stood in for a better one

    @property
    def fail_back_s(self) -> int | None:
        """After how many seconds from the return of a path `fail_back` is due; None where nothing waits for it."""
        return self._selector.fail_back_s if isinstance(self._selector, PathGroups | Guarded) else None

    def fail_back(self) -> None:
        """The time of a deferred failback has come."""
        if isinstance(self._selector, PathGroups | Guarded):
            self._apply(self._selector.fail_back(self._paths))

    def set_policy(self, request: PolicyRequest) -> None:
        """Take a policy request whole.

        Failed paths keep their state and remember what was asked of them.

        Raises:
            PolicyRefused: some path's wish is missing or not possible; nothing has changed.
        """
        wishes = self._match(request.wishes)
        policy = request.policy
        if policy is LoadBalancePolicy.ROUND_ROBIN and self.asymmetric and self.follows_access:
            policy = LoadBalancePolicy.ROUND_ROBIN_SUBSET
        selector = make_selector(policy.option, request.options or self.options)
        reason = selector.refuses(wishes)
        if reason is not None:
            raise PolicyRefused(reason)
        self.options = request.options or self.options
        self._install(selector)
        why = f"policy set to {policy.display}"
        # Standby first: two paths must never be active at once under Fail Over Only, not even between two moves.
        for path, wish in sorted(wishes, key=lambda pair: pair[1].state is ACTIVE):
            path.weight = wish.weight
            path.throughput = wish.throughput
            path.preferred = wish.preferred
            path.desired_state = wish.state
            if path.usable and path.state is not wish.state:
                self._move(path, wish.state, why)
        self._apply(selector.installed(self._paths))
        if self.on_policy is not None:
            self.on_policy(request)

    def _match(self, wishes: tuple[PathWish, ...]) -> list[tuple[Path, PathWish]]:
        """Each path with its wish, in list order; refused unless there is exactly one for every path."""
        by_id: dict[int, PathWish] = {}
        for wish in wishes:
            if wish.path_id in by_id:
                raise PolicyRefused(f"path {wish.path_id:08x} is named twice")
            if wish.state not in (ACTIVE, STANDBY):
                raise PolicyRefused(f"path {wish.path_id:08x}: a path can be asked to be Active or Standby only")
            by_id[wish.path_id] = wish
        matched = []
        for path in self._paths:
            found = by_id.pop(path.path_id, None)
            if found is None:
                raise PolicyRefused(f"path {path.label} has no wanted state; a request names every path")
            matched.append((path, found))
        for path_id in by_id:
            raise PolicyRefused(f"this disk has no path {path_id:08x}")
        return matched

    def _drop_to_fail_over_only(self, newcomer: Path) -> None:
        self._install(make_selector(LoadBalancePolicy.FAIL_OVER_ONLY.option, self.options))
        why = f"the array cannot serve {newcomer.label} beside another path: Fail Over Only"
        at = first_active(self._paths)
        for index, path in enumerate(self._paths):
            if path.state is ACTIVE and index != at:
                self._move(path, STANDBY, why)

    def _install(self, selector: PathSelector) -> None:
        if self._clock is not None:
            selector.clock = self._clock
        if isinstance(selector, Guarded):
            selector.on_misstep = self._misstep
        self._selector = selector
        self.beginnings += 1
        self.meter = selector if selector.measures else None

    def _misstep(self, misstep: Misstep) -> None:
        if self.on_misstep is None:
            raise PolicyMisstep(misstep)
        self.on_misstep(misstep)

    def _apply(self, moves: Iterable[Move]) -> None:
        for path, state, why in moves:
            if path.state is not state or path.access is None:
                self._move(path, state, why)

    def _move(self, path: Path, state: PathState, why: str) -> None:
        old = path.state
        path.enter(state)
        if self.on_change is not None:
            self.on_change(path, old, state, why)
