"""The balancer's policy: when a connection is asked to move, which one and where to; and when none is."""

from __future__ import annotations

from collections.abc import Sequence

from target.balancer import CONNECTION_BYTES_PER_S, IO_BYTES, ConnectionLoad, Move, Pair, Plan, evaluate, weight

A, B, C = "192.168.51.2", "192.168.51.3", "192.168.51.4"
MB = 1_000_000


def connection(number: int, portal: str, host: str = "", mb: float = 0, **more: bool) -> ConnectionLoad:
    """Connection ``number`` of a host of its own, unless named, that moves so many MB/s."""
    return ConnectionLoad(number, (host or f"host-{number}", "volume"), portal, weight(0, mb * MB), **more)


def plan(
    *connections: ConnectionLoad,
    portals: Sequence[str] = (A, B, C),
    away: Sequence[Pair] = (),
    max_moves: int = 1,
    threshold: float = 0.25,
) -> Plan:
    return evaluate(connections, portals, away=away, threshold=threshold, max_moves=max_moves)


def only_move(*connections: ConnectionLoad, portals: Sequence[str] = (A, B, C)) -> Move:
    (move,) = plan(*connections, portals=portals).moves
    return move


# -- the weight --------------------------------------------------------------------------------------------------------


def test_a_connection_weighs_its_bytes_its_ios_and_its_being_there() -> None:
    assert weight(0, 0) == CONNECTION_BYTES_PER_S
    assert weight(100, 5 * MB) == CONNECTION_BYTES_PER_S + 100 * IO_BYTES + 5 * MB


# -- weight even -------------------------------------------------------------------------------------------------------


def test_idle_connections_spread_by_their_number() -> None:
    move = only_move(connection(1, A), connection(2, A), connection(3, A), connection(4, B))
    assert (move.number, move.origin, move.destination) == (1, A, C)
    assert move.reason == f"{A} weighs 3.0 MB/s, {C} 0.0 MB/s"


def test_the_connection_moves_that_leaves_the_two_portals_most_alike() -> None:
    """Not the heaviest one, which would only carry the trouble elsewhere."""
    heavy, light = connection(1, A, mb=80), connection(2, A, mb=30)
    move = only_move(heavy, light, connection(3, B, mb=10), portals=(A, B))
    assert (move.number, move.destination) == (2, B)


def test_a_single_heavy_connection_stays_for_the_other_portal_would_be_as_heavy_then() -> None:
    """It stays though its portal weighs a hundred times what the other one does."""
    assert plan(connection(1, A, mb=100), connection(2, B), portals=(A, B)).moves == ()


def test_what_takes_too_little_off_is_not_worth_it() -> None:
    connections = connection(1, A, mb=40), connection(2, A, mb=9), connection(3, B, mb=36)
    assert plan(*connections, portals=(A, B), threshold=0.25).moves == ()
    assert len(plan(*connections, portals=(A, B), threshold=0.0).moves) == 1


def test_the_heaviest_portal_is_relieved_of_what_it_may_give_and_else_the_next_one() -> None:
    young = connection(1, A, mb=90, stays=True)
    move = only_move(young, connection(2, B, mb=30), connection(3, B, mb=20))
    assert (move.number, move.origin, move.destination) == (3, B, C)


def test_a_portal_that_has_come_back_gets_connections_again() -> None:
    connections = [connection(number, (A, B)[number % 2]) for number in range(6)]
    moves = plan(*connections, max_moves=4).moves
    assert [move.destination for move in moves] == [C, C]
    assert sorted(move.origin for move in moves) == [A, B]


# -- paths apart -------------------------------------------------------------------------------------------------------


def test_two_paths_of_one_host_to_one_volume_do_not_share_a_portal() -> None:
    """Though the portal it goes to is the heavier one."""
    move = only_move(connection(1, A, "w2k3"), connection(2, A, "w2k3"), connection(3, B, mb=90), portals=(A, B))
    assert (move.number, move.destination) == (1, B)
    assert move.reason == f"2 paths of this host to this volume share {A}, {B} has none"


def test_of_the_paths_that_share_a_portal_the_lightest_moves() -> None:
    move = only_move(connection(1, A, "w2k3", mb=50), connection(2, A, "w2k3", mb=1))
    assert move.number == 2


def test_paths_may_share_a_portal_when_there_are_more_of_them_than_portals() -> None:
    connections = [connection(number, portal, "w2k3") for number, portal in enumerate((A, B, C, A))]
    assert plan(*connections).moves == ()


def test_no_weight_is_worth_two_paths_on_one_portal() -> None:
    busy = connection(1, A, "w2k3", mb=100)
    beside = connection(2, A, "other", mb=100)
    assert plan(busy, connection(3, B, "w2k3"), beside, connection(4, B, "other"), portals=(A, B)).moves == ()


# -- whom it leaves alone ----------------------------------------------------------------------------------------------


def test_a_connection_that_has_just_come_stays() -> None:
    crowd = [connection(number, A, stays=True) for number in range(3)]
    done = plan(*crowd)
    assert done.moves == ()
    assert done.why.endswith("3 came too lately")


def test_a_host_with_a_path_away_is_not_touched() -> None:
    """What is left there may be its last path."""
    crowd = [connection(number, A) for number in range(2)]
    done = plan(*crowd, away=[one.pair for one in crowd])
    assert done.moves == ()
    assert done.why.endswith("2 wait for a path of theirs that is away")


def test_of_one_host_and_volume_one_path_moves_at_a_time() -> None:
    connections = [connection(number, A, "w2k3") for number in range(4)]
    assert len(plan(*connections, max_moves=4).moves) == 1


def test_the_moves_of_one_look_are_bounded() -> None:
    connections = [connection(number, A) for number in range(30)]
    done = plan(*connections, max_moves=4)
    assert len(done.moves) == 4
    assert done.why == "that many moves at once are enough: 4"


def test_with_one_portal_there_is_nowhere_to_go() -> None:
    done = plan(connection(1, A), connection(2, A), portals=(A,))
    assert (done.moves, done.why) == ((), "there is no second portal that takes logins")


def test_connections_on_a_portal_that_takes_no_logins_are_not_its_business() -> None:
    assert plan(connection(1, C), connection(2, C), connection(3, C), portals=(A, B)).moves == ()


def test_an_array_without_connections_is_even() -> None:
    assert plan().why == "there are no connections"
