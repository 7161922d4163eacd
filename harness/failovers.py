"""How long I/O stood still when a path was lost: the recorder behind the result's ``failovers``.

The stall of a loss is the longest time in which I/O was under way at that host and none came back well, between the
fault and the first completion after the path was given up. It is measured at the logical I/O, where the application
feels it; what the other path still completed in the first moments therefore does not hide it, and a host that asked
for nothing did not stall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.result import Failover

NO_FAULT = "no fault of the scenario"
"""The cause of a loss before anything was broken."""


@dataclass(slots=True)
class _Loss:
    host: str
    path: str
    cause: str
    fault_at_ns: int
    detected_at_ns: int
    held: bool = True  # the initiator still hopes; afterwards the next completion ends the stall
    resumed_at_ns: int | None = None
    longest_gap_ns: int = 0


@dataclass(slots=True)
class FailoverRecorder:
    """Hears of faults, session losses, path states and completions; knows the failovers at the end."""

    now_ns: Callable[[], int]
    _faults: list[tuple[int, str, tuple[str, ...] | None]] = field(default_factory=list)
    _busy: dict[str, int] = field(default_factory=dict)
    _waiting_since_ns: dict[str, int] = field(default_factory=dict)
    _open: list[_Loss] = field(default_factory=list)
    _losses: list[_Loss] = field(default_factory=list)

    def fault(self, cause: str, addresses: tuple[str, ...] | None = None) -> None:
        """Something was broken that the paths with one of these ends feel; None: every path."""
        self._faults.append((self.now_ns(), cause, addresses))

    def busy(self, host: str) -> None:
        """Somebody at this host who had no I/O under way has some now."""
        if not self._busy.get(host):
            self._waiting_since_ns[host] = self.now_ns()
        self._busy[host] = self._busy.get(host, 0) + 1

    def idle(self, host: str) -> None:
        """The last I/O of somebody who was busy has come back, well or not."""
        self._measure(host)
        self._busy[host] -= 1

    def session_lost(self, host: str, path: str, portal: str = "") -> None:
        """The initiator has noticed: from now on it holds the requests of the path between these two addresses."""
        if self._unresumed(host, path, held=True) is None:
            now_ns = self.now_ns()
            fault_at_ns, cause = self._blame(path, portal) or (now_ns, NO_FAULT)
            self._open.append(_Loss(host, path, cause, fault_at_ns, now_ns))

    def _blame(self, path: str, portal: str) -> tuple[int, str] | None:
        """The last fault that a path with these ends feels. A healed one counts: its effects may show later."""
        for at_ns, cause, addresses in reversed(self._faults):
            if addresses is None or path in addresses or portal in addresses:
                return at_ns, cause
        return None

    def session_back(self, host: str, path: str) -> None:
        """It logged in again before the path was given up: requests go on without a failover."""
        loss = self._unresumed(host, path, held=True)
        if loss is not None:
            self._hold_ends(loss)

    def path_failed(self, host: str, path: str) -> None:
        """The path was given up; its requests go elsewhere."""
        loss = self._unresumed(host, path, held=True) or self._unresumed(host, path, held=False)
        if loss is None:
            self.session_lost(host, path)
            loss = self._open[-1]
        if loss.held:
            self._hold_ends(loss)

    def completed(self, host: str) -> None:
        """A logical I/O of this host came back well."""
        now_ns = self.now_ns()
        if self._open:
            self._measure(host)
            for loss in self._open:
                if loss.host == host and not loss.held:
                    loss.resumed_at_ns = now_ns
            self._open = [loss for loss in self._open if loss.resumed_at_ns is None]
        self._waiting_since_ns[host] = now_ns

    def _unresumed(self, host: str, path: str, held: bool) -> _Loss | None:
        """The loss of this path that I/O has not resumed after. Several sessions from one address count as one path."""
        for loss in self._open:
            if (loss.host, loss.path, loss.held) == (host, path, held):
                return loss
        return None

    def _hold_ends(self, loss: _Loss) -> None:
        loss.held = False
        self._losses.append(loss)

    def _measure(self, host: str) -> None:
        """I/O has been under way since the last completion: that is a stall, unless the fault came later."""
        if not self._busy.get(host):
            return
        now_ns, since_ns = self.now_ns(), self._waiting_since_ns[host]
        for loss in self._open:
            if loss.host == host:
                loss.longest_gap_ns = max(loss.longest_gap_ns, now_ns - max(since_ns, loss.fault_at_ns))

    def failovers(self) -> tuple[Failover, ...]:
        """All losses so far, in the order in which their holds ended."""
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
