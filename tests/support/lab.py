"""The walkthrough's machines in virtual time: a host with two NICs, an array with a group address and three portals.

`Lab.run` runs a coroutine to its end. Who listens on the array's addresses is up to the test: the real array
(`start_array`), or a `ScriptedTarget` that does as it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from harness.array import build_group
from initiator_model.connector import Connector
from initiator_model.profiles import Profile, profile_named
from iscsi.discovery import TargetAddress
from sim.loop import SimLoop
from sim.net.host import Host
from sim.net.network import Network
from sim.rng import stream
from target.config import AccessRule, GroupConfig, PortalConfig, VolumeConfig
from target.server import ArrayServer

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.Protocol)

GROUP = "192.168.51.1"
PORTALS = ("192.168.51.2", "192.168.51.3", "192.168.51.4")
SOURCE_A = "192.168.50.105"
SOURCE_B = "192.168.50.125"
GROUP_PORTAL = TargetAddress(GROUP)
HOST_IQN = "iqn.1991-05.com.microsoft:w2k3"
VOLUME_IQN = "iqn.2001-05.com.equallogic:0-8a0906-83bcb3401-16e0002fd0a46f3d-exchange-logs"
PROFILE: Profile = profile_named("ms-iscsi-2.07")


class Lab:
    """One network, one loop, one host; `now_s` is virtual time."""

    def __init__(self) -> None:
        self.loop = SimLoop()
        self.network = Network(self.loop, seed=1)
        self.host = self.network.add_host("w2k3", "windows-2003", 2815)
        self.nics = {
            SOURCE_A: self.host.add_nic("3A_iSCSI", SOURCE_A, 22, offload=True),
            SOURCE_B: self.host.add_nic("3B_iSCSI", SOURCE_B, 22, offload=True),
        }
        self.array = self.network.add_host("ps100", "linux")
        for index, address in enumerate(PORTALS):
            self.nics[address] = self.array.add_nic(f"eth{index}", address, 22)
        self.nics[PORTALS[0]].add_address(GROUP)
        self.connector: Connector = HostConnector(self.loop, self.host)
        self.random_bytes = stream(1, "host").bytes

    @property
    def now_s(self) -> float:
        return self.loop.time()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        try:
            return self.loop.run_coroutine(main)
        finally:
            self.loop.close()

    async def start_array(self, *volumes: VolumeConfig, **changes: Any) -> ArrayServer:
        """The real array, with the walkthrough's volume unless others are given."""
        portals = tuple(PortalConfig(f"eth{index}", address) for index, address in enumerate(PORTALS))
        arguments: dict[str, Any] = {"name": "PS100", "portals": portals, "group_address": GROUP}
        config = GroupConfig(volumes=volumes or (volume(),), **(arguments | changes))
        server = ArrayServer(build_group(config), stream(1, "array").bytes)
        await server.start()
        return server


def volume(name: str = "exchange-logs", iqn: str = VOLUME_IQN, **changes: Any) -> VolumeConfig:
    """A volume of 64 MiB that everybody may use."""
    arguments: dict[str, Any] = {"size_bytes": 64 << 20, "access": (AccessRule(),)}
    return VolumeConfig(name, iqn, **(arguments | changes))


class HostConnector:
    """The simulated host's TCP."""

    def __init__(self, loop: SimLoop, host: Host) -> None:
        self._loop = loop
        self._host = host

    async def connect(
        self, factory: Callable[[], P], remote: tuple[str, int], source: str | None
    ) -> tuple[asyncio.Transport, P]:
        local = source if source is not None else self._host.source_for(remote[0])
        transport, protocol = await self._loop.create_connection(factory, *remote, local_addr=(local, 0))
        return transport, protocol
