"""The network: one switch, the hosts around it, and who watches.

Building a `Network` on a `SimLoop` gives the loop its `create_connection` and `create_server`.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address

from sim.loop import SimLoop
from sim.loop_network import ProtocolFactory
from sim.net.host import Host
from sim.net.listener import SimServer
from sim.net.nic import Nic, SegmentObserver
from sim.net.segment import Address, SegmentRecord
from sim.net.switch import Switch
from sim.net.tcp_profiles import TcpProfile, profile
from sim.net.tcp_socket import StreamObserver
from sim.net.transport import SimTransport
from sim.rng import Stream, stream

SWITCH_LATENCY_NS = 5_000


class Network:
    """Everything between the hosts. `hosts` holds them by name, `switch` is the one switch."""

    def __init__(self, loop: SimLoop, seed: int | str, switch_latency_ns: int = SWITCH_LATENCY_NS) -> None:
        if loop.network is not None:
            raise ValueError("the loop has a network already")
        self.loop = loop
        self.seed = seed
        self.switch = Switch(loop.env, switch_latency_ns)
        self.hosts: dict[str, Host] = {}
        self.streams: StreamObserver | None = None
        """Who watches the sockets; to be set before there are any."""
        self._observers: list[SegmentObserver] = []
        self._nic_count = 0
        loop.network = self

    def stream(self, name: str) -> Stream:
        """The random stream of a part of the network."""
        return stream(self.seed, f"net:{name}")

    def add_host(self, name: str, tcp_profile: TcpProfile | str, next_port: int | None = None) -> Host:
        """Add a machine; `next_port` is the first ephemeral port it will use (default: its profile's first)."""
        if name in self.hosts:
            raise ValueError(f"the network has a host {name} already")
        if isinstance(tcp_profile, str):
            tcp_profile = profile(tcp_profile)
        if next_port is not None and not tcp_profile.first_port <= next_port <= tcp_profile.last_port:
            raise ValueError(
                f"host {name}: next_port {next_port} is outside {tcp_profile.name}'s ephemeral ports,"
                f" {tcp_profile.first_port} to {tcp_profile.last_port}"
            )
        host = self.hosts[name] = Host(self, name, tcp_profile, next_port)
        return host

    def make_nic(
        self, host: Host, name: str, prefix: int, rate_bits_per_s: int, latency_ns: int, offload: bool, mtu: int
    ) -> Nic:
        """A NIC with the next MAC address (locally administered, counted from 1)."""
        self._nic_count += 1
        octets = (0x020000000000 + self._nic_count).to_bytes(6, "big")
        mac = ":".join(f"{octet:02x}" for octet in octets)
        return Nic(host, name, mac, prefix, rate_bits_per_s, latency_ns, offload, mtu, self.switch, self._observers)

    def observe(self, observer: Callable[[SegmentRecord], None]) -> None:
        """Call `observer` with a record of every segment as it leaves a NIC. Observers look; they change nothing."""
        self._observers.append(lambda now_ns, nic, segment: observer(nic.record(now_ns, segment)))

    def observe_segments(self, observer: SegmentObserver) -> None:
        """The same with the segment itself, for an observer that needs little of it: making a record is costly."""
        self._observers.append(observer)

    def owner_of(self, ip: str) -> Host:
        """The host that has the address now. Raises OSError (EADDRNOTAVAIL) when none has."""
        nic = self.switch.ports.get(_ipv4(ip))
        if nic is None:
            raise OSError(errno.EADDRNOTAVAIL, f"Cannot assign requested address: no host has {ip}")
        return nic.host

    async def create_connection(
        self, factory: ProtocolFactory, remote: Address, local: Address | None
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """What `SimLoop.create_connection` does."""
        _ipv4(remote[0])
        if local is None:
            raise ValueError("create_connection: local_addr is wanted; it says which simulated host connects")
        socket, established = self.owner_of(local[0]).connect(local, remote)
        try:
            await established
            waiter = self.loop.create_future()
            transport = SimTransport(self.loop, socket, factory(), waiter)
        except BaseException:
            socket.abort()
            raise
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, transport.get_protocol()

    async def create_server(
        self, factory: ProtocolFactory, addresses: list[Address], backlog: int, start_serving: bool
    ) -> asyncio.AbstractServer:
        """What `SimLoop.create_server` does."""
        if not addresses:
            raise ValueError("create_server: at least one address is wanted")
        places = [(self.owner_of(ip), (ip, port)) for ip, port in addresses]
        server = SimServer(self.loop, places, factory, backlog)
        if start_serving:
            server.listen()
        return server


def _ipv4(ip: str) -> str:
    try:
        IPv4Address(ip)
    except AddressValueError:
        raise ValueError(f"simulated addresses are IPv4 literals, not {ip!r}: there is no name service") from None
    return ip
