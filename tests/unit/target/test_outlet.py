"""What goes into an outlet comes out of the socket, whole and in order, however slowly the peer reads."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from target.outlet import IOV_MAX, NUDGE_BYTES, Outlet, SocketOutlet, TransportOutlet, outlet


class Writer(asyncio.Protocol):
    """The side that has much to say."""

    def __init__(self) -> None:
        self.out: Outlet | None = None
        self.transport: asyncio.Transport | None = None
        self.pauses = 0
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.out = outlet(transport, asyncio.get_running_loop())

    def pause_writing(self) -> None:
        self.pauses += 1

    def resume_writing(self) -> None:
        assert self.out is not None
        self.out.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def _with_pair(story: Callable[[Writer, socket.socket], Awaitable[None]], *, small_buffers: bool = True) -> None:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
        if small_buffers:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    loop = asyncio.get_running_loop()
    _, writer = await loop.create_connection(Writer, sock=ours)
    try:
        async with asyncio.timeout(30):
            await story(writer, theirs)
    finally:
        theirs.close()
        assert writer.transport is not None
        writer.transport.abort()


async def _read(sock: socket.socket, length: int, at_once: int = 65536) -> bytes:
    got = bytearray()
    while len(got) < length:
        piece = await asyncio.get_running_loop().sock_recv(sock, at_once)
        assert piece, f"the stream ended after {len(got)} bytes of {length}"
        got += piece
    return bytes(got)


@given(
    st.lists(st.lists(st.integers(0, 3 * NUDGE_BYTES), min_size=1, max_size=6), min_size=1, max_size=6),
    st.sampled_from((700, 5000, 65536)),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_byte_in_order(wake_ups: list[list[int]], at_once: int) -> None:
    source = random.Random("bytes")
    written = [[source.randbytes(length) for length in lengths] for lengths in wake_ups]
    expected = b"".join(map(b"".join, written))

    async def story(writer: Writer, peer: socket.socket) -> None:
        assert isinstance(writer.out, SocketOutlet)
        for buffers in written:
            writer.out.write(list(buffers))
        assert await _read(peer, len(expected), at_once) == expected
        assert not writer.out.holds

    asyncio.run(_with_pair(story))


def test_more_buffers_than_one_writev_takes() -> None:
    buffers = [bytes([number % 251]) * 3 for number in range(3 * IOV_MAX + 5)]

    async def story(writer: Writer, peer: socket.socket) -> None:
        assert writer.out is not None
        writer.out.write(buffers)
        assert await _read(peer, 3 * len(buffers)) == b"".join(buffers)

    asyncio.run(_with_pair(story, small_buffers=False))


def test_what_is_held_back_is_not_copied_into_the_transport() -> None:
    big = bytes(8 << 20)

    async def story(writer: Writer, peer: socket.socket) -> None:
        assert writer.out is not None
        assert writer.transport is not None
        writer.out.write([big])
        assert writer.out.holds
        assert writer.pauses == 1
        assert writer.transport.get_write_buffer_size() <= NUDGE_BYTES
        await _read(peer, len(big))
        assert not writer.out.holds
        assert writer.transport.get_write_buffer_size() == 0

    asyncio.run(_with_pair(story))


def test_a_broken_peer_ends_the_connection_as_any_transport_would() -> None:
    async def story(writer: Writer, peer: socket.socket) -> None:
        assert writer.out is not None
        peer.close()
        writer.out.write([b"x" * 100])
        assert isinstance(await writer.lost, (BrokenPipeError, ConnectionResetError))

    asyncio.run(_with_pair(story))


class _Elsewhere(asyncio.AbstractEventLoop):
    """A loop whose sockets are its own business."""


def test_on_another_loop_the_transport_writes() -> None:
    class Transport(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[list[bytes]] = []

        def writelines(self, list_of_data: object) -> None:
            assert isinstance(list_of_data, list)
            self.lines.append(list_of_data)

    transport = Transport()
    out = outlet(transport, _Elsewhere())
    assert isinstance(out, TransportOutlet)
    out.write([b"a", b"b"])
    assert transport.lines == [[b"a", b"b"]]
    assert not out.holds


@pytest.mark.parametrize("length", [0, 1, NUDGE_BYTES, NUDGE_BYTES + 1])
def test_a_short_write_goes_straight_out(length: int) -> None:
    async def story(writer: Writer, peer: socket.socket) -> None:
        assert writer.out is not None
        writer.out.write([bytes(length), b"end"])
        assert await _read(peer, length + 3) == bytes(length) + b"end"
        assert not writer.pauses

    asyncio.run(_with_pair(story, small_buffers=False))
