"""Connections, transports and servers behave alike over real sockets and over the simulated network."""

import asyncio
import errno

import pytest

from tests.parity.test_callbacks import both
from tests.parity.worlds import SOON_S, Recorder, Simulated, Stock, World

pytestmark = pytest.mark.parametrize("world", [Stock, Simulated], ids=lambda world: world.name)

MEGABYTE = bytes(range(256)) * 4096


@both
async def test_both_ends_know_both_addresses(world: World) -> None:
    client, server = await world.pair()
    sockname, peername = (client.transport.get_extra_info(name) for name in ("sockname", "peername"))
    assert sockname[0] == world.client_ip
    assert peername == (world.server_ip, world.port)
    assert server.transport.get_extra_info("peername") == sockname
    assert server.transport.get_extra_info("sockname") == peername
    assert client.transport.get_extra_info("nothing of the kind", "default") == "default"


@both
async def test_connection_made_comes_before_data(world: World) -> None:
    class Greeter(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.write(b"welcome")

    await world.listen(Greeter)
    client = await world.connect()
    assert client.calls[0] == "made"
    await client.until_called("data")
    assert client.calls == ["made", "data"]
    assert client.received == b"welcome"


@both
async def test_the_factory_is_called_only_when_the_connection_stands(world: World) -> None:
    server = await world.listen()
    server.close()
    made: list[Recorder] = []
    with pytest.raises(ConnectionRefusedError) as refusal:
        await world.connect(lambda: made.append(Recorder()) or made[0])
    assert refusal.value.errno == errno.ECONNREFUSED
    assert made == []


@both
async def test_a_source_address_that_is_not_there_is_refused(world: World) -> None:
    await world.listen()
    with pytest.raises(OSError, match=r"."):
        await world.loop.create_connection(Recorder, world.server_ip, world.port, local_addr=("203.0.113.7", 0))


@both
async def test_two_servers_cannot_share_an_address(world: World) -> None:
    await world.listen()
    with pytest.raises(OSError, match=r"(?i)address already in use"):
        await world.loop.create_server(Recorder, world.server_ip, world.port)


@both
async def test_bytes_go_both_ways_in_order(world: World) -> None:
    client, server = await world.pair()
    for number in range(200):
        client.transport.write(b"%d," % number)
        server.transport.write(b"%d;" % number)
    await server.until(lambda end: end.received.endswith(b"199,"))
    await client.until(lambda end: end.received.endswith(b"199;"))
    assert server.received == b"".join(b"%d," % number for number in range(200))
    assert client.received == b"".join(b"%d;" % number for number in range(200))


@both
async def test_writelines_and_every_kind_of_buffer(world: World) -> None:
    client, server = await world.pair()
    client.transport.writelines([b"header", bytearray(b"|body"), memoryview(b"|tail"), b""])
    buffer = bytearray(b"|reused")
    client.transport.write(buffer)
    buffer[:] = b"!!!!!!!"
    client.transport.write(memoryview(b"|end"))
    client.transport.write(b"")
    await server.until(lambda end: end.received.endswith(b"end"))
    assert server.received == b"header|body|tail|reused|end"


@both
async def test_only_bytes_can_be_written(world: World) -> None:
    client, _ = await world.pair()
    with pytest.raises(TypeError):
        client.transport.write("text")


@both
async def test_close_sends_what_was_written(world: World) -> None:
    client, server = await world.pair()
    client.transport.write(MEGABYTE)
    client.transport.close()
    assert client.transport.is_closing()
    await server.until_called("lost")
    assert server.received == MEGABYTE
    assert server.calls == ["made", "data", "eof", "lost"]
    await client.until_called("lost")
    assert client.error is server.error is None


@both
async def test_connection_lost_comes_once_and_not_from_within_close(world: World) -> None:
    client, _ = await world.pair()
    client.transport.close()
    client.transport.close()
    client.transport.abort()
    assert client.calls == ["made"]
    await client.until_called("lost")
    await asyncio.sleep(0.01)
    assert client.calls == ["made", "lost"]


@both
async def test_writing_after_close_is_ignored(world: World) -> None:
    client, server = await world.pair()
    client.transport.write(b"before")
    client.transport.close()
    client.transport.write(b"after")
    await server.until_called("lost")
    client.transport.write(b"long after")
    assert server.received == b"before"


@both
async def test_writing_after_write_eof_is_an_error(world: World) -> None:
    client, _ = await world.pair()
    assert client.transport.can_write_eof()
    client.transport.write_eof()
    client.transport.write_eof()
    with pytest.raises(RuntimeError, match="write_eof"):
        client.transport.write(b"late")


@both
async def test_half_close_lets_the_other_side_answer(world: World) -> None:
    client, server = await world.pair()
    server.keep_open = True
    client.transport.write(b"question")
    client.transport.write_eof()
    await server.until_called("eof")
    assert not server.transport.is_closing()
    server.transport.write(b"answer")
    server.transport.close()
    await client.until_called("lost")
    assert client.received == b"answer"
    assert client.calls == ["made", "data", "eof", "lost"]
    assert server.received == b"question"


@both
async def test_an_eof_that_is_not_answered_closes(world: World) -> None:
    client, server = await world.pair()
    client.transport.write_eof()
    await server.until_called("lost")
    assert server.calls == ["made", "eof", "lost"]
    await client.until_called("lost")


@both
async def test_both_ends_may_close_at_once(world: World) -> None:
    client, server = await world.pair()
    client.transport.close()
    server.transport.close()
    await client.until_called("lost")
    await server.until_called("lost")
    assert client.error is server.error is None


@both
async def test_abort_over_unread_data_is_seen_as_a_reset(world: World) -> None:
    client, server = await world.pair()
    client.transport.pause_reading()
    server.transport.write(b"never read")
    await asyncio.sleep(0.05)
    client.transport.abort()
    await server.until_called("lost")
    assert isinstance(server.error, ConnectionResetError)
    await client.until_called("lost")
    assert client.error is None


@both
async def test_closing_over_unread_data_is_seen_as_a_reset(world: World) -> None:
    client, server = await world.pair()
    client.transport.pause_reading()
    server.transport.write(b"never read")
    await asyncio.sleep(0.05)
    client.transport.close()
    await server.until_called("lost")
    assert isinstance(server.error, ConnectionResetError)


@both
async def test_writing_to_a_peer_that_has_gone_ends_in_an_error(world: World) -> None:
    client, server = await world.pair()
    server.keep_open = True
    client.transport.close()
    await server.until_called("eof")
    server.transport.write(b"anyone there?")
    await asyncio.sleep(0.05)
    server.transport.write(b"hello?")
    await server.until_called("lost")
    assert isinstance(server.error, (ConnectionResetError, BrokenPipeError))


@both
async def test_a_paused_reader_gets_nothing_until_it_resumes(world: World) -> None:
    client, server = await world.pair()
    server.transport.pause_reading()
    server.transport.pause_reading()
    assert not server.transport.is_reading()
    client.transport.write(b"patience")
    await asyncio.sleep(0.05)
    assert server.calls == ["made"]
    server.transport.resume_reading()
    server.transport.resume_reading()
    assert server.transport.is_reading()
    assert server.calls == ["made"]
    await server.until_called("data")
    assert server.received == b"patience"


@both
async def test_an_eof_waits_for_a_paused_reader(world: World) -> None:
    client, server = await world.pair()
    server.transport.pause_reading()
    client.transport.write(b"last words")
    client.transport.close()
    await asyncio.sleep(0.05)
    assert server.calls == ["made"]
    server.transport.resume_reading()
    await server.until_called("lost")
    assert server.received == b"last words"
    assert server.calls == ["made", "data", "eof", "lost"]


@both
async def test_a_reader_that_pauses_in_its_callback_is_left_alone(world: World) -> None:
    class OneAtATime(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    await world.listen(OneAtATime)
    client = await world.connect()
    client.transport.write(MEGABYTE)
    await asyncio.sleep(0.05)
    [server] = world.accepted
    first = len(server.received)
    assert 0 < first < len(MEGABYTE)
    while len(server.received) < len(MEGABYTE):
        before = len(server.received)
        server.transport.resume_reading()
        await server.until(lambda end, before=before: len(end.received) > before)
    assert server.received == MEGABYTE


@both
async def test_a_full_buffer_pauses_the_writer_once_and_resumes_it_once(world: World) -> None:
    client, server = await world.pair()
    server.transport.pause_reading()
    assert client.transport.get_write_buffer_limits() == (16_384, 65_536)
    written = 0
    while "pause" not in client.calls:
        client.transport.write(MEGABYTE)
        written += len(MEGABYTE)
        assert written < 100 * len(MEGABYTE)
        await asyncio.sleep(0)
    assert client.transport.get_write_buffer_size() > 65_536
    client.transport.write(b"x")
    assert client.calls == ["made", "pause"]
    server.transport.resume_reading()
    await client.until_called("resume")
    assert client.transport.get_write_buffer_size() <= 16_384
    await server.until(lambda end: len(end.received) == written + 1)
    assert client.calls == ["made", "pause", "resume"]


@both
async def test_buffer_limits_default_as_documented(world: World) -> None:
    client, _ = await world.pair()
    limits = client.transport.get_write_buffer_limits
    client.transport.set_write_buffer_limits(high=1000)
    assert limits() == (250, 1000)
    client.transport.set_write_buffer_limits(low=100)
    assert limits() == (100, 400)
    client.transport.set_write_buffer_limits()
    assert limits() == (16_384, 65_536)
    with pytest.raises(ValueError, match="high"):
        client.transport.set_write_buffer_limits(high=1, low=2)


@both
async def test_the_protocol_can_be_changed(world: World) -> None:
    client, server = await world.pair()
    other = Recorder()
    other.calls.append("took over")
    server.transport.set_protocol(other)
    assert server.transport.get_protocol() is other
    client.transport.write(b"to the new one")
    await other.until_called("data")
    assert server.received == b""


@both
async def test_a_closed_server_refuses_and_leaves_its_connections(world: World) -> None:
    client, server = await world.pair()
    listening = world.servers[0]
    assert listening.is_serving()
    listening.close()
    assert not listening.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await world.connect()
    client.transport.write(b"still here")
    await server.until_called("data")


@both
async def test_a_server_can_be_started_again_at_its_address(world: World) -> None:
    client, server = await world.pair()
    port = world.port
    world.servers[0].close()
    server.transport.close()
    await client.until_called("lost")
    again = await world.loop.create_server(Recorder, world.server_ip, port)
    world.servers.append(again)
    assert await world.connect()


@both
async def test_a_server_may_begin_to_serve_later(world: World) -> None:
    server = await world.loop.create_server(Recorder, world.server_ip, 0, start_serving=False)
    world.servers.append(server)
    assert not server.is_serving()
    await server.start_serving()
    assert server.is_serving()
    world.port = world.bound_port(server)
    await world.connect()


@both
async def test_serving_for_ever_ends_by_cancellation(world: World) -> None:
    server = await world.listen()
    forever = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0.01)
    await world.connect()
    forever.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forever
    assert not server.is_serving()


@both
async def test_a_connect_can_be_cancelled(world: World) -> None:
    await world.listen()
    connecting = asyncio.create_task(world.connect())
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert await world.connect()


@both
async def test_an_error_in_data_received_ends_the_connection(world: World) -> None:
    class Clumsy(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError("dropped it")

    seen: list[Exception] = []
    world.loop.set_exception_handler(lambda loop, context: seen.append(context["exception"]))
    await world.listen(Clumsy)
    client = await world.connect()
    client.transport.write(b"catch")
    await client.until_called("lost")
    [server] = world.accepted
    await server.until_called("lost")
    world.loop.set_exception_handler(None)
    assert isinstance(server.error, LookupError)
    assert seen == [server.error]


@both
async def test_many_connections_at_once(world: World) -> None:
    class Echo(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(data)

    await world.listen(Echo)
    clients = await asyncio.gather(*(world.connect() for _ in range(20)))
    for number, client in enumerate(clients):
        client.transport.write(b"%d" % number * 1000)
    async with asyncio.timeout(SOON_S):
        for number, client in enumerate(clients):
            expected = b"%d" % number * 1000
            await client.until(lambda end, expected=expected: end.received == expected)
    assert len({client.transport.get_extra_info("sockname") for client in clients}) == 20
