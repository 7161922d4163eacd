"""The array's decisions as lines of a run's story: who is asked to go where, and why.

A host's own lines already tell how its logins were answered. What they cannot tell is the array's side: a login is told
here only when it ends a move, or is refused.
"""

from __future__ import annotations

from harness.scenario import Scenario
from iscsi.constants import LoginStatus
from target.decisions import Decision, Kind

ANSWERED_WELL = ("admitted", LoginStatus.MOVED_TEMPORARILY.words)


class ArrayStory:
    """Turns decisions into lines. It remembers whom the array has asked to move."""

    def __init__(self, scenario: Scenario) -> None:
        self._array = scenario.array.name
        self._hosts = {host.iqn.lower(): host.name for host in scenario.hosts}
        self._movers: dict[tuple[str, str, str], None] = {}

    def line(self, decision: Decision) -> str | None:
        """The decision as a line, None when the host's own line says it all."""
        reason = f": {decision.reason}"
        host = self._hosts.get(decision.initiator, decision.initiator)
        mover = (decision.initiator, decision.target, decision.source)
        match decision.kind:
            case Kind.MOVE:
                self._movers[mover] = None
                path = f"{host} {decision.source} → {decision.arrived_at}"
                return f"{self._array}: {path} is {decision.answer}, to go {decision.destination}{reason}"
            case Kind.LOGIN if decision.answer not in ANSWERED_WELL:
                return f"{self._array}: {host} {decision.source} is refused at {decision.arrived_at}{reason}"
            case Kind.LOGIN:
                if mover not in self._movers or decision.portal == decision.arrived_at:
                    return None
                del self._movers[mover]
                return f"{self._array}: {host} {decision.source} is sent {decision.destination}{reason}"
            case _:
                return f"{self._array}: {decision.event}{reason}"
