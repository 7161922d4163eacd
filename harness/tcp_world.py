"""The real world of a scenario: a stock asyncio loop, the kernel's TCP, addresses in 127.0.0.0/8 (`harness.loopback`).

Ports are the kernel's, time is the wall's, links are as fast as memory. A fault that has no meaning here is refused by
its name; the scenario then marks its steps with ``net = "sim"``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from harness.array import group_config
from harness.array_site import ArraySite
from harness.check.suite import Oracles, store_maker
from harness.fault_step import Fault
from harness.scenario import Scenario
from harness.world import ArraysOwn, Shared, SocketLine, WorldError, WorldFault
from initiator_model.connector import Connector
from initiator_model.link import endpoint
from sim.rng import Stream, stream
from target.decisions import Decision

SUPPORTED_FAULTS = ("portal_down", "array_kill", "host_reboot")

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.Protocol)


class TcpWorld:
    """Built from a scenario whose addresses are on loopback already; lives for one run."""

    is_simulated = False

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        on_decision: Callable[[Decision], None],
        log: Callable[[str], None],
        oracles: Oracles | None = None,
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self.seed = seed
        self.scenario = scenario
        self.site = ArraySite(
            group_config(scenario.array), self.stream("array").bytes, on_decision, log, store_maker(oracles)
        )
        self._connectors = {host.name: TcpConnector(host.nics[0].ip) for host in scenario.hosts}
        self._shared: dict[str, Shared] = {}
        self._start_s = self.loop.time()

    # -- World -----------------------------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """See `World.run`."""
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:  # it cancels what is left, and closes the loop
            try:
                return runner.run(main)
            finally:
                self.site.close()
                for connector in self._connectors.values():
                    connector.abort()
                runner.run(asyncio.sleep(0.05))  # let aborted transports report before the loop goes

    def now_ns(self) -> int:
        """See `World.now_ns`."""
        return round((self.loop.time() - self._start_s) * 1e9)

    def stream(self, name: str) -> Stream:
        """See `World.stream`."""
        return stream(self.seed, name)

    def connector(self, host: str) -> Connector:
        """See `World.connector`."""
        return self._connectors[host]

    def sockets(self, host: str) -> list[SocketLine]:
        """See `World.sockets`: the host's own connections; nothing is offloaded."""
        return [SocketLine(local, remote, "ESTABLISHED", False) for local, remote in self._connectors[host].open()]

    def make_fault(self, fault: Fault, reboot: Callable[[str], None], boot: Callable[[str], None]) -> WorldFault:
        """See `World.make_fault`."""
        if (of_array := fault_of_array(self.site, fault)) is not None:
            return of_array
        if fault.kind == "host_reboot" and fault.host is not None:
            down = _HostReboot(self._connectors[fault.host], fault.host, reboot, boot)
            return self._shared.setdefault(fault.host, Shared(down))
        raise WorldError(f'a fault of kind "{fault.kind}" has no meaning on real TCP: mark the step with net = "sim"')


def fault_of_array(site: ArraySite, fault: Fault) -> WorldFault | None:
    """A fault that strikes the array, as real TCP can have it; None for one of cables or hosts."""
    if fault.array_fault is not None:
        return ArraysOwn(site, fault.array_fault)
    if fault.kind == "portal_down" and fault.portal is not None:
        return _PortalDown(site, fault.portal)
    return _ArrayKill(site) if fault.kind == "array_kill" else None


class TcpConnector:
    """The kernel's network as one modeled host reaches it, from the first of its addresses unless told otherwise."""

    def __init__(self, default_source: str) -> None:
        self._default_source = default_source
        self._transports: list[asyncio.Transport] = []

    async def connect(
        self, factory: Callable[[], P], remote: tuple[str, int], source: str | None
    ) -> tuple[asyncio.Transport, P]:
        """See `Connector.connect`."""
        local = (source or self._default_source, 0)
        made = await asyncio.get_running_loop().create_connection(factory, remote[0], remote[1], local_addr=local)
        self._transports = [transport for transport in self._transports if not transport.is_closing()]
        self._transports.append(made[0])
        return made

    def open(self) -> list[tuple[str, str]]:
        """(local, remote) of the open connections, in the order they were made."""
        return [
            (endpoint(transport.get_extra_info("sockname")), endpoint(transport.get_extra_info("peername")))
            for transport in self._transports
            if not transport.is_closing()
        ]

    def abort(self) -> None:
        """Break every connection."""
        for transport in self._transports:
            transport.abort()
        self._transports.clear()


class _PortalDown:
    def __init__(self, site: ArraySite, address: str) -> None:
        self._site = site
        self._address = address

    async def apply(self) -> None:
        await self._site.portal_down(self._address)

    async def heal(self) -> None:
        await self._site.portal_up(self._address)


class _ArrayKill:
    def __init__(self, site: ArraySite) -> None:
        self._site = site

    async def apply(self) -> None:
        self._site.break_off()
        self._site.kill()

    async def heal(self) -> None:
        await self._site.restart()


class _HostReboot:
    def __init__(
        self, connector: TcpConnector, host: str, reboot: Callable[[str], None], boot: Callable[[str], None]
    ) -> None:
        self._connector = connector
        self._host = host
        self._reboot = reboot
        self._boot = boot

    async def apply(self) -> None:
        self._reboot(self._host)
        self._connector.abort()

    async def heal(self) -> None:
        self._boot(self._host)
