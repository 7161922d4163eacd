"""What flows over simulated links achieve: the measurements that the closed forms of docs/tcp.md are held against.

Two hosts, one switch, greedy senders. Goodput is taken at the receiving application, between two byte counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sim.faults import Fault, ShortQueue
from sim.loop import SimLoop
from sim.net import Network, Nic
from sim.net.impairment import Direction
from sim.net.tcp_profiles import TcpProfile
from sim.rng import Stream

CHUNK = bytes(65_536)
PORT = 3_260


class Source(asyncio.Protocol):
    """Sends without end."""

    transport: asyncio.Transport
    paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=4 << 20)  # no window here is larger, so none waits for the sender
        self.resume_writing()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        while not self.paused and not self.transport.is_closing():
            self.transport.write(CHUNK)


class Sink(asyncio.Protocol):
    """Counts, and keeps when `warm_up_bytes` and then `measured_bytes` more had come."""

    def __init__(self, loop: SimLoop, warm_up_bytes: int, measured_bytes: int) -> None:
        self._loop = loop
        self._begin, self._end = warm_up_bytes, warm_up_bytes + measured_bytes
        self.received = 0
        self._began: tuple[int, int] | None = None
        self.rate: asyncio.Future[float] = loop.create_future()
        """Bytes per second."""

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self._began is None:
            if self.received >= self._begin:
                self._began = self._loop.now_ns, self.received
        elif self.received >= self._end and not self.rate.done():
            since_ns, before = self._began
            self.rate.set_result((self.received - before) * 1e9 / (self._loop.now_ns - since_ns))


class EveryNth(Stream):
    """In place of random draws: true at every nth one, so that losses are periodic as the formulas have them."""

    def __init__(self, number: int) -> None:
        super().__init__(0, "periodic")
        self._number, self._count = number, 0

    def chance(self, probability: float) -> bool:
        self._count = (self._count + 1) % self._number
        return not self._count


class PeriodicNetwork(Network):
    """A network whose losses are as regular as `EveryNth`."""

    loses_every: int

    def stream(self, name: str) -> Stream:
        return EveryNth(self.loses_every) if name.startswith("loss:") else super().stream(name)


@dataclass
class Path:
    """Two hosts `round_trip_ns` apart, the time on the wire not counted; the first one sends."""

    profile: TcpProfile | str
    round_trip_ns: int
    rate_bits_per_s: int = 10_000_000_000
    seed: int = 1
    loses_every: int | None = None
    """Loss faults take every nth frame, whatever share they name."""

    def __post_init__(self) -> None:
        self.loop = SimLoop()
        if self.loses_every is None:
            self.network = Network(self.loop, self.seed, switch_latency_ns=0)
        else:
            self.network = PeriodicNetwork(self.loop, self.seed, switch_latency_ns=0)
            self.network.loses_every = self.loses_every
        self.near = self._host("near", "10.0.0.1")
        self.far = self._host("far", "10.0.0.2")

    def _host(self, name: str, ip: str) -> Nic:
        host = self.network.add_host(name, self.profile)
        return host.add_nic("nic", ip, 24, self.rate_bits_per_s, self.round_trip_ns // 4)

    def goodput(self, warm_up_bytes: int, measured_bytes: int, faults: Sequence[Fault] = ()) -> float:
        """Bytes per second of one greedy flow, with `faults` standing once it is connected."""

        async def run() -> float:
            sink = Sink(self.loop, warm_up_bytes, measured_bytes)
            await self.loop.create_server(lambda: sink, "10.0.0.2", PORT)
            transport, _ = await self.loop.create_connection(Source, "10.0.0.2", PORT, local_addr=("10.0.0.1", 0))
            for fault in faults:
                fault.apply()
            rate = await sink.rate
            transport.abort()
            return rate

        return self.loop.run_coroutine(run())


def shares_of_a_bottleneck(
    profile: str, round_trip_ns: int, limit_bytes: int, warm_up_s: float, measured_s: float
) -> list[float]:
    """What two hosts of 10 Gbit/s get of one port of 1 Gbit/s with a queue of `limit_bytes`, as parts of 1."""
    loop = SimLoop()
    network = Network(loop, 1, switch_latency_ns=0)

    def host(name: str, ip: str, rate_bits_per_s: int) -> Nic:
        return network.add_host(name, profile).add_nic("nic", ip, 24, rate_bits_per_s, round_trip_ns // 4)

    sources = ("10.0.0.1", "10.0.0.2")
    for number, ip in enumerate(sources):
        host(f"near{number}", ip, 10_000_000_000)
    far = host("far", "10.0.0.3", 1_000_000_000)
    ShortQueue(far, limit_bytes, Direction.IN).apply()
    sinks: list[Sink] = []

    def sink() -> Sink:
        sinks.append(Sink(loop, 0, 1))
        return sinks[-1]

    async def run() -> list[int]:
        await loop.create_server(sink, "10.0.0.3", PORT)
        for ip in sources:
            await loop.create_connection(Source, "10.0.0.3", PORT, local_addr=(ip, 0))
        await asyncio.sleep(warm_up_s)
        before = [each.received for each in sinks]
        await asyncio.sleep(measured_s)
        return [each.received - had for each, had in zip(sinks, before, strict=True)]

    got = loop.run_coroutine(run())
    return [each / sum(got) for each in got]
