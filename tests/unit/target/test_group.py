"""The group: what a login at each of its addresses is answered, and how logins are spread over the portals."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable

import pytest

from iscsi.chap import ChapCredentials, ChapPolicy
from iscsi.constants import LoginStatus
from iscsi.discovery import TargetAddress, TargetRecord
from iscsi.login_gate import LoginIdentity
from iscsi.login_initiator import InitiatorLogin, LoginDone, LoginFailed, LoginRedirected
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LoginResponse
from iscsi.text import decode_keys
from target.config import AccessRule, ArrayKind, DirectLogin, Limits
from target.decisions import Decision
from target.group import Group
from tests.support.array import (
    GROUP_ADDRESS,
    HOST,
    OTHER_HOST,
    PORTALS,
    SOURCE,
    VOLUME,
    Peer,
    isid,
    logged_in,
    make_group,
    volume,
)

USER = ChapCredentials("w2k3", b"host-secret-0123")
SECRET_VOLUME = volume(access=(AccessRule(initiator=HOST, chap=ChapPolicy((USER,))),))


def sent_to(group: Group, number: int = 0, name: str = HOST, source: str = SOURCE) -> str:
    """Where the group address sends a login of the host's session ``number``."""
    outcome = Peer(group, GROUP_ADDRESS, source).login(name=name, isid=isid(number))
    assert isinstance(outcome, LoginRedirected)
    return outcome.address.host


def refusal(group: Group, local: str = GROUP_ADDRESS, target: str = VOLUME, name: str = HOST) -> LoginStatus:
    """The status that turns a login away."""
    outcome = Peer(group, local).login(target, name=name)
    assert isinstance(outcome, LoginFailed)
    return outcome.status


# -- the redirect ------------------------------------------------------------------------------------------------------


def test_a_login_at_the_group_address_is_redirected_to_a_portal() -> None:
    """0x0101 at once, one TargetAddress with the port and without a portal group tag (RFC 7143 13.8); then it ends."""
    peer = Peer(make_group(), GROUP_ADDRESS)
    outcome = peer.login()
    assert outcome == LoginRedirected(TargetAddress(PORTALS[0], 3260), permanent=False)
    (response,) = peer.login_responses
    assert response.status == 0x0101
    assert decode_keys(response.data) == [("TargetAddress", "192.168.51.2:3260")]
    assert (response.tsih, response.transit) == (0, False)
    assert peer.connection.closing


def test_the_redirect_comes_before_chap() -> None:
    peer = Peer(make_group(SECRET_VOLUME), GROUP_ADDRESS)
    assert isinstance(peer.login(chap=USER), LoginRedirected)
    assert len(peer.login_responses) == 1


def test_every_login_at_the_group_address_is_redirected_even_with_a_session_there_already() -> None:
    group = make_group()
    logged_in(group)
    for _ in range(5):
        assert sent_to(group) in PORTALS


def test_the_volumes_name_is_told_once_the_initiator_has_authenticated() -> None:
    """As TargetAlias (RFC 7143 13.6), among the operational keys."""
    peer = Peer(make_group(SECRET_VOLUME), PORTALS[0])
    peer.login(chap=USER)
    told = [(response.csg, dict(decode_keys(response.data)).get("TargetAlias")) for response in peer.login_responses]
    assert [alias for _, alias in told].count("exchange-logs") == 1
    assert (1, "exchange-logs") in told
    assert all(alias is None for stage, alias in told if stage == 0)


def test_no_login_is_redirected_to_the_address_it_arrived_on() -> None:
    for local in (GROUP_ADDRESS, *PORTALS):
        group = make_group(direct_login=DirectLogin.REDIRECT)
        for number in range(4):
            outcome = Peer(group, local).login(isid=isid(number))
            assert isinstance(outcome, LoginRedirected)
            assert outcome.address.host != local


