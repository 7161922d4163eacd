"""A small world for network tests: a Windows host with two interfaces and an array with three portals."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from sim.loop import SimLoop
from sim.net import Host, Network, Nic

NIC_A, NIC_B = "192.168.50.105", "192.168.50.125"
GROUP, PORTAL_1, PORTAL_2 = "192.168.51.1", "192.168.51.2", "192.168.51.3"
PORT = 3_260


class Peer(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.arrived_ns = 0
        self.lost: list[Exception | None] = []
        self.lost_ns = 0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.arrived_ns = _now_ns()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append(error)
        self.lost_ns = _now_ns()


def _now_ns() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop.now_ns


class Bench:
    """The world and a few ways to use it."""

    def __init__(self, profile: str = "windows-2003", seed: int = 1, rate_bits_per_s: int = 1_000_000_000) -> None:
        self.loop = SimLoop()
        self.network = Network(self.loop, seed)
        self.host: Host = self.network.add_host("w2k3", profile)
        self.nic_a: Nic = self.host.add_nic("3A_iSCSI", NIC_A, 22, rate_bits_per_s=rate_bits_per_s, offload=True)
        self.nic_b: Nic = self.host.add_nic("3B_iSCSI", NIC_B, 22, rate_bits_per_s=rate_bits_per_s)
        self.array: Host = self.network.add_host("PS100", "linux")
        self.eth0: Nic = self.array.add_nic("eth0", PORTAL_1, 22, rate_bits_per_s=rate_bits_per_s)
        self.eth1: Nic = self.array.add_nic("eth1", PORTAL_2, 22, rate_bits_per_s=rate_bits_per_s)
        self.eth0.add_address(GROUP)
        self.accepted: list[Peer] = []

    def run(self, coro: Coroutine[Any, Any, None]) -> None:
        self.loop.run_coroutine(coro)
        self.loop.close()

    def _accept(self) -> Peer:
        self.accepted.append(Peer())
        return self.accepted[-1]

    async def listen(self, *ips: str) -> Any:
        return await self.loop.create_server(self._accept, ips or (GROUP, PORTAL_1, PORTAL_2), PORT)

    async def connect(self, source: str = NIC_A, portal: str = PORTAL_1) -> Peer:
        _, peer = await self.loop.create_connection(Peer, portal, PORT, local_addr=(source, 0))
        assert isinstance(peer, Peer)
        return peer

    async def pair(self, source: str = NIC_A, portal: str = PORTAL_1) -> tuple[Peer, Peer]:
        peer = await self.connect(source, portal)
        await asyncio.sleep(0.001)
        return peer, self.accepted[-1]

    def states(self, host: Host) -> list[str]:
        return [row.state for row in host.connections() if row.remote is not None]
