"""Discovery sessions against the array: what is listed, over one connection, and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from initiator_model.discovery import Discovered, DiscoveryError, discover
from initiator_model.login_chain import LoginTerms
from iscsi.discovery import TargetAddress, TargetRecord, encode_send_targets
from iscsi.login_gate import Redirect
from iscsi.negotiation import OperationalKeys
from target.config import ArrayKind
from tests.support.lab import GROUP, GROUP_PORTAL, HOST_IQN, PORTALS, PROFILE, SOURCE_A, VOLUME_IQN, Lab, volume
from tests.support.scripted_target import ScriptedTarget

TERMS = LoginTerms(
    initiator_name=HOST_IQN,
    target_name=None,
    isid=bytes.fromhex("400001370001"),
    source=SOURCE_A,
    wishes=OperationalKeys(),
    timers=PROFILE.timers,
)


def ask(lab: Lab, portal: TargetAddress = GROUP_PORTAL, terms: LoginTerms = TERMS) -> Coroutine[Any, Any, Discovered]:
    return discover(terms, portal, connector=lab.connector, random_bytes=lab.random_bytes)


def in_lab(scenario: Callable[[Lab], Coroutine[Any, Any, None]]) -> None:
    lab = Lab()
    lab.run(scenario(lab))


def test_a_redirecting_array_lists_its_group_address_alone() -> None:
    async def scenario(lab: Lab) -> None:
        await lab.start_array()
        found = await ask(lab)
        assert found.records == (TargetRecord(VOLUME_IQN, (TargetAddress(GROUP, 3260, 1),)),)
        assert (found.local, found.remote) == (f"{SOURCE_A}:2815", f"{GROUP}:3260")

    in_lab(scenario)


def test_a_listed_array_names_every_portal() -> None:
    async def scenario(lab: Lab) -> None:
        await lab.start_array(kind=ArrayKind.LISTED, group_address=None)
        found = await ask(lab, TargetAddress(PORTALS[1]))
        (record,) = found.records
        assert [address.host for address in record.addresses] == list(PORTALS)

    in_lab(scenario)


def test_an_answer_in_many_parts_is_put_together() -> None:
    async def scenario(lab: Lab) -> None:
        names = [f"iqn.2001-05.com.equallogic:0-8a0906-0000000{n:02d}-0000000000000000-volume" for n in range(40)]
        await lab.start_array(*(volume(f"volume-{n}", iqn) for n, iqn in enumerate(names)))
        small = replace(TERMS, wishes=OperationalKeys(max_recv_data_segment_length=512))
        found = await ask(lab, terms=small)
        assert [record.name for record in found.records] == names

    in_lab(scenario)


def test_the_session_is_logged_out_and_its_port_not_used_again() -> None:
    async def scenario(lab: Lab) -> None:
        server = await lab.start_array()
        await ask(lab)
        await asyncio.sleep(1)
        assert server.connections() == []
        assert (await ask(lab)).local == f"{SOURCE_A}:2816"

    in_lab(scenario)


def test_digests_hold_in_a_discovery_session_too() -> None:
    async def scenario(lab: Lab) -> None:
        await lab.start_array()
        wishes = OperationalKeys(header_digest=("CRC32C",), data_digest=("CRC32C",))
        assert len((await ask(lab, terms=replace(TERMS, wishes=wishes))).records) == 1

    in_lab(scenario)


def test_a_redirected_discovery_is_followed() -> None:
    async def scenario(lab: Lab) -> None:
        target = ScriptedTarget()
        await target.listen(GROUP, Redirect(TargetAddress(PORTALS[2])))
        with pytest.raises(DiscoveryError, match=r"192.168.51.1:3260: .* -> 192.168.51.4:3260: .*refused"):
            await ask(lab)

    in_lab(scenario)


def test_a_target_without_an_address_is_where_the_question_was_asked() -> None:
    async def scenario(lab: Lab) -> None:
        target = ScriptedTarget()
        target.send_targets = encode_send_targets([TargetRecord(VOLUME_IQN)])
        await target.listen(GROUP)
        assert (await ask(lab)).records == (TargetRecord(VOLUME_IQN, (TargetAddress(GROUP, 3260, 1),)),)

    in_lab(scenario)


def test_an_answer_that_makes_no_sense_is_an_error_of_the_portal() -> None:
    async def scenario(lab: Lab) -> None:
        target = ScriptedTarget()
        target.send_targets = b"Surprise=Yes\0"
        await target.listen(GROUP)
        with pytest.raises(DiscoveryError, match="Surprise"):
            await ask(lab)

    in_lab(scenario)


def test_a_portal_that_is_not_there_is_named() -> None:
    async def scenario(lab: Lab) -> None:
        with pytest.raises(DiscoveryError, match=r"192.168.51.1:3260: .*refused"):
            await ask(lab)

    in_lab(scenario)


def test_a_target_that_does_not_answer_the_question_is_given_up() -> None:
    async def scenario(lab: Lab) -> None:
        target = ScriptedTarget()
        target.deaf = True
        await target.listen(GROUP)
        with pytest.raises(DiscoveryError, match="no answer to SendTargets within 30 s"):
            await ask(lab)
        await asyncio.sleep(1)
        assert target.connections[0].lost

    in_lab(scenario)
