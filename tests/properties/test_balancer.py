"""What the balancer promises of any array: it comes to rest, goes in no circle, and takes no host's paths together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from target.balancer import ConnectionLoad, Pair, evaluate, weight

PORTALS = ("192.168.51.2", "192.168.51.3", "192.168.51.4", "192.168.51.5")

connections_of_an_array = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(0, 1),
        st.sampled_from(PORTALS),
        st.sampled_from((0.0, 0.0, 1e6, 5e6, 2e7, 1e8)),
        st.booleans(),
    ),
    max_size=16,
).map(
    lambda rows: [
        ConnectionLoad(number, (f"host-{host}", f"volume-{volume}"), portal, weight(0, load), stays)
        for number, (host, volume, portal, load, stays) in enumerate(rows)
    ]
)
portals_that_take_logins = st.lists(st.sampled_from(PORTALS), min_size=1, unique=True)


def disorder(connections: list[ConnectionLoad], portals: list[str]) -> tuple[int, int]:
    """What every move must lower: paths that share a portal, then the unevenness of the portals' weights."""
    here = [one for one in connections if one.portal in portals]
    shared = Counter((one.pair, one.portal) for one in here)
    weights: Counter[str] = Counter()
    for one in here:
        weights[one.portal] += one.weight
    return sum(count**2 for count in shared.values()), sum(weight**2 for weight in weights.values())


@given(connections_of_an_array, portals_that_take_logins, st.integers(1, 4), st.sampled_from((0.0, 0.25, 1.0)))
def test_with_loads_that_stay_it_comes_to_rest_and_every_move_is_for_the_better(
    connections: list[ConnectionLoad], portals: list[str], max_moves: int, threshold: float
) -> None:
    for _ in range(200):
        plan = evaluate(connections, portals, threshold=threshold, max_moves=max_moves)
        if not plan.moves:
            return
        for move in plan.moves:
            before = disorder(connections, portals)
            index = next(i for i, one in enumerate(connections) if one.number == move.number)
            assert connections[index].portal == move.origin != move.destination
            connections = [*connections]
            connections[index] = replace(connections[index], portal=move.destination)
            assert disorder(connections, portals) < before
    raise AssertionError("200 looks, and still something moves")


@given(connections_of_an_array, portals_that_take_logins, st.integers(1, 4), st.data())
def test_it_moves_few_to_where_they_may_go_and_nobody_who_stays(
    connections: list[ConnectionLoad], portals: list[str], max_moves: int, data: st.DataObject
) -> None:
    pairs: list[Pair] = sorted({one.pair for one in connections})
    away = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    plan = evaluate(connections, portals, away=away, threshold=0.25, max_moves=max_moves)
    movers = {one.number: one for one in connections}
    assert len(plan.moves) <= max_moves
    assert plan.why
    for move in plan.moves:
        assert move.destination in portals
        assert not movers[move.number].stays
        assert movers[move.number].pair not in away
        assert move.reason
    moved_pairs = [movers[move.number].pair for move in plan.moves]
    assert len(moved_pairs) == len(set(moved_pairs))


@given(connections_of_an_array, portals_that_take_logins)
def test_the_same_array_always_gets_the_same_answer(connections: list[ConnectionLoad], portals: list[str]) -> None:
    first = evaluate(connections, portals, threshold=0.25, max_moves=4)
    assert evaluate(list(connections), list(portals), threshold=0.25, max_moves=4) == first
