"""Initiators that misbehave on real TCP: each is dealt with as RFC 7143 says, in bounded time, and harms nobody else.

Beside each of them a healthy session goes on reading and checking its data.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iscsi.constants import RESERVED_TAG, LoginStatus
from iscsi.login_initiator import LoginDone
from iscsi.pdu import LoginRequest, LoginResponse, LogoutRequest, NopIn, NopOut, Reject, encode
from target.config import Limits
from tests.support.array_on_tcp import BLOCKS, GROUP_ADDRESS, PORTALS, Served, block_data, healthy_session, serving

Misdeed = Callable[[Served], Awaitable[None]]


def beside_a_healthy_session(misdeed: Misdeed, **limits: Any) -> list[str]:
    """Run a misdeed; afterwards nobody is left but the healthy session. Returns the log without that session's end."""

    async def main() -> list[str]:
        async with serving(limits=Limits(**limits)) as served, healthy_session(served):
            await misdeed(served)
            while len(served.server.connections()) > 1:
                await asyncio.sleep(0.01)
            return list(served.log)

    return asyncio.run(main())


@pytest.mark.parametrize("address", [GROUP_ADDRESS, PORTALS[0]])
@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: array\r\nUser-Agent: a browser that was led astray\r\n\r\n", b"\xff" * 48, bytes(48)],
    ids=["http", "ones", "a NOP-Out of zeros"],
)
def test_garbage_instead_of_a_login_is_dropped_without_a_word(address: str, garbage: bytes) -> None:
    async def misdeed(served: Served) -> None:
        peer = await served.connect(address)
        await peer.send(garbage)
        assert await peer.hears_the_end() == []

    assert len(beside_a_healthy_session(misdeed)) == 1


def test_garbage_in_a_session_ends_it() -> None:
    async def misdeed(served: Served) -> None:
        peer = await served.session()
        await peer.send(b"\xff" * 100)
        (answer,) = await peer.hears_the_end()
        assert isinstance(answer, Reject)

    (line,) = beside_a_healthy_session(misdeed)
    assert line.startswith(f"127.0.0.1 -> {PORTALS[0]}: ")


def test_a_pdu_other_than_a_login_in_the_middle_of_one() -> None:
    async def misdeed(served: Served) -> None:
        peer = await served.connect()
        await peer.send(LoginRequest(itt=1, csg=0, nsg=1, cont=True, data=b"InitiatorName=iqn.1991-05.com.micro"))
        await peer.hear()
        await peer.send(NopOut(itt=1))
        (answer,) = await peer.hears_the_end()
        assert isinstance(answer, LoginResponse)
        assert answer.status == LoginStatus.INVALID_DURING_LOGIN

    beside_a_healthy_session(misdeed)


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_pdu_cut_in_two_by_fin(logged_in: bool) -> None:
    async def misdeed(served: Served) -> None:
        peer = await (served.session() if logged_in else served.connect())
        await peer.send(encode(LoginRequest(itt=1))[:31])
        peer.socket.shutdown(1)
        assert await peer.hears_the_end() == []

    (line,) = beside_a_healthy_session(misdeed)
    assert line.endswith("the connection ended inside a PDU: 31 bytes of at least 48 had arrived")


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_pdu_that_announces_16_mib_is_refused_by_its_header(logged_in: bool) -> None:
    """None of the data is waited for: a format error ends the connection (RFC 7143 7.6)."""

    async def misdeed(served: Served) -> None:
        peer = await (served.session() if logged_in else served.connect())
        header = bytearray(encode(LoginRequest(itt=1) if not logged_in else NopOut(itt=1)))
        header[5:8] = b"\xff\xff\xff"
        await peer.send(bytes(header))
        answers = await peer.hears_the_end()
        assert [type(answer) for answer in answers] == ([Reject] if logged_in else [])

    (line,) = beside_a_healthy_session(misdeed)
    assert "announces a data segment of 16777215 bytes; the limit here is 262144" in line


@pytest.mark.parametrize("first", [b"", encode(LoginRequest(itt=1))[:40]], ids=["nothing", "half a login"])
def test_who_connects_and_says_nothing_is_dropped_after_the_login_timeout(first: bytes) -> None:
    async def misdeed(served: Served) -> None:
        peer = await served.connect()
        await peer.send(first)
        assert await peer.hears_the_end() == []

    (line,) = beside_a_healthy_session(misdeed, login_timeout_s=0.2)
    assert line.endswith("no login within 0.2 s")


def test_a_login_that_goes_on_for_ever_is_cut_off_by_the_same_timeout() -> None:
    async def misdeed(served: Served) -> None:
        peer = await served.connect()
        with contextlib.suppress(ConnectionError):
            for byte in encode(LoginRequest(itt=1, data=b"X" * 4096)):
                await peer.send(bytes((byte,)))
                await asyncio.sleep(0.02)

    (line,) = beside_a_healthy_session(misdeed, login_timeout_s=0.2)
    assert line.endswith("no login within 0.2 s")


