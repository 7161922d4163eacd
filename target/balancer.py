"""When connections move to another portal after login, and which: the policy behind the array's logout requests.

EqualLogic re-distributes connections as the load changes (TR1070 section 5); its rule is not published. This one keeps
two promises, in this order, and moves nothing unless a promise gains by it:

1. *Paths apart.* Two paths of one host to one volume do not share a portal while another one has none: what the host
   pays multipath for would be lost with that portal.
2. *Weight even.* A portal weighs what its connections weigh: their bytes per second, something for each I/O, and
   something for being there at all, so that idle connections spread by their number. A move must take at least
   ``threshold`` of the mean portal's weight off the heavier of the two portals, as they stand after it, and it never
   puts a path where the first promise would suffer.

With weights that stay as they are, every move lowers (sum over hosts and volumes of paths-on-one-portal squared, sum of
portal weights squared) in that order, so the moves come to an end and no connection goes round in circles. What
keeps changing weights from making it flap is the threshold, and that a connection which has just come stays a while.

A host's volume of which another path is away (asked to move, on its way, lost and not back) is not touched: the path
that is left may be the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

CONNECTION_BYTES_PER_S: Final = 1_000_000
"""What a connection weighs for being there (unverified: nobody published a figure)."""

IO_BYTES: Final = 4096
"""What an I/O weighs beside its bytes (unverified)."""

Pair = tuple[str, str]
"""Initiator name and target name: one host and one volume."""


@dataclass(frozen=True, slots=True)
class ConnectionLoad:
    """One connection as the balancer sees it. ``weight`` in bytes per second, of `weight`; ``portal`` is where it is,
    or where it is going. One that ``stays`` has come too lately to be moved, or shares its session with others."""

    number: int
    pair: Pair
    portal: str
    weight: int
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """A connection that should leave ``origin`` for ``destination``."""

    number: int
    origin: str
    destination: str
    reason: str


class Settled(Enum):
    """Why no further connection moves."""

    NOT_WORTH_IT = "no move is worth it"
    NO_SECOND_PORTAL = "there is no second portal that takes logins"
    NOBODY = "there are no connections"
    ALL_WAIT = "nobody can be moved now"
    ENOUGH = "that many moves at once are enough"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one evaluation comes to. ``figures`` are what ``settled`` is grounded on."""

    moves: tuple[Move, ...]
    settled: Settled
    figures: str = ""

    @property
    def why(self) -> str:
        """Why no further connection moves, with the figures."""
        return f"{self.settled.value}: {self.figures}" if self.figures else self.settled.value


def weight(ios_per_s: float, bytes_per_s: float) -> int:
    """What a connection with this load weighs, in bytes per second."""
    return CONNECTION_BYTES_PER_S + round(ios_per_s * IO_BYTES + bytes_per_s)


def evaluate(
    connections: Sequence[ConnectionLoad],
    portals: Sequence[str],
    *,
    away: Sequence[Pair] = (),
    threshold: float,
    max_moves: int,
) -> Plan:
    """At most ``max_moves`` moves that keep the promises of the module's text better than now.

    ``portals`` are the addresses that take logins, in the array's order. Connections elsewhere (on a portal that is
    down or drained) are somebody else's matter. ``away`` names the pairs that miss a path.
    """
    state = _State(list(portals), [one for one in connections if one.portal in portals], away, threshold)
    moves: list[Move] = []
    while len(moves) < max_moves:
        move = state.part_paths() or state.even_weight()
        if move is None:
            return Plan(tuple(moves), *state.settled())
        moves.append(move)
        state.apply(move)
    return Plan(tuple(moves), Settled.ENOUGH, str(max_moves))


class _State:
    """The array as it would be after the moves so far."""

    def __init__(
        self, portals: list[str], connections: list[ConnectionLoad], away: Sequence[Pair], threshold: float
    ) -> None:
        self.portals = portals
        self.connections = {one.number: one for one in connections}
        self.threshold = threshold
        self.touched = dict.fromkeys(away)
        """Pairs of which a path is away, or about to be."""
        self.weights = dict.fromkeys(portals, 0)
        self.paths: dict[Pair, dict[str, int]] = {}
        """How many paths of a host and volume each portal has."""
        for one in connections:
            self._count(one, 1)

    def _count(self, one: ConnectionLoad, by: int) -> None:
        self.weights[one.portal] += by * one.weight
        self.paths.setdefault(one.pair, dict.fromkeys(self.portals, 0))[one.portal] += by

    def movable(self, portal: str) -> list[ConnectionLoad]:
        """The connections of a portal that may be asked to leave it."""
        return [
            one
            for one in self.connections.values()
            if one.portal == portal and not one.stays and one.pair not in self.touched
        ]

    def part_paths(self) -> Move | None:
        """The first promise: the lightest of the paths that share a portal goes to one that has none of them."""
        for pair, paths in self.paths.items():
            origin = max(self.portals, key=lambda portal: paths[portal])
            destination = min(self.portals, key=lambda portal: (paths[portal], self.weights[portal]))
            if paths[origin] - paths[destination] < 2:
                continue
            candidates = [one for one in self.movable(origin) if one.pair == pair]
            if candidates:
                chosen = min(candidates, key=lambda one: (one.weight, one.number))
                has = paths[destination] or "none"
                reason = f"{paths[origin]} paths of this host to this volume share {origin}, {destination} has {has}"
                return Move(chosen.number, origin, destination, reason)
        return None

    def even_weight(self) -> Move | None:
        """The second promise: the best single move off the heaviest portal that has one worth its while.

        Best is what leaves the two portals most alike; then what moves the least.
        """
        weights = self.weights
        worth = self.threshold * sum(weights.values()) / max(len(self.portals), 1)
        for origin in sorted(self.portals, key=lambda portal: -weights[portal]):
            options: list[tuple[int, int, int, int, str]] = []
            for one in self.movable(origin):
                paths = self.paths[one.pair]
                for destination in self.portals:
                    gain = weights[origin] - weights[destination] - one.weight
                    if gain > 0 and gain >= worth and paths[destination] < paths[origin]:
                        heavier = max(weights[origin] - one.weight, weights[destination] + one.weight)
                        options.append((heavier, one.weight, weights[destination], one.number, destination))
            if options:
                *_, number, destination = min(options)
                reason = f"{origin} weighs {_mb(weights[origin])}, {destination} {_mb(weights[destination])}"
                return Move(number, origin, destination, reason)
        return None

    def apply(self, move: Move) -> None:
        """The connection is as good as there; its host's other paths to the volume wait for it."""
        moved = self.connections[move.number]
        self.touched[moved.pair] = None
        self._count(moved, -1)
        self.connections[move.number] = moved = replace(moved, portal=move.destination)
        self._count(moved, 1)

    def settled(self) -> tuple[Settled, str]:
        """Why nothing (more) moves, and the figures."""
        if len(self.portals) < 2:
            return Settled.NO_SECOND_PORTAL, ""
        if not self.connections:
            return Settled.NOBODY, ""
        waits = sum(one.pair in self.touched for one in self.connections.values())
        rests = sum(one.stays for one in self.connections.values() if one.pair not in self.touched)
        reasons = [f"{waits} wait for a path of theirs that is away"] if waits else []
        reasons += [f"{rests} came too lately"] if rests else []
        if waits + rests == len(self.connections):
            return Settled.ALL_WAIT, ", ".join(reasons)
        weights = ", ".join(f"{portal} weighs {_mb(weight)}" for portal, weight in self.weights.items())
        return Settled.NOT_WORTH_IT, "; ".join([weights, *reasons])


def _mb(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e6:.1f} MB/s"
