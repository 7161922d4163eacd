"""VMware's VMW_PSP_RR: one path at a time, and after so much work the next one.

    choose    the path in use, until it has carried `iops` requests (type iops, 1000 unless set) or `size_bytes` (type
              bytes, 10 MiB unless set); then the next active path in list order, wrapping round. With type latency
              every `evaluation` (180 s) each path is sampled with 16 requests, and the one with the lowest mean
              latency carries everything until the next
    loss      nothing to activate; was it the path in use, the next one is
    arrival   the newcomer becomes active, and gets its turn

A thousand requests in a row down one path: so a burst shorter than that uses one path alone, and a queue moves as a
whole from path to path. It is why arrays' vendors ask for iops=1 (or 3).

Source: Broadcom's vSphere documentation of the Round Robin options, `esxcli storage nmp psp roundrobin deviceconfig`
(FACTS E.4). Evaluation time and sampling are those of the API reference; that the best path then takes everything is
inferred (unverified).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy, Move, first_active
from initiator_model.policies.vmw_base import VmwSelector
from initiator_model.requests import IoRequest

__all__ = ["RoundRobinType", "VmwRoundRobin"]

RoundRobinType = Literal["iops", "bytes", "latency"]

DEFAULT_IOPS: Final = 1_000
DEFAULT_BYTES: Final = 10_485_760
EVALUATION_NS: Final = 180_000_000_000
SAMPLES: Final = 16


class VmwRoundRobin(VmwSelector):
    """See the module."""

    policy = LoadBalancePolicy("vmw-rr", "VMW_PSP_RR", "RR")

    def __init__(
        self, kind: RoundRobinType = "iops", iops: int = DEFAULT_IOPS, size_bytes: int = DEFAULT_BYTES
    ) -> None:
        self.kind = kind
        self.iops = iops
        self.size_bytes = size_bytes
        self.measures = kind == "latency"
        self._current: Path | None = None
        self._done = 0  # requests or bytes of the current turn
        self._trial = _Trial()

    @property
    def working(self) -> Path | None:
        """The path in use; with type latency while samples are taken, the one before."""
        return self._current

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        if self.kind == "latency":
            return self._by_latency(paths)
        limit = self.iops if self.kind == "iops" else self.size_bytes
        current = self._current
        if current is None or not _is_active(current) or self._done >= limit:
            current = self._next(paths)
        self._done += 1 if self.kind == "iops" else io.size_bytes
        return current

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        if self._current is not None and self._current not in paths:
            self._current = None
        self._trial.forget_all_but(paths)
        return super().after_loss(paths)

    def ended(self, path: Path, io: IoRequest, began_ns: int) -> None:
        self._trial.ended(path, self.clock() - began_ns)

    def _next(self, paths: Sequence[Path]) -> Path | None:
        """The active path after the current one in list order."""
        at = next((index for index, path in enumerate(paths) if path is self._current), -1)
        found = first_active(paths, at + 1)
        self._current = paths[found] if found >= 0 else None
        self._done = 0
        return self._current

    def _by_latency(self, paths: Sequence[Path]) -> Path | None:
        active = [path for path in paths if _is_active(path)]
        if not active:
            self._current = None
            return None
        now_ns = self.clock()
        if self._trial.until_ns <= now_ns or self._trial.misses(active):
            self._trial = _Trial(now_ns + EVALUATION_NS, active)
        sampled = self._trial.next_sample()
        if sampled is not None:
            return sampled
        winner = self._trial.winner
        if winner is None or not _is_active(winner):
            winner = self._trial.winner = self._trial.best(active)
        self._current = winner
        return winner


class _Trial:
    """One evaluation of the latency type: who was sampled, and how they did."""

    __slots__ = ("_left", "_totals", "until_ns", "winner")

    def __init__(self, until_ns: int = 0, paths: Sequence[Path] = ()) -> None:
        self.until_ns = until_ns
        self.winner: Path | None = None
        self._left = {path.path_id: (path, SAMPLES) for path in paths}
        self._totals: dict[int, tuple[int, int]] = {path.path_id: (0, 0) for path in paths}

    def forget_all_but(self, paths: Sequence[Path]) -> None:
        """Some path may have left the disk."""
        there = [path.path_id for path in paths]
        if self.winner is not None and self.winner not in paths:
            self.winner = None
        self._left = {key: left for key, left in self._left.items() if key in there}
        self._totals = {key: total for key, total in self._totals.items() if key in there}

    def misses(self, active: Sequence[Path]) -> bool:
        """Whether a path is active that was not there when the trial began."""
        return any(path.path_id not in self._totals for path in active)

    def next_sample(self) -> Path | None:
        """A path that has samples left, in turn; None when all are out."""
        for key, (path, left) in self._left.items():
            if left and _is_active(path):
                del self._left[key]
                self._left[key] = (path, left - 1)
                return path
        return None

    def ended(self, path: Path, latency_ns: int) -> None:
        if path.path_id in self._totals:
            total, count = self._totals[path.path_id]
            self._totals[path.path_id] = (total + latency_ns, count + 1)

    def best(self, active: Sequence[Path]) -> Path:
        """The lowest mean; a path without an answer yet counts as the slowest."""

        def mean(path: Path) -> float:
            total, count = self._totals[path.path_id]
            return total / count if count else float("inf")

        return min(active, key=mean)


def _is_active(path: Path) -> bool:
    return path.state is PathState.ACTIVE_OPTIMIZED
