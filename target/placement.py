"""Which portal a login is sent to: the policies behind the redirect.

EqualLogic's own choice is not published (FACTS C.2). ``least-connections`` is the model this project takes for it:
the portal with the fewest connections of this host to this volume, then the fewest in all, then the lowest in the
list. Every policy is a pure function of what the array knows, so a tie always falls the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PortalLoad:
    """One usable portal as a policy sees it. ``index`` is its place in the array's list."""

    address: str
    index: int
    connections: int
    connections_of_pair: int
    """Of these, the ones between this initiator and this volume."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The question: who asks, from where, and how many redirects the array has issued before."""

    initiator: str
    target: str
    source: str
    sequence: int
    fixed_portal: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer, with the reason in words for the log."""

    address: str
    reason: str


Policy = Callable[[Placement, Sequence[PortalLoad]], Choice]
"""The portals handed in are never empty; the answer is one of their addresses."""


def least_connections(asked: Placement, portals: Sequence[PortalLoad]) -> Choice:
    """Fewest connections of this initiator to this volume, then fewest in all, then the first in the list."""
    best = min(portals, key=lambda p: (p.connections_of_pair, p.connections, p.index))
    return Choice(
        best.address,
        f"least connections: {best.connections_of_pair} of this host and volume, {best.connections} in all",
    )


def round_robin(asked: Placement, portals: Sequence[PortalLoad]) -> Choice:
    """One after the other, by the number of redirects issued before."""
    turn = asked.sequence % len(portals)
    return Choice(portals[turn].address, f"round robin: redirect number {asked.sequence + 1}")


def hash_source(asked: Placement, portals: Sequence[PortalLoad]) -> Choice:
    """The same source address always reaches the same portal while the set of usable portals stays the same."""
    digest = hashlib.sha256(asked.source.encode()).digest()
    turn = int.from_bytes(digest[:4], "big") % len(portals)
    return Choice(portals[turn].address, f"hash of source {asked.source}")


def fixed(asked: Placement, portals: Sequence[PortalLoad]) -> Choice:
    """Always the named portal while it is usable, else the first that is."""
    for portal in portals:
        if portal.address == asked.fixed_portal:
            return Choice(portal.address, "fixed")
    return Choice(portals[0].address, f"fixed portal {asked.fixed_portal} is down: the first usable one")


POLICIES: Final[dict[str, Policy]] = {
    "least-connections": least_connections,
    "round-robin": round_robin,
    "hash-source": hash_source,
    "fixed": fixed,
}
"""The policies by the names that files and the command line use."""

STICKY: Final = ("hash-source", "fixed")
"""They say where a login belongs whatever the load: a connection that was asked to log out comes back there."""
