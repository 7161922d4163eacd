"""The array on a stock asyncio loop: listeners, the redirect over real TCP, portals going down, shutting down."""

from __future__ import annotations

import asyncio
import socket

import pytest

from iscsi.constants import AsyncEvent
from iscsi.discovery import TargetAddress
from iscsi.login_initiator import LoginDone, LoginRedirected
from iscsi.pdu import AsyncMessage, LogoutRequest, LogoutResponse, NopIn, NopOut, ScsiCommand, ScsiResponse
from target.config import Limits
from target.decisions import Decision
from target.server import Ended
from tests.support.array import BLOCK
from tests.support.array_on_tcp import GROUP_ADDRESS, PORTALS, block_data, serving


def test_a_login_follows_the_redirect_to_its_portal_and_reads() -> None:
    async def main() -> None:
        async with serving() as served:
            front = await served.connect(GROUP_ADDRESS)
            outcome = await front.login()
            assert outcome == LoginRedirected(TargetAddress(PORTALS[0], served.port), permanent=False)
            assert await front.hears_the_end() == []
            peer = await served.session(address=outcome.address.host)
            assert await peer.read(5, 2) == block_data(5) + block_data(6)
            await peer.send(LogoutRequest(itt=9, cmd_sn=peer.cmd_sn, immediate=True))
            (answer,) = await peer.hears_the_end()
            assert isinstance(answer, LogoutResponse)
            assert served.log == [
                f"127.0.0.1 -> {GROUP_ADDRESS}: login ended with 0x0101 moved temporarily",
                f"127.0.0.1 -> {PORTALS[0]}: logout",
            ]

    asyncio.run(main())


def test_a_portal_that_goes_down_breaks_its_connections_and_listens_no_more() -> None:
    async def main() -> None:
        async with serving() as served:
            here, there = await served.session(1, PORTALS[0]), await served.session(2, PORTALS[1])
            await served.server.portal_down(PORTALS[0])
            assert await here.hears_the_end() == []
            assert await there.read(3, 1) == block_data(3)
            with pytest.raises(ConnectionRefusedError):
                await served.connect(PORTALS[0])
            front = await served.connect(GROUP_ADDRESS)
            outcome = await front.login(3)
            assert isinstance(outcome, LoginRedirected)
            assert outcome.address.host == PORTALS[1]
            await served.server.portal_up(PORTALS[0])
            back = await served.connect(PORTALS[0])
            assert isinstance(await back.login(1), LoginDone)

    asyncio.run(main())


def test_a_reinstated_session_loses_its_old_connection_at_once() -> None:
    async def main() -> None:
        async with serving() as served:
            old = await served.session(1)
            new = await served.session(1, PORTALS[1])
            assert await old.hears_the_end() == []
            assert await new.read(1, 1) == block_data(1)

    asyncio.run(main())


def test_a_silent_initiator_is_pinged_and_dropped_though_the_login_had_longer() -> None:
    """The one timer of a connection stands at the login's deadline first; the ping is due before that."""

    async def main() -> None:
        async with serving(limits=Limits(login_timeout_s=60, nop_interval_s=0.1, nop_timeout_s=0.1)) as served:
            peer = await served.session()
            ping = await peer.hear()
            assert isinstance(ping, NopIn)
            await peer.send(NopOut(ttt=ping.ttt, cmd_sn=peer.cmd_sn))
            assert isinstance(await peer.hear(), NopIn)
            assert await peer.hears_the_end() == []
            (line,) = served.log
            assert line.startswith(f"127.0.0.1 -> {PORTALS[0]}: silent for 0.2")

    asyncio.run(main())


def test_the_array_asks_everybody_to_log_out() -> None:
    async def main() -> None:
        async with serving() as served:
            peer = await served.session()
            for connection in served.server.connections():
                connection.request_logout(5)
            event = await peer.hear()
            assert isinstance(event, AsyncMessage)
            assert (event.event, event.param3) == (AsyncEvent.LOGOUT_REQUEST, 5)

    asyncio.run(main())


def test_close_breaks_everything() -> None:
    async def main() -> None:
        async with serving() as served:
            peer = await served.session()
            served.server.close()
            assert await peer.hears_the_end() == []
            with pytest.raises(ConnectionRefusedError):
                await served.connect(GROUP_ADDRESS)

    asyncio.run(main())


def test_an_array_that_vanishes_says_nothing_more() -> None:
    async def main() -> None:
        async with serving() as served:
            peer = await served.session()
            (protocol,) = served.server.connections()
            listeners = list(served.server._servers.values())
            served.server.vanish()
            await peer.send(peer.read_command(0, 1))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(peer.hear(), 0.05)
            protocol.drop()
            for listener in listeners:
                listener.close()

    asyncio.run(main())


def test_an_address_that_is_taken_leaves_nothing_open() -> None:
    async def main() -> None:
        async with serving() as served:
            served.server.close()
            with socket.socket() as other:
                other.bind((PORTALS[1], served.port))
                other.listen()
                with pytest.raises(OSError, match="address already in use"):
                    await served.server.start()
                with pytest.raises(ConnectionRefusedError):
                    await served.connect(GROUP_ADDRESS)

    asyncio.run(main())


def test_a_connection_says_what_it_has_done_and_its_end_says_who_it_was() -> None:
    async def main() -> None:
        async with serving() as served:
            ended: list[Ended] = []
            served.server.on_end = ended.append
            decided: list[Decision] = []
            served.server.group.on_decision = decided.append
            peer = await served.session(2)
            (protocol,) = served.server.connections()
            before, session = protocol.traffic, protocol.session
            await peer.read(0, 1)
            await peer.send(
                ScsiCommand(
                    write=True,
                    itt=9,
                    cmd_sn=peer.cmd_sn,
                    edtl=BLOCK,
                    cdb=bytes.fromhex("2a000000000000000100") + bytes(6),
                    data=bytes(BLOCK),
                )
            )
            assert isinstance(await peer.hear(), ScsiResponse)
            after = protocol.traffic
            assert (after.reads, after.writes) == (before.reads + 1, before.writes + 1)
            assert after.sent_bytes - before.sent_bytes == 48 + BLOCK + 48
            assert after.received_bytes - before.received_bytes == 48 + 48 + BLOCK
            assert protocol.source_port == peer.socket.getsockname()[1]
            protocol.drop()
            await peer.hears_the_end()
            assert ended == [Ended(protocol.number, "127.0.0.1", PORTALS[0], session, after, "closed")]
            assert [(one.connection, one.answer) for one in decided] == [(protocol.number, "admitted")]

    asyncio.run(main())
