"""A machine on the network: interfaces, addresses, ports, connections, and what happens to them when it dies.

Addressing follows Windows' weak host model as far as one subnet shows it: the default source for a destination is the
first interface, in the order they were added, whose prefix covers it, so two interfaces on one subnet mean that the
second is used only by those who ask for it; a segment leaves through the interface that has its source address.
Ephemeral ports are taken in sequence, as Windows Server 2003 does, passing over those in use.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Protocol

from sim.net.nic import Nic
from sim.net.segment import ACK, RST, SYN, Address, Flow, Segment
from sim.net.tcp import TcpEndpoint, TcpState
from sim.net.tcp_profiles import TcpProfile
from sim.net.tcp_socket import TcpSocket, established_future

if TYPE_CHECKING:
    import asyncio

    from sim.net.network import Network


@dataclass(frozen=True, slots=True)
class SocketRow:
    """A line of netstat: `state` is LISTENING or the name of a TCP state; `offload` whether the NIC runs it."""

    local: Address
    remote: Address | None
    state: str
    offload: bool


class Listener(Protocol):
    """Who takes connections to a port."""

    backlog: int

    def established(self, socket: TcpSocket) -> None:
        """A connection is there."""


class Host:
    """A simulated machine. Made by `Network.add_host`."""

    def __init__(self, network: Network, name: str, tcp_profile: TcpProfile, next_port: int | None) -> None:
        self.network = network
        self.name = name
        self.tcp_profile = tcp_profile
        self.nics: dict[str, Nic] = {}
        self.up = True
        self._next_port = tcp_profile.first_port if next_port is None else next_port
        self._sockets: dict[Flow, TcpSocket] = {}
        self._listeners: dict[Address, Listener] = {}
        self._nic_of: dict[str, Nic] = {}
        self._isn = network.stream(f"isn:{name}")

    def __repr__(self) -> str:
        return f"<Host {self.name}>"

    # -- configuration -------------------------------------------------------------------------------------------------

    def add_nic(
        self,
        name: str,
        ip: str | None,
        prefix: int,
        rate_bits_per_s: int = 1_000_000_000,
        latency_ns: int = 10_000,
        offload: bool = False,
        mtu: int = 1_500,
    ) -> Nic:
        """Plug an interface into the switch. `prefix` is the subnet's length in bits, `latency_ns` one way.

        Raises ValueError for a name or address in use and for numbers that make no sense.
        """
        if name in self.nics:
            raise ValueError(f"{self.name} has an interface {name} already")
        if not 0 <= prefix <= 32 or not 576 <= mtu <= 65_535:
            raise ValueError(f"{self.name}/{name}: prefix 0 to 32 and MTU 576 to 65535 wanted, not {prefix} and {mtu}")
        nic = self.network.make_nic(self, name, prefix, rate_bits_per_s, latency_ns, offload, mtu)
        self.nics[name] = nic
        if ip is not None:
            nic.add_address(ip)
        return nic

    def address_added(self, ip: str, nic: Nic) -> None:
        """A NIC of this host got an address."""
        self._nic_of[ip] = nic

    def address_removed(self, ip: str) -> None:
        """A NIC of this host lost an address. Its connections are not told: they find out by time-out."""
        del self._nic_of[ip]

    def source_for(self, remote_ip: str) -> str:
        """The address from which `remote_ip` is reached unless someone chooses another.

        That of the first interface whose subnet covers it; an interface without carrier is passed over where the
        operating system notices (`media_sense`). Raises OSError (ENETUNREACH) when there is none.
        """
        for nic in self.nics.values():
            if not nic.carrier and self.tcp_profile.media_sense:
                continue
            for ip in nic.addresses:
                if _covers(ip, nic.prefix_length, remote_ip):
                    return ip
        raise OSError(errno.ENETUNREACH, f"Network is unreachable: {self.name} has no interface towards {remote_ip}")

    # -- ports and connections -----------------------------------------------------------------------------------------

    def connections(self) -> list[SocketRow]:
        """What netstat would show: listeners, then connections in the order they were made."""
        rows = [SocketRow(local, None, "LISTENING", False) for local in self._listeners]
        for (local, remote), socket in self._sockets.items():
            nic = self._nic_of.get(local[0])
            state = socket.endpoint.state
            offload = nic is not None and nic.offload and state is TcpState.ESTABLISHED
            rows.append(SocketRow(local, remote, state.value, offload))
        return rows

    def take_port(self, ip: str) -> int:
        """The next ephemeral port that nothing at this host uses. Raises OSError (EADDRINUSE) when all are in use."""
        first, last = self.tcp_profile.first_port, self.tcp_profile.last_port
        used = {local[1] for local, _ in self._sockets}
        used.update(port for _, port in self._listeners)
        for _ in range(last - first + 1):
            port = self._next_port
            self._next_port = port + 1 if port < last else first
            if port not in used:
                return port
        raise OSError(
            errno.EADDRINUSE, f"Address already in use: no port of {self.name} between {first} and {last} is free"
        )

    def connect(self, local: Address, remote: Address) -> tuple[TcpSocket, asyncio.Future[None]]:
        """Start connecting from `local` (port 0: an ephemeral one) to `remote`.

        The future ends when the connection stands, or with the OSError that a socket's connect would raise. Raises
        OSError at once when the address is not there, the port taken, or the network unreachable.
        """
        ip, port = local
        nic = self._nic_of.get(ip)
        if nic is None or not self.up:
            raise OSError(errno.EADDRNOTAVAIL, f"Cannot assign requested address: {self.name} has no {ip} now")
        if self.tcp_profile.media_sense and not nic.carrier:
            raise OSError(errno.ENETUNREACH, f"Network is unreachable: {nic.label} has no carrier")
        if not _covers(ip, nic.prefix_length, remote[0]):
            raise OSError(
                errno.ENETUNREACH, f"Network is unreachable: {ip}/{nic.prefix_length} does not reach {remote[0]}"
            )
        if not port:
            port = self.take_port(ip)
        flow = ((ip, port), remote)
        if flow in self._sockets:
            raise OSError(errno.EADDRINUSE, f"Address already in use: {ip}:{port} to {remote[0]}:{remote[1]}")
        future, settle = established_future(self.network.loop)
        socket = TcpSocket(self, self._endpoint(nic, flow), settle)
        self._sockets[flow] = socket
        socket.open()
        if self.tcp_profile.neighbour_ns is not None:
            self.network.loop.call_later(
                self.tcp_profile.neighbour_ns / 1e9, self._no_neighbour, socket, nic, remote[0]
            )
        return socket, future

    def _no_neighbour(self, socket: TcpSocket, nic: Nic, remote_ip: str) -> None:
        """Address resolution has been tried for long enough: is there anyone who answers for the address?"""
        owner = self.network.switch.ports.get(remote_ip)
        answered = nic.passing and owner is not None and owner.passing and owner.host.up
        if socket.endpoint.state is TcpState.SYN_SENT and not answered:
            socket.disconnect(OSError(errno.EHOSTUNREACH, f"No route to host: nobody answers for {remote_ip}"))

    def _endpoint(self, nic: Nic, flow: Flow) -> TcpEndpoint:
        local, remote = flow
        return TcpEndpoint(
            self.tcp_profile, local, remote, self._isn.bits(32), mtu=nic.mtu, burst_bytes=nic.burst_bytes
        )

    def listen(self, local: Address, listener: Listener) -> Address:
        """Let `listener` take connections to `local` (port 0: an ephemeral one); returns the address bound."""
        ip, port = local
        if ip not in self._nic_of or not self.up:
            raise OSError(errno.EADDRNOTAVAIL, f"Cannot assign requested address: {self.name} has no {ip} now")
        bound = (ip, port or self.take_port(ip))
        if bound in self._listeners:
            raise OSError(errno.EADDRINUSE, f"Address already in use: {ip}:{bound[1]}")
        self._listeners[bound] = listener
        return bound

    def unlisten(self, local: Address, listener: Listener) -> None:
        """Stop taking connections to `local`, if it is still `listener` who takes them."""
        if self._listeners.get(local) is listener:
            del self._listeners[local]

    def is_listening(self, local: Address, listener: Listener) -> bool:
        """Whether `listener` takes connections to `local`."""
        return self._listeners.get(local) is listener

    def forget(self, socket: TcpSocket) -> None:
        """TCP is done with the connection."""
        if self._sockets.get(socket.flow) is socket:
            del self._sockets[socket.flow]

    # -- data path -----------------------------------------------------------------------------------------------------

    def transmit(self, source_ip: str, segments: list[Segment]) -> None:
        """Send segments, all to one address, from one of this host's; nowhere when it has that no more."""
        nic = self._nic_of.get(source_ip)
        if nic is None:
            return
        if segments[0].flow[0][0] in self._nic_of:  # to ourselves: it never leaves the machine
            env = self.network.loop.env
            for segment in segments:
                env.carry(env._now, segment, (self.receive,))
            return
        for segment in segments:
            nic.transmit(segment)

    def receive(self, segment: Segment) -> None:
        """A segment arrived for one of this host's addresses."""
        if not self.up:
            return
        socket = self._sockets.get(segment.flow)
        if socket is not None and not (segment.flags & SYN and self._makes_way(socket, segment)):
            socket.receive(segment)
            return
        self._receive_unknown(segment)

    def _makes_way(self, socket: TcpSocket, segment: Segment) -> bool:
        # RFC 9293 3.6.1: a new SYN beyond the old connection's numbers may end its TIME_WAIT.
        endpoint = socket.endpoint
        if endpoint.state is TcpState.TIME_WAIT and segment.seq > endpoint.received.next:
            socket.vanish()
            self.forget(socket)
            return True
        return False

    def _receive_unknown(self, segment: Segment) -> None:
        flow, flags = segment.flow, segment.flags
        local, remote = flow
        if local[0] not in self._nic_of or flags & RST:
            return
        if flags & (SYN | ACK) == SYN:
            listener = self._listeners.get(local)
            if listener is not None:
                if self._half_open(local) < listener.backlog:
                    socket = TcpSocket(self, self._endpoint(self._nic_of[local[0]], flow), listener.established)
                    self._sockets[flow] = socket
                    socket.answer(segment)
                return
        # RFC 9293 3.5.2 group 1: nobody knows this connection; the reset says so in numbers the sender accepts.
        if flags & ACK:
            answer = Segment((remote, local), RST, segment.ack, 0, 0)
        else:
            answer = Segment((remote, local), RST | ACK, 0, segment.end, 0)
        self.transmit(local[0], [answer])

    def _half_open(self, local: Address) -> int:
        return sum(
            1
            for flow, socket in self._sockets.items()
            if flow[0] == local and socket.endpoint.state is TcpState.SYN_RECEIVED
        )

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    def carrier_lost(self, nic: Nic) -> None:
        """A cable was pulled. With media sense the stack ends the connections of that NIC, and no reset gets out."""
        if not self.tcp_profile.media_sense:
            return
        for flow, socket in list(self._sockets.items()):
            if flow[0][0] in nic.addresses:
                socket.disconnect(
                    ConnectionAbortedError(
                        errno.ECONNABORTED, f"Software caused connection abort: {nic.label} lost carrier"
                    )
                )

    def kill_process(self, *, reset: bool = True) -> None:
        """End what runs on the machine: connections with a reset each or silently, listeners too. The stack lives on.

        The dead program is told nothing. Later segments of its connections are answered by RST.
        """
        self._listeners.clear()
        for socket in list(self._sockets.values()):
            if reset:
                socket.abort()
            else:
                socket.vanish()
        self._sockets.clear()

    def crash(self) -> None:
        """Lose power: all connections and listeners are gone and nothing is answered until `boot`."""
        self.up = False
        self.kill_process(reset=False)

    def boot(self) -> None:
        """Come back with an empty memory: former connections get an RST, ephemeral ports start over."""
        self.up = True
        self._next_port = self.tcp_profile.first_port


@lru_cache(maxsize=1 << 10)
def _covers(ip: str, prefix_length: int, other: str) -> bool:
    """Whether the subnet of an address has another one in it."""
    return IPv4Address(other) in IPv4Network((ip, prefix_length), strict=False)
