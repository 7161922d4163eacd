"""The balancer at work on a live array: measures, has `target.balancer` decide, asks connections to log out.

The load of a connection is what it did since the last look: answers by its StatSN, bytes by what its TCP connection
took and gave. Nothing is counted per command. Every `Balancing.interval_s` there is a look; an
operator may ask for one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from target import balancer
from target.absences import Absences, PathName, Presence
from target.balancer import ConnectionLoad, Pair, Settled
from target.config import ArrayKind
from target.decisions import BY_OPERATOR, Decision, Kind, about_array
from target.logout import LOGOUT
from target.moves import Note
from target.placement import STICKY
from target.server import ArrayProtocol, ArrayServer
from target.session import Session


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a connection's counters stood at the last look."""

    at_ns: int
    answered: int
    bytes: int


class Rebalancing:
    """Looks at one server. `start` begins the regular looks, if the configuration wants any."""

    def __init__(self, server: ArrayServer) -> None:
        self._server = server
        self._group = server.group
        self._settings = server.group.config.balancing
        self._marks: dict[int, _Mark] = {}
        self._absences = Absences()
        self._timer: asyncio.TimerHandle | None = None
        self._told: Settled | None = None
        server.on_leave = self._left

    def start(self) -> None:
        """Look every `Balancing.interval_s` from now on."""
        if self._settings.interval_s and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._settings.interval_s, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def start_over(self) -> None:
        """Forget what was measured and who is away: the connections are not the same any more."""
        self._marks.clear()
        self._absences.clear()

    def rebalance(self, within_s: int) -> list[Decision]:
        """Look now, by order of the operator: the moves, and one decision when nothing or nothing more is moved."""
        return self._balance(within_s, 0, BY_OPERATOR, None)[0]

    def _balance(
        self, within_s: int, rest_ns: int, by: str, told_before: Settled | None
    ) -> tuple[list[Decision], Settled]:
        """As `rebalance`. A connection younger than ``rest_ns`` stays; what was told before is not told again."""
        group, config = self._group, self._group.config
        if config.kind is not ArrayKind.REDIRECTING or config.placement in STICKY:
            rule = config.kind.value if config.kind is not ArrayKind.REDIRECTING else f"placement {config.placement}"
            decision = about_array(Kind.KEEP, "", "nothing to rebalance", f"{rule} decides where logins go")
            group.decide(decision)
            return [decision], Settled.NOT_WORTH_IT
        now_ns = self._now()
        portals = [portal.address for portal in config.portals if group.takes_logins(portal.address)]
        loads, away, protocols = self._measure(now_ns, rest_ns)
        plan = balancer.evaluate(
            loads, portals, away=away, threshold=self._settings.threshold, max_moves=self._settings.max_moves
        )
        decisions = []
        for move in plan.moves:
            decisions += self.ask(protocols[move.number], within_s, move.destination, f"{by}, {move.reason}")
        if not plan.moves or plan.settled is Settled.ENOUGH:
            kept = "the rest stays" if plan.moves else "all connections stay"
            decisions.append(about_array(Kind.KEEP, "", kept, f"{by}, {plan.why}"))
            if told_before is not plan.settled:
                self._group.decide(decisions[-1])
        return decisions, plan.settled

    def ask(self, protocol: ArrayProtocol, within_s: int, destination: str | None, reason: str) -> list[Decision]:
        """Ask one connection to log out and, when it has a session to a volume, to come back elsewhere."""
        session = protocol.session
        if session is None or session.discovery:
            protocol.request_logout(within_s)
            return []
        until_ns = self._now() + round((within_s + self._group.config.limits.ticket_lifetime_s) * 1e9)
        self._group.moves.write(session.identity, Note(protocol.source, protocol.local, destination, reason, until_ns))
        decision = Decision(
            session.identity.initiator_name,
            session.identity.target_name or "",
            protocol.source,
            protocol.local,
            f"asked to log out within {within_s} s",
            destination,
            reason,
            Kind.MOVE,
            protocol.number,
        )
        self._group.decide(decision)
        protocol.request_logout(within_s)
        return [decision]

    def _look(self) -> None:
        """A regular look: what does not move is told once, not every time."""
        settings = self._settings
        self._timer = asyncio.get_running_loop().call_later(settings.interval_s, self._look)
        rest_ns = round(settings.rest_intervals * settings.interval_s * 1e9)
        _, self._told = self._balance(settings.logout_request_s, rest_ns, "by the balancer", self._told)

    # -- measuring -------------------------------------------------------------------------------------------------

    def _measure(self, now_ns: int, rest_ns: int) -> tuple[list[ConnectionLoad], list[Pair], dict[int, ArrayProtocol]]:
        """The connections with their load since the last look, the pairs that miss a path, and who is who."""
        marks: dict[int, _Mark] = {}
        loads: list[ConnectionLoad] = []
        protocols: dict[int, ArrayProtocol] = {}
        present: list[Presence] = []
        moving: dict[Pair, None] = {}
        for protocol in self._server.connections():
            session = protocol.session
            if session is None or session.discovery:
                continue
            name = _name(session)
            fresh = protocol.number not in self._marks
            present.append(Presence(name, protocol.source, protocol.since_ns, fresh))
            protocols[protocol.number] = protocol
            mark = _Mark(now_ns, protocol.answered, protocol.received_bytes + protocol.sent_bytes)
            marks[protocol.number] = mark
            note = self._group.moves.of(session.identity, now_ns)
            if note is not None:
                moving[name[:2]] = None
            loads.append(
                ConnectionLoad(
                    protocol.number,
                    name[:2],
                    protocol.local if note is None or note.destination is None else note.destination,
                    self._weight(protocol, mark),
                    session.shared or now_ns - protocol.since_ns < rest_ns,
                )
            )
        self._marks = marks
        away = [*moving, *self._absences.missing(present, now_ns)]
        return loads, away, protocols

    def _weight(self, protocol: ArrayProtocol, mark: _Mark) -> int:
        before = self._marks.get(protocol.number)
        if before is None:
            before = _Mark(protocol.since_ns, mark.answered, 0)  # its login's StatSN is not known: bytes alone
        seconds = (mark.at_ns - before.at_ns) / 1e9
        if seconds <= 0:
            return balancer.weight(0, 0)
        answered = (mark.answered - before.answered) & 0xFFFFFFFF
        return balancer.weight(answered / seconds, (mark.bytes - before.bytes) / seconds)

    def _left(self, protocol: ArrayProtocol) -> None:
        """A connection has ended: until its path is back, the host's others to that volume are left alone.

        Whoever logs out unasked has given the path up.
        """
        session, connection = protocol.session, protocol.connection
        if session is None or session.discovery:
            return
        asked = self._group.moves.of(session.identity, self._now()) is not None
        if not asked and connection is not None and connection.why_closed == LOGOUT:
            return
        self._absences.left(_name(session), protocol.source, self._now())

    def _now(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e9)


def _name(session: Session) -> PathName:
    return (session.identity.initiator_name, session.identity.target_name or "", session.identity.isid)
