"""The simulated world of a scenario: machines, NICs and one switch in virtual time."""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from harness.array import group_config
from harness.array_site import ArraySite
from harness.capture import Capture
from harness.check.suite import Oracles, store_maker
from harness.fault_step import Fault
from harness.scenario import Host as HostModel
from harness.scenario import Scenario
from harness.sim_faults import RateFault, make_sim_fault
from harness.trace import Trace
from harness.world import Shared, SocketLine, WorldFault
from initiator_model.connector import Connector
from initiator_model.profiles import profile_named
from sim.loop import SimLoop
from sim.net.host import Host
from sim.net.network import Network
from sim.net.nic import Nic
from sim.rng import Stream, stream
from target.decisions import Decision

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.Protocol)

ARRAY_HOST = "array"
ARRAY_TCP = "linux"
"""The PS100's own TCP is not known; its firmware is a BSD descendant with timers of the same order (unverified)."""


class SimWorld:
    """Built from a scenario; lives for one run."""

    is_simulated = True

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        trace: Trace | None,
        pcap: Path | None,
        on_decision: Callable[[Decision], None],
        log: Callable[[str], None],
        oracles: Oracles | None = None,
    ) -> None:
        self.loop = SimLoop()
        self.now_ns: Callable[[], int] = partial(getattr, self.loop.env, "_now")
        """See `World.now_ns`. Asked several times for each I/O: this way it takes no step of Python."""
        self.seed = seed
        self.scenario = scenario
        self.network = Network(self.loop, seed, scenario.network.switch_latency_ns)
        if oracles is not None:
            self.network.streams = oracles.streams
        self._hosts = {host.name: self._add_host(host) for host in scenario.hosts}
        self.array_host = self._add_array()
        self.site = ArraySite(
            group_config(scenario.array), self.stream("array").bytes, on_decision, log, store_maker(oracles)
        )
        self.site.power = self._switch_array
        self.rates: dict[str, list[RateFault]] = {}
        self._shared: dict[str, Shared] = {}
        self._capture = Capture(pcap, self._rates()) if pcap is not None else None
        if trace is not None:
            self.network.observe_segments(trace.segment)
        if self._capture is not None:
            self.network.observe(self._capture)

    # -- World -----------------------------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """See `World.run`. The cyclic collector rests meanwhile: a finalizer must not run at a moment it chooses."""
        gc.collect()
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self.loop.run_coroutine(main)
        finally:
            self.loop.close()
            if self._capture is not None:
                self._capture.close()
            if collecting:
                gc.enable()

    def stream(self, name: str) -> Stream:
        """See `World.stream`."""
        return stream(self.seed, name)

    def connector(self, host: str) -> Connector:
        """See `World.connector`."""
        return SimConnector(self.loop, self._hosts[host])

    def sockets(self, host: str) -> list[SocketLine]:
        """See `World.sockets`."""
        return [
            SocketLine(_endpoint(row.local), _endpoint(row.remote), row.state, row.offload)
            for row in self._hosts[host].connections()
            if row.remote is not None
        ]

    def make_fault(self, fault: Fault, reboot: Callable[[str], None], boot: Callable[[str], None]) -> WorldFault:
        """See `World.make_fault`."""
        return make_sim_fault(self, fault, reboot, boot)

    # -- for faults ------------------------------------------------------------------------------------------------

    def shared(self, what: str, fault: WorldFault) -> WorldFault:
        """``fault``, or the one that was made before to break the same thing."""
        return self._shared.setdefault(what, Shared(fault))

    def host(self, name: str) -> Host:
        """The simulated machine of a scenario's host."""
        return self._hosts[name]

    def nic(self, place: str) -> Nic:
        """The NIC at "host/nic"."""
        host, _, nic = place.partition("/")
        return self._hosts[host].nics[nic]

    def portal_nic(self, address: str) -> Nic:
        """The array's NIC that this portal address belongs to, whether it has it now or not."""
        return self.array_host.nics[f"eth{self.scenario.array.portals.index(address)}"]

    def place_group_address(self) -> None:
        """The group address lives on the first interface that has a carrier and its own address."""
        group = self.scenario.array.group_ip
        if group is None:
            return
        for address in self.scenario.array.portals:
            nic = self.portal_nic(address)
            if nic.carrier and address in nic.addresses:
                break
        else:
            return
        holder = self.network.switch.ports.get(group)
        if holder is not nic:
            if holder is not None:
                holder.remove_address(group)
            nic.add_address(group)

    def _switch_array(self, on: bool) -> None:
        """A controller failover: nothing answers for the array's addresses until the other controller serves."""
        if on:
            self.array_host.boot()
        else:
            self.array_host.crash()

    # -- building --------------------------------------------------------------------------------------------------

    def _add_host(self, model: HostModel) -> Host:
        host = self.network.add_host(model.name, profile_named(model.profile).tcp_profile, model.next_port)
        for nic in model.nics:
            host.add_nic(
                nic.name,
                nic.ip,
                nic.prefix_length,
                nic.rate_bits_per_s,
                nic.latency_ns,
                nic.offload,
                self.scenario.network.mtu,
            )
        return host

    def _add_array(self) -> Host:
        array = self.scenario.array
        name = ARRAY_HOST
        while name in self._hosts:
            name += "_"
        host = self.network.add_host(name, ARRAY_TCP)
        prefix = self.scenario.subnet.prefixlen
        for index, address in enumerate(array.portals):
            host.add_nic(
                f"eth{index}", address, prefix, array.rate_bits_per_s, array.latency_ns, mtu=self.scenario.network.mtu
            )
        if array.group_ip is not None:
            host.nics["eth0"].add_address(array.group_ip)
        return host

    def _rates(self) -> dict[str, int]:
        hosts = [*self._hosts.values(), self.array_host]
        return {nic.label: nic.rate_bits_per_s for host in hosts for nic in host.nics.values()}


class SimConnector:
    """The network as one simulated machine reaches it."""

    def __init__(self, loop: SimLoop, host: Host) -> None:
        self._loop = loop
        self._host = host

    async def connect(
        self, factory: Callable[[], P], remote: tuple[str, int], source: str | None
    ) -> tuple[asyncio.Transport, P]:
        """See `Connector.connect`: without a source the machine chooses the first NIC that reaches the remote."""
        try:
            ipaddress.IPv4Address(remote[0])
        except ValueError:
            text = f"{remote[0]} cannot be resolved: this network has IPv4 addresses and no names"
            raise OSError(errno.EADDRNOTAVAIL, text) from None
        local = source if source is not None else self._host.source_for(remote[0])
        transport, protocol = await self._loop.create_connection(factory, remote[0], remote[1], local_addr=(local, 0))
        return transport, cast(P, protocol)


def _endpoint(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
