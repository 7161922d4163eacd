"""Where a login is sent, whatever has happened before: portals down, up and drained, sessions, moves in flight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iscsi.login_gate import LoginIdentity
from target.group import Group
from target.moves import Note
from target.placement import POLICIES, STICKY
from tests.support.array import GROUP_ADDRESS, HOST, PORTALS, SOURCE, VOLUME, Peer, isid, make_group

portals = st.sampled_from(PORTALS)
numbers = st.integers(0, 3)
events = st.lists(
    st.one_of(
        st.tuples(st.just("down"), portals),
        st.tuples(st.just("up"), portals),
        st.tuples(st.just("drain"), portals),
        st.tuples(st.just("undrain"), portals),
        st.tuples(st.just("login"), numbers, portals),
        st.tuples(st.just("ask"), numbers, portals, st.one_of(st.none(), portals)),
        st.tuples(st.just("place"), numbers, portals | st.just(GROUP_ADDRESS)),
    ),
    max_size=30,
)


@given(events, st.sampled_from(sorted(POLICIES)))
def test_a_login_is_sent_where_it_may_go_and_not_back_to_where_it_was_asked_to_leave(
    happens: list[tuple[str, ...]], policy: str
) -> None:
    group = make_group(placement=policy, fixed_portal=PORTALS[0] if policy == "fixed" else None)
    for now_ns, (what, *about) in enumerate(happens):
        match what, about:
            case "down", [portal]:
                group.set_portal(portal, False)
            case "up", [portal]:
                group.set_portal(portal, True)
            case "drain", [portal]:
                group.set_drained(portal, True)
            case "undrain", [portal]:
                group.set_drained(portal, False)
            case "login", [number, portal]:
                Peer(group, portal).login(isid=isid(int(number)))
            case "ask", [number, origin, destination]:
                note = Note(SOURCE, origin, destination if destination != origin else None, "because", now_ns + 10)
                group.moves.write(identity(int(number)), note)
            case "place", [number, arrived_at]:
                who = identity(int(number))
                note_or_none = group.moves.claim(who, SOURCE, now_ns, lambda isid: lives(group, isid))
                usable = [portal for portal in PORTALS if group.takes_logins(portal) and portal != arrived_at]
                placed = group.place(who, SOURCE, now_ns, arrived_at)
                if not usable:
                    assert placed is None
                    continue
                assert placed is not None
                portal, reason = placed
                assert portal in usable
                assert reason
                if note_or_none is None:
                    continue
                if note_or_none.destination in usable:
                    assert portal == note_or_none.destination
                elif policy not in STICKY and usable != [note_or_none.origin]:
                    assert portal != note_or_none.origin


def identity(number: int) -> LoginIdentity:
    return LoginIdentity(HOST, VOLUME, False, isid(number), 0, 0)


def lives(group: Group, isid: bytes) -> bool:
    return any(session.identity.isid == isid for session in group.sessions.all())
