"""Placement policies: the same knowledge always gives the same portal."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from target.placement import POLICIES, Placement, PortalLoad, fixed, hash_source, least_connections, round_robin


def asked(source: str = "192.168.50.105", sequence: int = 0, fixed_portal: str | None = None) -> Placement:
    return Placement("iqn.host", "iqn.volume", source, sequence, fixed_portal)


def loads(*connections: tuple[int, int]) -> list[PortalLoad]:
    """Portals .2, .3, ... with (connections of this host and volume, connections in all)."""
    return [
        PortalLoad(f"192.168.51.{index + 2}", index, connections=total, connections_of_pair=pair)
        for index, (pair, total) in enumerate(connections)
    ]


@pytest.mark.parametrize(
    ("portals", "chosen"),
    [
        (loads((0, 0), (0, 0), (0, 0)), "192.168.51.2"),  # a tie falls to the first
        (loads((1, 1), (0, 9), (1, 1)), "192.168.51.3"),  # the pair's own connections weigh first
        (loads((1, 5), (1, 3), (1, 4)), "192.168.51.3"),  # then all of them
        (loads((2, 2), (1, 2), (1, 2)), "192.168.51.3"),
    ],
)
def test_least_connections(portals: Sequence[PortalLoad], chosen: str) -> None:
    assert least_connections(asked(), portals).address == chosen


def test_least_connections_says_why() -> None:
    assert least_connections(asked(), loads((1, 7))).reason == "least connections: 1 of this host and volume, 7 in all"


def test_round_robin_takes_turns_over_the_usable_portals() -> None:
    portals = loads((0, 0), (0, 0), (0, 0))
    turns = [round_robin(asked(sequence=number), portals).address for number in range(4)]
    assert turns == ["192.168.51.2", "192.168.51.3", "192.168.51.4", "192.168.51.2"]
    assert round_robin(asked(sequence=2), portals[1:]).address == "192.168.51.3"


def test_hash_source_is_sticky_whatever_the_load() -> None:
    calm, busy = loads((0, 0), (0, 0), (0, 0)), loads((9, 9), (3, 4), (0, 0))
    for last in range(1, 50):
        source = f"192.168.50.{last}"
        assert hash_source(asked(source), calm).address == hash_source(asked(source), busy).address


def test_hash_source_reaches_every_portal() -> None:
    portals = loads((0, 0), (0, 0), (0, 0))
    reached = {hash_source(asked(f"192.168.50.{last}"), portals).address for last in range(1, 50)}
    assert reached == {"192.168.51.2", "192.168.51.3", "192.168.51.4"}


def test_fixed_is_the_named_portal_and_says_so_when_it_cannot_be() -> None:
    portals = loads((0, 0), (5, 5), (0, 0))
    assert fixed(asked(fixed_portal="192.168.51.3"), portals).address == "192.168.51.3"
    without = fixed(asked(fixed_portal="192.168.51.3"), [portals[0], portals[2]])
    assert without.address == "192.168.51.2"
    assert without.reason == "fixed portal 192.168.51.3 is down: the first usable one"


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_is_content_with_one_portal(name: str) -> None:
    (portal,) = loads((3, 4))
    assert POLICIES[name](asked(sequence=7), [portal]).address == portal.address
