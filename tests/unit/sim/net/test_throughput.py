"""Line rate is what arithmetic says: payload over payload and headers, for every frame of the wire."""

import asyncio

import pytest

from sim.loop import SimLoop
from sim.net import Network
from tests.unit.sim.net.bench import NIC_A, NIC_B, PORTAL_1, PORTAL_2, Bench

CHUNK = bytes(65_536)
# How much is sent before and while the rate is taken.
WARM_UP_BYTES, MEASURED_BYTES = 2_000_000, 8_000_000


class Source(asyncio.Protocol):
    """Sends without end."""

    def connection_made(self, transport):
        self.transport = transport
        self.resume_writing()

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        while not self.paused and not self.transport.is_closing():
            self.transport.writelines([CHUNK[:48], CHUNK])


class Sink(asyncio.Protocol):
    """Takes the time between two byte counts."""

    def __init__(self, loop):
        self.loop, self.received, self.since_ns, self.rate = loop, 0, 0, loop.create_future()

    def data_received(self, data):
        self.received += len(data)
        if not self.since_ns and self.received >= WARM_UP_BYTES:
            self.since_ns, self.received = self.loop.now_ns, WARM_UP_BYTES
        elif self.received >= WARM_UP_BYTES + MEASURED_BYTES and not self.rate.done():
            elapsed_ns = self.loop.now_ns - self.since_ns
            self.rate.set_result((self.received - WARM_UP_BYTES) * 8_000_000_000 / elapsed_ns)


async def flow(loop, source, portal):
    """Goodput of one flow in bits per second."""
    sink = Sink(loop)
    await loop.create_server(lambda: sink, portal, 3_260)
    transport, _ = await loop.create_connection(Source, portal, 3_260, local_addr=(source, 0))
    rate = await sink.rate
    transport.abort()
    return rate


@pytest.mark.parametrize(
    ("profile", "rate_bits_per_s", "share"),
    [
        ("windows-2003", 1_000_000_000, 1_460 / 1_538),
        ("windows-2012", 1_000_000_000, 1_460 / 1_538),
        ("linux", 1_000_000_000, 1_448 / 1_538),
        ("linux", 10_000_000_000, 1_448 / 1_538),
        ("windows-2003", 100_000_000, 1_460 / 1_538),
    ],
)
def test_one_flow_fills_its_link(profile: str, rate_bits_per_s: int, share: float) -> None:
    loop = SimLoop()
    network = Network(loop, 1)
    network.add_host("a", profile).add_nic("nic", "10.0.0.1", 24, rate_bits_per_s=rate_bits_per_s)
    network.add_host("b", profile).add_nic("nic", "10.0.0.2", 24, rate_bits_per_s=rate_bits_per_s)
    goodput = loop.run_coroutine(flow(loop, "10.0.0.1", "10.0.0.2"))
    assert 0.995 * share * rate_bits_per_s < goodput <= 1.001 * share * rate_bits_per_s


def test_a_sixty_four_kilobyte_window_fills_a_gigabit_until_the_round_trip_is_too_long() -> None:
    def goodput(latency_ns: int) -> float:
        loop = SimLoop()
        network = Network(loop, 1)
        network.add_host("a", "windows-2003").add_nic("nic", "10.0.0.1", 24, latency_ns=latency_ns)
        network.add_host("b", "windows-2003").add_nic("nic", "10.0.0.2", 24)
        return loop.run_coroutine(flow(loop, "10.0.0.1", "10.0.0.2"))

    line_rate = 1_460 / 1_538 * 1e9
    assert goodput(10_000) > 0.995 * line_rate
    assert goodput(150_000) > 0.995 * line_rate
    # Beyond that it is the window over the round trip, less what waiting for a whole burst costs.
    limit = 65_535 * 8 / 0.001_030
    assert 0.75 * limit < goodput(500_000) < limit


def test_two_flows_over_two_links_give_the_sum() -> None:
    bench, rates = Bench(), []

    async def main() -> None:
        rates.extend(await asyncio.gather(flow(bench.loop, NIC_A, PORTAL_1), flow(bench.loop, NIC_B, PORTAL_2)))

    bench.run(main())
    assert sum(rates) > 1.99 * 1_460 / 1_538 * 1e9


def test_two_flows_into_one_link_share_it() -> None:
    bench, rates = Bench(), []
    bench.array.add_nic("eth2", "192.168.51.4", 22)

    async def main() -> None:
        sinks = [Sink(bench.loop), Sink(bench.loop)]
        await bench.loop.create_server(lambda: sinks.pop(), PORTAL_1, 3_260)
        first, second = sinks
        for source in (NIC_A, NIC_B):
            await bench.loop.create_connection(Source, PORTAL_1, 3_260, local_addr=(source, 0))
        rates.extend(await asyncio.gather(first.rate, second.rate))

    bench.run(main())
    assert rates[0] == pytest.approx(rates[1], rel=0.05)
    assert sum(rates) == pytest.approx(1_460 / 1_538 * 1e9, rel=0.02)


def test_a_burst_arrives_when_its_last_frame_would_have() -> None:
    # Three frames, store and forward per frame: all on the first link, one more on the second; two cables, one switch.
    bench = Bench()

    async def main() -> None:
        await bench.listen()
        peer, other = await bench.pair()
        peer.transport.write(bytes(20_000))  # so that the congestion window has room for a burst
        await asyncio.sleep(0.2)
        before_ns = bench.loop.now_ns
        peer.transport.write(bytes(3 * 1_460))
        await asyncio.sleep(0.001)
        frame_ns = 1_538 * 8
        assert other.arrived_ns - before_ns == 4 * frame_ns + 10_000 + 5_000 + 10_000

    bench.run(main())


@pytest.mark.parametrize(("ingress", "egress"), [(10**9, 10**8), (10**8, 10**9), (10**10, 10**9)])
def test_a_burst_between_links_of_different_rate(ingress: int, egress: int) -> None:
    bench = Bench()

    async def main() -> None:
        await bench.listen()
        peer, other = await bench.pair()
        bench.nic_a.rate_bits_per_s, bench.eth0.rate_bits_per_s = ingress, egress
        before_ns = bench.loop.now_ns
        peer.transport.write(bytes(2 * 1_460))
        await asyncio.sleep(0.01)
        bits = 1_538 * 8
        slow, fast = bits * 10**9 // min(ingress, egress), bits * 10**9 // max(ingress, egress)
        # The slow link carries all frames; the fast one adds the frame that the slow one waits for, or sends last.
        assert other.arrived_ns - before_ns == pytest.approx(2 * slow + fast + 25_000, abs=2)

    bench.run(main())
