"""Machines: an array with its portals and volumes, hosts with their NICs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.mistakes import did_you_mean
from harness.strategies.drawn import Drawn, Told, expect_within
from harness.swarm.hosts import BY_PROFILE
from harness.swarm.switches import PLAIN
from harness.swarm.topology import ANY, Shape, Topology, topology_drawn

__all__ = ["topologies"]

MOST: Final = 8
"""Hosts, paths of a host, and portals: more show nothing that fewer do not."""
SWEPT_HOSTS: Final = 2
"""As many as a sweep draws at most."""
MANAGED_PATHS: Final = 2
"""What the session manager of a host opens, where it has one."""


def topologies(
    *,
    hosts: int | None = None,
    paths: int | None = None,
    portals: int | None = None,
    profiles: Sequence[str] | None = None,
) -> SearchStrategy[Topology]:
    """Machines as a sweep draws them: profiles and their timers, placement, CHAP, asymmetric access, volumes.

    ``hosts`` (1 to 8), ``paths`` of each host and ``portals`` of the array fix how many there are, ``profiles`` which
    kinds of hosts (docs/profiles.md). Hosts have short timers, and the patience to wait while anything is broken. The
    plainest is one host with one NIC, and one portal behind a group address. Raises ValueError for what cannot be.
    """
    for what, value in (("hosts", hosts), ("paths", paths), ("portals", portals)):
        expect_within(what, value, 1, MOST)
    return _topologies(hosts, _shape(paths, portals, profiles))


def _shape(paths: int | None, portals: int | None, profiles: Sequence[str] | None) -> Shape:
    kinds = ANY.kinds
    if profiles is not None:
        for name in profiles:
            if name not in BY_PROFILE:
                raise ValueError(f"no profile {name!r}{did_you_mean(name, BY_PROFILE)}")
        kinds = tuple(BY_PROFILE[name] for name in profiles)
    if paths is not None and paths != MANAGED_PATHS:
        kinds = tuple(kind for kind in kinds if not kind.opens_sessions)
    if not kinds:
        raise ValueError(f"profiles={profiles}, paths={paths}: no kind of host is left (eql-hit opens 2 paths)")
    return replace(
        ANY,
        portals=ANY.portals if portals is None else (portals,),
        nics=ANY.nics if paths is None else (paths,),
        kinds=kinds,
    )


@st.composite
def _topologies(draw: DrawFn, hosts: int | None, shape: Shape) -> Topology:
    two = hosts is None and draw(st.booleans())
    listed, alua, chap, digests, shared = (draw(st.booleans()) for _ in range(5))
    number = hosts or SWEPT_HOSTS
    on = replace(
        PLAIN,
        hosts=number,
        redirecting=not listed,
        alua=alua,
        chap=chap,
        digests=digests,
        # The swarm has a volume for each of two hosts.
        shared_volume=number > SWEPT_HOSTS or (number == SWEPT_HOSTS and shared),
    )
    chances: dict[str, Drawn] = {}
    drawn = topology_drawn(lambda name: chances.setdefault(name, Drawn(draw)), on, shape)
    if two or hosts is not None:
        return drawn
    # The second host was drawn in vain, so that leaving it out, as Hypothesis tries to, moves no draw of what follows.
    alone = replace(on, hosts=1, shared_volume=False)
    return topology_drawn(lambda name: Told(chances[name].noted), alone, shape)
