"""A reset is the end: its sender sends nothing more on the connection, and nobody is told anything afterwards."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.net import SegmentRecord
from sim.net.segment import RST
from tests.unit.sim.net.bench import PORTAL_1, Bench, Peer


class Strict(Peer):
    """Fails when it is told something after `connection_lost`, or loses its connection twice."""

    def data_received(self, data: bytes) -> None:
        assert not self.lost
        super().data_received(data)

    def eof_received(self) -> None:
        assert not self.lost

    def connection_lost(self, error: Exception | None) -> None:
        assert not self.lost
        super().connection_lost(error)


@settings(deadline=None, max_examples=80)
@given(
    client_bytes=st.integers(0, 300_000),
    server_bytes=st.integers(0, 300_000),
    abort_us=st.integers(0, 3_000),
    who=st.sampled_from(["client", "server", "both", "process"]),
)
def test_nothing_follows_a_reset(client_bytes: int, server_bytes: int, abort_us: int, who: str) -> None:
    bench = Bench()
    log: list[SegmentRecord] = []
    accepted: list[Strict] = []

    def accept() -> Strict:
        accepted.append(Strict())
        return accepted[-1]

    async def main() -> None:
        await bench.loop.create_server(accept, PORTAL_1, 3_260)
        _, client = await bench.loop.create_connection(Strict, PORTAL_1, 3_260, local_addr=("192.168.50.105", 0))
        assert isinstance(client, Strict)
        await asyncio.sleep(0.001)
        bench.network.observe(log.append)
        [server] = accepted
        client.transport.write(bytes(client_bytes))
        server.transport.write(bytes(server_bytes))
        await asyncio.sleep(abort_us / 1_000_000)
        if who in ("client", "both"):
            client.transport.abort()
        if who in ("server", "both"):
            server.transport.abort()
        if who == "process":
            bench.array.kill_process(reset=True)
        await asyncio.sleep(30)
        assert len(client.lost) == 1
        assert len(server.lost) == (0 if who == "process" else 1)
        assert bench.states(bench.host) == bench.states(bench.array) == []

    bench.run(main())
    over: set[str] = set()
    for record in log:
        if record.flags & RST:
            over.add(record.nic)
        else:
            assert record.nic not in over
    assert over
