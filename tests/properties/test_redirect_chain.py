"""Wherever redirects lead, a login ends: in a session, or in an error that names the chain.

Four portals answer logins as drawn: admit, refuse, send on (to each other, to themselves, to nowhere, to something
that is no address), hang up or keep silent; a portal with several answers gives them in turn, as placement policies
do. An oracle walks the same graph by the rules of the host: at most `HOP_LIMIT` redirects, and one more try from the
start when a redirect led to somebody who did not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from harness.sim_world import SimConnector
from initiator_model.login_chain import HOP_LIMIT, LoginError, LoginTerms
from initiator_model.session import IscsiSession
from initiator_model.session_events import SessionState
from iscsi.constants import LoginStatus
from iscsi.discovery import TargetAddress
from iscsi.framer import Framer
from iscsi.login_gate import Admit, Redirect, Refuse
from iscsi.login_target import TargetLogin
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LoginRequest, encode
from sim.rng import stream
from tests.support.lab import GROUP, GROUP_PORTAL, HOST_IQN, PORTALS, PROFILE, SOURCE_A, VOLUME_IQN, Lab
from tests.support.logins import Gate

PLACES = (GROUP, *PORTALS)
TERMS = LoginTerms(
    initiator_name=HOST_IQN,
    target_name=VOLUME_IQN,
    isid=bytes.fromhex("400001370001"),
    source=SOURCE_A,
    wishes=OperationalKeys(),
    timers=PROFILE.timers,
)
LONGEST_HOP_S = (TERMS.timers.tcp_connect_time_ns + TERMS.timers.wmi_request_timeout_ns) / 1e9
BETWEEN_S = TERMS.timers.delay_between_reconnect_ns / 1e9


@dataclass(frozen=True)
class Garbage:
    """A redirect whose text says nothing."""

    data: bytes


@dataclass(frozen=True)
class Silence:
    """The login is taken and not answered; or the connection is closed on it."""

    hangs_up: bool


Answer = Admit | Redirect | Refuse | Garbage | Silence

nowhere = st.sampled_from(
    [
        TargetAddress("192.168.51.9"),  # nobody has the address
        TargetAddress(PORTALS[0], 3261),  # nobody listens on the port
        TargetAddress("10.0.0.1"),  # no route
        TargetAddress("array.example.com"),  # no name service
        TargetAddress("2001:db8::1"),  # no IPv6
    ]
)
garbage = st.sampled_from(
    [
        b"",
        b"TargetAddress=\0",
        b"TargetAddress=192.168.51.2:0\0",
        b"TargetAddress=192.168.51.2:65536\0",
        b"TargetAddress=999.1.1.1\0",
        b"TargetAddress=[::zz]:3260\0",
        b"TargetAddress=" + b"x" * 300 + b"\0",
        b"TargetAlias=moved\0",
        b"no key at all\0",
        b"TargetAddress=192.168.51.2",  # not ended
        b"\xff\xfe=\x80\0",
    ]
)
answers = st.one_of(
    st.just(Admit(tpgt=1)),
    st.sampled_from([LoginStatus.AUTHORIZATION_FAILURE, LoginStatus.SERVICE_UNAVAILABLE]).map(Refuse),
    st.builds(Redirect, st.sampled_from(PLACES).map(TargetAddress), st.booleans()),
    st.builds(Redirect, st.sampled_from(PLACES).map(TargetAddress), st.booleans()),  # the common case, drawn more often
    st.builds(Redirect, nowhere, st.booleans()),
    garbage.map(Garbage),
    st.booleans().map(Silence),
)
graphs = st.tuples(*[st.lists(answers, min_size=1, max_size=3) for _ in PLACES])


class Portals:
    """The four portals. ``logins`` counts login phases that were begun."""

    def __init__(self, graph: Sequence[list[Answer]]) -> None:
        self.turns = Turns(graph)
        self.logins = 0

    async def start(self) -> None:
        for place in PLACES:
            await asyncio.get_running_loop().create_server(lambda place=place: Portal(self, place), place, 3260)


class Turns:
    """What each portal says next."""

    def __init__(self, graph: Sequence[list[Answer]]) -> None:
        self._graph = dict(zip(PLACES, graph, strict=True))
        self._said = dict.fromkeys(PLACES, 0)

    def next_at(self, place: str) -> Answer:
        said = self._said[place]
        self._said[place] += 1
        return self._graph[place][said % len(self._graph[place])]


class Portal(asyncio.Protocol):
    """One connection to one portal."""

    def __init__(self, portals: Portals, place: str) -> None:
        self._portals = portals
        self._place = place
        self._framer = Framer(8192)
        self._login: TargetLogin | None = None
        self._answer: Answer = Admit(tpgt=1)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for pdu in self._framer.receive(data):
            if isinstance(pdu, LoginRequest):
                self._take(pdu)

    def _take(self, request: LoginRequest) -> None:
        if self._login is None:
            self._portals.logins += 1
            self._answer = self._portals.turns.next_at(self._place)
            self._login = self._begin(self._answer)
        if isinstance(self._answer, Silence):
            if self._answer.hangs_up:
                self._transport.close()
            return
        for response in self._login.receive(request):
            if isinstance(self._answer, Garbage):
                response = replace(response, data=self._answer.data)
            self._transport.write(encode(response))
        if self._login.outcome is not None and response.status:
            self._transport.close()

    def _begin(self, answer: Answer) -> TargetLogin:
        if isinstance(answer, Garbage):
            answer = Redirect(TargetAddress(GROUP))
        gate = Gate() if isinstance(answer, Silence) else Gate(identify_with=answer)
        return TargetLogin(gate=gate, wishes=OperationalKeys(), stat_sn=1, random_bytes=stream(1, "portal").bytes)


@dataclass
class Walk:
    """What must become of a login: where it ends (None: nowhere), after how many login phases, along which chain."""

    at: str | None
    logins: int
    chain: list[str]


def walk(turns: Turns, tries: int = 2) -> Walk:
    """By the rules."""
    logins = 0
    while True:
        tries -= 1
        address, chain, start_over = GROUP_PORTAL, [GROUP_PORTAL.redirect_value], False
        while True:
            if address.host not in PLACES or address.port != 3260:
                start_over = len(chain) > 1
                break
            logins += 1
            answer = turns.next_at(address.host)
            if isinstance(answer, Admit):
                return Walk(address.host, logins, chain)
            if isinstance(answer, Silence):
                start_over = len(chain) > 1
            if not isinstance(answer, Redirect) or len(chain) > HOP_LIMIT:
                break
            address = answer.address
            chain.append(address.redirect_value)
        if not start_over or not tries:
            return Walk(None, logins, chain)


@settings(deadline=None, max_examples=300)
@given(graphs)
def test_every_login_ends_as_the_graph_says(graph: tuple[list[Answer], ...]) -> None:
    lab, portals = Lab(), Portals(graph)
    session = IscsiSession(
        TERMS,
        GROUP_PORTAL,
        connector=SimConnector(lab.loop, lab.host),
        random_bytes=lab.random_bytes,
        multipath=True,
    )
    error: LoginError | None = None
    open_connections: list[str] = []

    async def story() -> None:
        nonlocal error
        await portals.start()
        try:
            await session.log_in()
        except LoginError as caught:
            error = caught
        await asyncio.sleep(0.01)
        open_connections.extend(
            row.remote[0] for row in lab.host.connections() if row.remote is not None and row.state == "ESTABLISHED"
        )
        session.vanish("the test is over")

    lab.run(story())
    expected = walk(Turns(graph))

    assert portals.logins == expected.logins <= 2 * (HOP_LIMIT + 1)
    assert lab.now_s <= expected.logins * LONGEST_HOP_S + 2 * LONGEST_HOP_S + BETWEEN_S + 1
    if expected.at is not None:
        assert error is None
        assert open_connections == [expected.at]
        assert session.remote == f"{expected.at}:3260"
        assert (session.via.redirect_value if session.via else None) == (
            expected.chain[-2] if len(expected.chain) > 1 else None
        )
    else:
        assert error is not None
        assert (session.state, open_connections) == (SessionState.CLOSED, [])
        assert [hop.remote for hop in error.hops] == expected.chain[: HOP_LIMIT + 1]
        assert all(hop.remote in str(error) for hop in error.hops)
        assert all(hop.status in str(error) for hop in error.hops[1:])
    event("session" if error is None else "error")


@pytest.mark.parametrize("permanent", [False, True])
def test_two_portals_that_point_at_each_other(permanent: bool) -> None:
    """The loop everybody fears, as one example: nine logins, then an error that shows them all."""
    there, back = Redirect(TargetAddress(PORTALS[0]), permanent), Redirect(GROUP_PORTAL, permanent)
    lab, portals = Lab(), Portals(([there], [back], [back], [back]))
    session = IscsiSession(TERMS, GROUP_PORTAL, connector=lab.connector, random_bytes=lab.random_bytes, multipath=True)

    async def story() -> None:
        await portals.start()
        with pytest.raises(LoginError, match="redirected more than 8 times") as caught:
            await session.log_in()
        assert [hop.remote for hop in caught.value.hops] == [f"{GROUP}:3260", f"{PORTALS[0]}:3260"] * 4 + [
            f"{GROUP}:3260"
        ]

    lab.run(story())
    assert portals.logins == HOP_LIMIT + 1