def test_logins_in_flight_count_where_they_were_sent() -> None:
    """Both paths of a host log in at one instant: nobody has arrived yet, and still they are spread."""
    group = make_group()
    assert [sent_to(group, number) for number in range(6)] == [*PORTALS, *PORTALS]


def test_a_login_that_asks_again_does_not_count_twice() -> None:
    group = make_group()
    assert [sent_to(group, 0), sent_to(group, 0), sent_to(group, 0)] == [PORTALS[0]] * 3
    assert sent_to(group, 1) == PORTALS[1]


def test_a_login_that_never_arrives_is_forgotten_in_time() -> None:
    group = make_group(limits=Limits(ticket_lifetime_s=10.0))
    assert sent_to(group, 0) == PORTALS[0]
    late = Peer(group, GROUP_ADDRESS, now_ns=10_000_000_000)
    outcome = late.login(isid=isid(1))
    assert isinstance(outcome, LoginRedirected)
    assert outcome.address.host == PORTALS[0]


def test_tickets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("target.tickets.MAX_TICKETS", 10)
    group = make_group()
    for number in range(30):
        sent_to(group, number)
    assert sum(load.connections for load in group.loads(logged_in(group).connection.session.identity, 0)) <= 10  # type: ignore[union-attr]


def test_sessions_count_for_their_portal_and_those_of_the_same_pair_count_first() -> None:
    group = make_group()
    logged_in(group, PORTALS[0], isid=isid(1))
    logged_in(group, PORTALS[1], name=OTHER_HOST, isid=isid(1))
    logged_in(group, PORTALS[1], name=OTHER_HOST, isid=isid(2))
    logged_in(group, PORTALS[2], isid=isid(2))
    assert sent_to(group, 3) == PORTALS[1]  # the most connections, but none of this host


def test_a_session_about_to_be_reinstated_makes_room() -> None:
    group = make_group()
    logged_in(group, PORTALS[0], isid=isid(1))
    assert sent_to(group, 1) == PORTALS[0]


def test_discovery_sessions_do_not_count() -> None:
    group = make_group()
    Peer(group, PORTALS[0]).login(None)
    assert sent_to(group) == PORTALS[0]


@pytest.mark.parametrize(
    ("changes", "portals"),
    [
        ({"placement": "round-robin"}, [PORTALS[0], PORTALS[1], PORTALS[2], PORTALS[0]]),
        ({"placement": "fixed", "fixed_portal": PORTALS[2]}, [PORTALS[2]] * 4),
    ],
)
def test_other_placements(changes: dict[str, str], portals: list[str]) -> None:
    group = make_group(**changes)
    assert [sent_to(group, number) for number in range(4)] == portals


def test_a_portal_that_is_down_is_avoided() -> None:
    group = make_group()
    group.set_portal(PORTALS[0], False)
    assert [sent_to(group, number) for number in range(3)] == [PORTALS[1], PORTALS[2], PORTALS[1]]
    group.set_portal(PORTALS[0], True)
    assert sent_to(group, 3) == PORTALS[0]


def test_without_a_portal_there_is_no_service() -> None:
    group = make_group()
    for portal in PORTALS:
        group.set_portal(portal, False)
    assert refusal(group) is LoginStatus.SERVICE_UNAVAILABLE
    assert refusal(group, PORTALS[0]) is LoginStatus.SERVICE_UNAVAILABLE


def test_only_portals_go_down() -> None:
    with pytest.raises(KeyError, match=r"192\.168\.51\.1 is not a portal of ps100"):
        make_group().set_portal(GROUP_ADDRESS, False)


# -- logins at a portal ------------------------------------------------------------------------------------------------


def test_a_direct_login_is_served() -> None:
    assert isinstance(Peer(make_group(), PORTALS[1]).login(), LoginDone)


def test_a_direct_login_is_sent_to_the_group_address_by_option() -> None:
    group = make_group(direct_login=DirectLogin.REDIRECT)
    outcome = Peer(group, PORTALS[1]).login()
    assert outcome == LoginRedirected(TargetAddress(GROUP_ADDRESS, 3260), permanent=False)


