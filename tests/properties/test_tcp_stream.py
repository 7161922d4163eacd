"""Whatever happens on the way, what is delivered is a prefix of what was sent, and all of it once the FIN is there."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.faults import Blackhole, ClogFault, Fault, JitterFault, Latency, LinkDown, Loss, Rate, Reorder, ShortQueue
from sim.net.impairment import Direction
from sim.net.segment import Segment
from sim.net.tcp import TcpEndpoint
from sim.net.tcp_profiles import LINUX, PROFILES
from sim.rng import stream
from tests.unit.sim.net.bench import Bench, Peer
from tests.unit.sim.net.wire import Wire

CHUNKS = st.lists(st.integers(1, 60_000), min_size=1, max_size=20)
PROFILE = st.sampled_from(sorted(PROFILES))
KINDS = ("blackhole", "cable", "latency", "rate", "deaf", "mute", "loss", "reorder", "jitter", "queue", "clog")
# (kind, when it breaks, for how long), in milliseconds: shorter than any profile gives up.
TROUBLE = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 40), st.integers(1, 2_000)),
    max_size=4,
)


def message(length: int) -> bytes:
    return stream(0, "message").bytes(length)


def fault_of(kind: str, bench: Bench) -> Fault:
    match kind:
        case "blackhole":
            return Blackhole(bench.nic_a)
        case "cable":
            return LinkDown(bench.eth0, carrier=True)
        case "latency":
            return Latency(bench.eth0, 3_000_000)
        case "deaf":
            return Blackhole(bench.nic_a, Direction.IN)
        case "mute":
            return Blackhole(bench.nic_a, Direction.OUT)
        case "loss":
            return Loss(bench.eth0, 0.05)
        case "reorder":
            return Reorder(bench.nic_a, 0.2, 100_000)
        case "jitter":
            return JitterFault(bench.eth0, 2_000_000)
        case "queue":
            return ShortQueue(bench.eth0, 8_000)
        case "clog":
            return ClogFault(bench.nic_a)
    return Rate(bench.nic_a, 100_000_000)


class Fussy(Peer):
    """Pauses after every so many bytes, for a while."""

    def __init__(self, every_bytes: int, pause_ms: int) -> None:
        super().__init__()
        self.every_bytes, self.pause_ms, self.since = every_bytes, pause_ms, 0
        self.finished = False

    def data_received(self, data: bytes) -> None:
        assert not self.lost
        assert not self.finished
        super().data_received(data)
        self.since += len(data)
        if self.since >= self.every_bytes:
            self.since = 0
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(self.pause_ms / 1_000, self.transport.resume_reading)

    def eof_received(self) -> None:
        self.finished = True


@settings(deadline=None, max_examples=60)
@given(
    profile=PROFILE,
    chunks=CHUNKS,
    trouble=TROUBLE,
    every_bytes=st.integers(1_000, 300_000),
    pause_ms=st.integers(1, 700),
    gap_ms=st.integers(0, 5),
)
def test_a_stream_survives_pauses_and_flapping_links(
    profile: str, chunks: list[int], trouble: list[tuple[str, int, int]], every_bytes: int, pause_ms: int, gap_ms: int
) -> None:
    bench = Bench(profile)
    sent = message(sum(chunks))
    reader = Fussy(every_bytes, pause_ms)

    def check() -> None:
        assert sent.startswith(reader.received)

    async def main() -> None:
        await bench.loop.create_server(lambda: reader, "192.168.51.2", 3_260)
        peer = await bench.connect()
        for kind, begin_ms, length_ms in trouble:
            fault = fault_of(kind, bench)
            bench.loop.call_later(begin_ms / 1_000, fault.apply)
            bench.loop.call_later((begin_ms + length_ms) / 1_000, fault.heal)
        position = 0
        for length in chunks:
            peer.transport.write(sent[position : position + length])
            position += length
            await asyncio.sleep(gap_ms / 1_000)
            check()
        peer.transport.close()
        for _ in range(300):
            await asyncio.sleep(1)
            check()
            if reader.finished:
                break
        assert reader.received == sent
        await asyncio.sleep(1)
        assert reader.lost == peer.lost == [None]

    bench.run(main())


@settings(deadline=None, max_examples=60)
@given(chunks=CHUNKS, percent=st.integers(0, 20), seed=st.integers(0, 50))
def test_a_stream_survives_loss_in_both_directions(chunks: list[int], percent: int, seed: int) -> None:
    wire = Wire(LINUX)  # it repeats fifteen times: at these odds it never gives up
    wire.handshake()
    draws = stream(seed, "loss")
    wire.lose = lambda segment: draws.chance(percent / 100)
    both = {wire.client: message(sum(chunks)), wire.server: message(sum(chunks) // 2 + 1)}
    for end, data in both.items():
        position = 0
        for length in chunks:
            if data[position : position + length]:
                end.write(wire.now_ns, data[position : position + length])
            position += length
        end.finish(wire.now_ns)
    wire.run()
    assert wire.got[wire.server] == both[wire.client]
    assert wire.got[wire.client] == both[wire.server]
    assert wire.client.error is wire.server.error is None


class Unpredicted(TcpEndpoint):
    """Takes every segment by the long way."""

    __slots__ = ()

    def receive(self, now_ns: int, segment: Segment) -> None:
        self._receive_any(now_ns, segment)


@settings(deadline=None, max_examples=60)
@given(
    chunks=CHUNKS,
    percent=st.integers(0, 20),
    seed=st.integers(0, 50),
    profile=PROFILE,
    pause_us=st.integers(0, 3_000),
)
def test_header_prediction_changes_nothing(
    chunks: list[int], percent: int, seed: int, profile: str, pause_us: int
) -> None:
    def history(kind: type[TcpEndpoint]) -> list[tuple[object, ...]]:
        wire = Wire(PROFILES[profile], kind=kind)
        wire.handshake()
        draws = stream(seed, "loss")
        wire.lose = lambda segment: draws.chance(percent / 100)
        for length in chunks:
            for end in (wire.client, wire.server):
                end.write(wire.now_ns, bytes(length))
            wire.run(wire.now_ns + pause_us * 1_000)
        wire.client.finish(wire.now_ns)
        wire.server.finish(wire.now_ns)
        wire.run()
        return [(repr(each), each.sent_ns, each.window, each.sack, each.timestamps) for each in wire.sent]

    assert history(TcpEndpoint) == history(Unpredicted)
