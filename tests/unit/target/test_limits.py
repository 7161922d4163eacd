"""The bounds on sessions: of the array as a whole and of one volume, refused where a login first asks."""

from __future__ import annotations

import asyncio
import random

import pytest

from iscsi.constants import LoginStatus
from iscsi.login_initiator import InitiatorLogin, LoginDone, LoginFailed, LoginRedirected
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LoginResponse
from target.config import ConfigError, Limits
from target.decisions import Decision
from target.group import Group
from tests.support.array import (
    GROUP_ADDRESS,
    HOST,
    PORTALS,
    VOLUME,
    Peer,
    discovering,
    isid,
    logged_in,
    make_group,
    volume,
)
from tests.support.array_on_tcp import PORTALS as PORTALS_ON_TCP
from tests.support.array_on_tcp import serving

OTHER = volume(iqn=VOLUME.replace("exchange", "other"), name="other-logs")
LIMITED = volume(max_sessions=2)


def outcome(group: Group, number: int, local: str = GROUP_ADDRESS, target: str = VOLUME) -> LoginStatus | str:
    """What a login of the host's session ``number`` ends with."""
    peer = Peer(group, local)
    found = peer.login(target, isid=isid(number))
    if isinstance(found, LoginRedirected):
        return "redirected"
    return found.status if isinstance(found, LoginFailed) else "served"


def test_a_volume_has_room_for_so_many_sessions_wherever_they_knock() -> None:
    told: list[Decision] = []
    group = make_group(LIMITED, OTHER, on_decision=told.append)
    for number in (1, 2):
        logged_in(group, PORTALS[number], isid=isid(number))
    assert outcome(group, 3) is LoginStatus.OUT_OF_RESOURCES
    assert told[-1].reason == "volume exchange-logs has 2 sessions, its limit"
    assert outcome(group, 3, PORTALS[0]) is LoginStatus.OUT_OF_RESOURCES
    assert outcome(group, 3, target=OTHER.iqn) == "redirected"


def test_who_comes_back_takes_its_own_place() -> None:
    group = make_group(LIMITED)
    for number in (1, 2):
        logged_in(group, isid=isid(number))
    assert outcome(group, 2) == "redirected"
    assert outcome(group, 2, PORTALS[1]) == "served"


def test_a_place_is_free_again_when_its_session_ends() -> None:
    group = make_group(LIMITED)
    peers = [logged_in(group, isid=isid(number)) for number in (1, 2)]
    peers[0].hang_up()
    assert outcome(group, 3) == "redirected"


def test_the_array_has_room_for_so_many_sessions_and_discovery_is_none_of_them() -> None:
    told: list[Decision] = []
    group = make_group(volume(), OTHER, limits=Limits(max_sessions=2), on_decision=told.append)
    discovering(group)
    logged_in(group, isid=isid(1))
    logged_in(group, isid=isid(2), target=OTHER.iqn)
    for target in (VOLUME, OTHER.iqn):
        assert outcome(group, 3, target=target) is LoginStatus.OUT_OF_RESOURCES
    assert told[-1].reason == "the array has 2 sessions, its limit"
    assert isinstance(Peer(group, GROUP_ADDRESS).login(None), LoginDone)


def test_of_two_logins_for_the_last_place_the_first_to_end_has_it() -> None:
    """Both were let in when they asked; the limit is looked at again when a session is about to be made."""
    group = make_group(volume(max_sessions=1))
    slow = Peer(group, PORTALS[1])
    login = InitiatorLogin(
        initiator_name=HOST,
        target_name=VOLUME,
        isid=isid(2),
        itt=1,
        cmd_sn=100,
        wishes=OperationalKeys(),
        random_bytes=random.Random("host").randbytes,
    )
    (answer,) = slow.send(*login.start())
    assert isinstance(answer, LoginResponse)
    rest = login.receive(answer)
    logged_in(group, isid=isid(1))
    (answer,) = slow.send(*rest)
    assert isinstance(answer, LoginResponse)
    assert answer.status == LoginStatus.OUT_OF_RESOURCES


def test_a_limit_of_none_at_all_is_no_limit_that_can_be_meant() -> None:
    with pytest.raises(ConfigError, match="volume exchange-logs: max_sessions must be at least 1, not 0"):
        volume(max_sessions=0)
    with pytest.raises(ConfigError, match="max_sessions must be 1 to 65535, not 0"):
        Limits(max_sessions=0)


def test_a_connection_above_the_limit_is_told_like_an_end() -> None:
    async def main() -> None:
        async with serving(limits=Limits(max_connections=1)) as served:
            await served.session()
            outside = await served.connect()
            assert await outside.hears_the_end() == []
            assert served.log == [f"127.0.0.1 -> {PORTALS_ON_TCP[0]}: the array has 1 connections, its limit"]

    asyncio.run(main())