def test_a_redirected_login_is_served_where_it_was_sent_and_only_once() -> None:
    group = make_group(direct_login=DirectLogin.REDIRECT)
    portal = sent_to(group)
    other = next(address for address in PORTALS if address != portal)
    assert isinstance(Peer(group, other).login(), LoginRedirected)
    assert isinstance(Peer(group, portal).login(), LoginDone)
    assert isinstance(Peer(group, portal).login(), LoginRedirected)


def test_a_listed_array_serves_logins_where_they_arrive() -> None:
    group = make_group(kind=ArrayKind.LISTED)
    for number, portal in enumerate(PORTALS):
        assert isinstance(Peer(group, portal).login(isid=isid(number)), LoginDone)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_an_unknown_target() -> None:
    group = make_group()
    assert refusal(group, target=VOLUME + "-b") is LoginStatus.NOT_FOUND
    assert refusal(group, PORTALS[0], target=VOLUME + "-b") is LoginStatus.NOT_FOUND


def test_a_host_without_access() -> None:
    group = make_group(volume(access=(AccessRule(initiator=HOST),)))
    assert refusal(group, name=OTHER_HOST) is LoginStatus.AUTHORIZATION_FAILURE
    assert refusal(group, PORTALS[0], name=OTHER_HOST) is LoginStatus.AUTHORIZATION_FAILURE
    assert isinstance(Peer(group).login(), LoginDone)


def test_a_volume_without_rules_is_nobodys() -> None:
    assert refusal(make_group(volume(access=()))) is LoginStatus.AUTHORIZATION_FAILURE


def test_access_by_source_network() -> None:
    group = make_group(volume(access=(AccessRule(source=ipaddress.IPv4Network("192.168.50.0/24")),)))
    assert isinstance(Peer(group, source="192.168.50.7").login(), LoginDone)
    outcome = Peer(group, source="10.0.0.7").login()
    assert isinstance(outcome, LoginFailed)
    assert outcome.status is LoginStatus.AUTHORIZATION_FAILURE


@pytest.mark.parametrize(
    ("credentials", "answer"),
    [
        (USER, None),
        (ChapCredentials("w2k3", b"another-secret-9"), LoginStatus.AUTHENTICATION_FAILURE),
        (ChapCredentials("w2k4", b"host-secret-0123"), LoginStatus.AUTHENTICATION_FAILURE),
        (None, LoginStatus.AUTHENTICATION_FAILURE),
    ],
    ids=["right", "wrong secret", "wrong name", "none offered"],
)
def test_chap(credentials: ChapCredentials | None, answer: LoginStatus | None) -> None:
    group = make_group(SECRET_VOLUME)
    peer = Peer(group)
    outcome = peer.login(chap=credentials)
    if answer is None:
        assert isinstance(outcome, LoginDone)
        return
    assert isinstance(outcome, LoginFailed)
    assert outcome.status is answer
    assert peer.connection.closing
    assert len(group.sessions) == 0


def test_a_failed_login_leaves_the_session_it_would_have_reinstated_alone() -> None:
    group = make_group(SECRET_VOLUME)
    session = logged_in(group, chap=USER)
    Peer(group).login(chap=ChapCredentials("w2k3", b"another-secret-9"))
    assert not session.abandoned
    assert session.test_unit_ready() is None


# -- discovery's records and the log -----------------------------------------------------------------------------------


def test_discovery_lists_the_group_address_alone() -> None:
    records = make_group().records(HOST, SOURCE)
    assert records == [TargetRecord(VOLUME, (TargetAddress(GROUP_ADDRESS, 3260, 1),))]


