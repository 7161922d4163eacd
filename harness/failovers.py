"""How long I/O stood still when a path was lost: the recorder behind the result's ``failovers``.

The stall of a loss is the longest time without a good completion at that host between the fault and the first
completion after the path was given up. It is measured at the logical I/O, where the application feels it; what the
other path still completed in the first moments therefore does not hide it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.result import Failover


@dataclass(slots=True)
class _Loss:
    host: str
    path: str
    cause: str
    fault_at_ns: int
    detected_at_ns: int
    given_up: bool = False
    resumed_at_ns: int | None = None
    longest_gap_ns: int = 0


@dataclass(slots=True)
class FailoverRecorder:
    """Hears of faults, session losses, path states and completions; knows the failovers at the end."""

    now_ns: Callable[[], int]
    _fault: tuple[int, str] | None = None
    _last_completion_ns: dict[str, int] = field(default_factory=dict)
    _open: dict[tuple[str, str], _Loss] = field(default_factory=dict)
    _losses: list[_Loss] = field(default_factory=list)

    def fault(self, cause: str) -> None:
        """Something was broken."""
        self._fault = (self.now_ns(), cause)

    def session_lost(self, host: str, path: str) -> None:
        """The initiator has noticed: from now on it holds the path's requests."""
        now_ns = self.now_ns()
        fault_at_ns, cause = self._fault or (now_ns, "no fault of the scenario")
        loss = _Loss(host, path, cause, fault_at_ns, now_ns)
        last_ns = self._last_completion_ns.get(host)
        loss.longest_gap_ns = now_ns - max(last_ns, fault_at_ns) if last_ns is not None else 0
        self._open[host, path] = loss

    def session_back(self, host: str, path: str) -> None:
        """It logged in again before the path was given up: requests go on without a failover."""
        loss = self._open.get((host, path))
        if loss is not None and not loss.given_up:
            loss.given_up = True
            self._losses.append(loss)

    def path_failed(self, host: str, path: str) -> None:
        """The path was given up; its requests go elsewhere."""
        loss = self._open.get((host, path))
        if loss is None:
            self.session_lost(host, path)
            loss = self._open[host, path]
        if not loss.given_up:
            loss.given_up = True
            self._losses.append(loss)

    def completed(self, host: str) -> None:
        """A logical I/O of this host came back well."""
        now_ns = self.now_ns()
        last_ns = self._last_completion_ns.get(host, now_ns)
        self._last_completion_ns[host] = now_ns
        if not self._open:
            return
        ended = []
        for key, loss in self._open.items():
            if loss.host != host:
                continue
            loss.longest_gap_ns = max(loss.longest_gap_ns, now_ns - max(last_ns, loss.fault_at_ns))
            if loss.given_up:
                loss.resumed_at_ns = now_ns
                ended.append(key)
        for key in ended:
            del self._open[key]

    def failovers(self) -> tuple[Failover, ...]:
        """All losses so far, in the order in which they were given up."""
        return tuple(
            Failover(
                host=loss.host,
                path=loss.path,
                cause=loss.cause,
                fault_at_s=loss.fault_at_ns / 1e9,
                detected_at_s=loss.detected_at_ns / 1e9,
                resumed_at_s=None if loss.resumed_at_ns is None else loss.resumed_at_ns / 1e9,
                stall_s=None if loss.resumed_at_ns is None else loss.longest_gap_ns / 1e9,
            )
            for loss in self._losses
        )