def test_connections_above_the_limit_are_broken_at_once_and_those_below_live() -> None:
    async def misdeed(served: Served) -> None:
        inside = [await served.connect() for _ in range(3)]
        while len(served.server.connections()) < 4:
            await asyncio.sleep(0.01)
        for _ in range(5):
            outside = await served.connect()
            assert await outside.hears_the_end() == []
        inside.pop().close()
        while len(served.server.connections()) == 4:
            await asyncio.sleep(0.01)
        again = await served.connect()
        assert isinstance(await again.login(5), LoginDone)
        for peer in (*inside, again):
            peer.close()

    beside_a_healthy_session(misdeed, max_connections=4)


def test_one_byte_at_a_time_is_slow_but_right() -> None:
    async def misdeed(served: Served) -> None:
        peer = await served.session()
        for byte in encode(peer.read_command(7, 1)) + encode(NopOut(itt=1, cmd_sn=peer.cmd_sn)):
            await peer.send(bytes((byte,)))
            await asyncio.sleep(0)
        answer: Any = await peer.hear()
        assert answer.data == block_data(7)
        assert isinstance(await peer.hear(), NopIn)
        peer.close()

    beside_a_healthy_session(misdeed)


def test_who_asks_for_much_and_never_reads_fills_a_bounded_buffer_and_is_dropped() -> None:
    """The array stops reading, pings in vain, and breaks the connection; till then it holds no more than it may."""
    bound = 256 << 10

    async def misdeed(served: Served) -> None:
        peer = await served.session(receive_buffer=4096)
        (greedy,) = [each for each in served.server.connections() if each.local == PORTALS[0]]
        transport = greedy._transport
        assert transport is not None
        asked, most = 0, 0
        with contextlib.suppress(ConnectionError):
            while True:
                await peer.send(b"".join(encode(peer.read_command(0, BLOCKS)) for _ in range(100)))
                asked += 100 * BLOCKS * 512
                most = max(most, transport.get_write_buffer_size())
        assert asked > 4 * bound
        assert most < 2 * bound
        while greedy in served.server.connections():
            await asyncio.sleep(0.01)
        peer.close()

    (line,) = beside_a_healthy_session(misdeed, output_high_bytes=bound, nop_interval_s=0.3, nop_timeout_s=0.3)
    assert "silent for" in line


def test_who_reads_late_gets_everything() -> None:
    """The array stops reading from him, and takes it up again when he has caught up."""

    async def misdeed(served: Served) -> None:
        peer = await served.session(receive_buffer=4096)
        (slow,) = [each for each in served.server.connections() if each.local == PORTALS[0]]
        commands = [peer.read_command(0, BLOCKS) for _ in range(400)]
        sending = asyncio.create_task(peer.send(b"".join(map(encode, commands))))
        while not slow._paused:
            await asyncio.sleep(0.01)
        for command in commands:
            read = b""
            while len(read) < BLOCKS * 512:
                answer: Any = await peer.hear()
                assert answer.itt == command.itt
                read += answer.data
            assert read[-512:] == block_data(BLOCKS - 1)
        await sending
        assert await peer.read(9, 1) == block_data(9)
        peer.close()

    beside_a_healthy_session(misdeed, output_high_bytes=256 << 10, command_window=500)


def test_who_never_reads_the_answer_to_his_logout_is_dropped_all_the_same() -> None:
    """The connection lingers so that the last answers get out; not for ever."""

    async def misdeed(served: Served) -> None:
        peer = await served.session(receive_buffer=4096)
        reads = [peer.read_command(0, BLOCKS) for _ in range(400)]
        await peer.send(b"".join(map(encode, [*reads, LogoutRequest(itt=1, immediate=False, cmd_sn=peer.cmd_sn)])))
        while len(served.server.connections()) > 1:
            await asyncio.sleep(0.01)

    (line,) = beside_a_healthy_session(misdeed, linger_s=0.3, output_high_bytes=1 << 30, command_window=500)
    assert line.endswith("logout")


def test_a_connection_broken_in_the_middle_of_a_read() -> None:
    async def misdeed(served: Served) -> None:
        for number in range(5):
            peer = await served.session(number)
            for _ in range(20):
                await peer.send(peer.read_command(0, BLOCKS))
            peer.reset()

    beside_a_healthy_session(misdeed)


def test_a_flood_of_pings_is_answered_in_order() -> None:
    async def misdeed(served: Served) -> None:
        peer = await served.session()
        await peer.send(b"".join(encode(NopOut(itt=tag, cmd_sn=peer.cmd_sn)) for tag in range(1000)))
        for tag in range(1000):
            answer = await peer.hear()
            assert isinstance(answer, NopIn)
            assert (answer.itt, answer.ttt) == (tag, RESERVED_TAG)
        peer.close()

    beside_a_healthy_session(misdeed)