def test_discovery_of_a_listed_array_gives_every_portal_that_is_up() -> None:
    group = make_group(kind=ArrayKind.LISTED, tpgt=7)
    (record,) = group.records(HOST, SOURCE)
    assert record.addresses == tuple(TargetAddress(portal, 3260, 7) for portal in PORTALS)
    group.set_portal(PORTALS[1], False)
    (record,) = group.records(HOST, SOURCE)
    assert [address.host for address in record.addresses] == [PORTALS[0], PORTALS[2]]


def test_discovery_hides_what_the_host_may_not_use() -> None:
    group = make_group(
        volume("iqn.2001-05.com.equallogic:mine", access=(AccessRule(initiator=HOST),)),
        volume("iqn.2001-05.com.equallogic:theirs", access=(AccessRule(initiator=OTHER_HOST),)),
        volume("iqn.2001-05.com.equallogic:ours"),
    )
    assert [record.name[-4:] for record in group.records(HOST, SOURCE)] == ["mine", "ours"]
    assert [record.name[-4:] for record in group.records(OTHER_HOST, SOURCE)] == ["eirs", "ours"]


def test_every_decision_is_told_with_its_reason() -> None:
    said: list[Decision] = []
    group = make_group(on_decision=said.append)
    sent_to(group)
    logged_in(group, PORTALS[0])
    refusal(group, target=VOLUME + "-b")
    assert [(decision.arrived_at, decision.answer, decision.portal) for decision in said] == [
        (GROUP_ADDRESS, "0x0101 moved temporarily", PORTALS[0]),
        (PORTALS[0], "admitted", PORTALS[0]),
        (GROUP_ADDRESS, "0x0203 not found", None),
    ]
    assert said[0].reason == "least connections: 0 of this host and volume, 0 in all"
    assert (said[0].initiator, said[0].target, said[0].source) == (HOST, VOLUME, SOURCE)


# -- drained portals and sessions that only wait -----------------------------------------------------------------------


def test_a_login_at_a_drained_portal_is_sent_back_to_the_group() -> None:
    group = make_group()
    assert sent_to(group) == PORTALS[0]
    group.set_drained(PORTALS[0], True)
    outcome = Peer(group, PORTALS[0]).login()
    assert outcome == LoginRedirected(TargetAddress(GROUP_ADDRESS, 3260), permanent=False)
    assert sent_to(group) == PORTALS[1]


def test_an_array_that_lists_its_portals_refuses_at_a_drained_one() -> None:
    group = make_group(kind=ArrayKind.LISTED)
    group.set_drained(PORTALS[0], True)
    assert refusal(group, PORTALS[0]) is LoginStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("change", [Group.set_portal, Group.set_drained])
def test_a_portal_that_is_closed_during_a_login_refuses_its_end(change: Callable[[Group, str, bool], None]) -> None:
    group = make_group()
    peer = Peer(group, PORTALS[0])
    login = InitiatorLogin(
        initiator_name=HOST,
        target_name=VOLUME,
        isid=isid(0),
        itt=1,
        cmd_sn=100,
        wishes=OperationalKeys(),
        random_bytes=random.Random("host").randbytes,
    )
    (answer,) = peer.send(*login.start())
    assert isinstance(answer, LoginResponse)
    change(group, PORTALS[0], change is Group.set_drained)
    (answer,) = peer.send(*login.receive(answer))
    assert isinstance(answer, LoginResponse)
    assert answer.status == LoginStatus.SERVICE_UNAVAILABLE
    assert len(group.sessions) == 0


def test_a_session_that_has_lost_its_connection_and_waits_takes_nothing_from_its_portal() -> None:
    group = make_group()
    lost = logged_in(group, PORTALS[0], error_recovery_level=2, default_time2retain=20)
    assert sent_to(group, 1) == PORTALS[1]
    lost.hang_up()
    assert len(group.sessions) == 1
    group.take_ticket(LoginIdentity(HOST, VOLUME, False, isid(1), 0, 0), PORTALS[1], 0)
    assert sent_to(group, 2) == PORTALS[0]
