"""The same host over real TCP: a stock loop, loopback addresses, the real array."""

from __future__ import annotations

import asyncio
import socket

import pytest

from harness.array import build_group
from initiator_model.connector import LoopConnector
from initiator_model.host import IscsiHost
from initiator_model.host_records import InitiatorError
from iscsi.discovery import TargetAddress
from sim.rng import stream
from target.config import GroupConfig, PortalConfig
from target.server import ArrayServer
from tests.support.lab import HOST_IQN, PROFILE, VOLUME_IQN, volume

GROUP = "127.0.51.1"
SOURCES = ("127.0.50.105", "127.0.50.125")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((GROUP, 0))
        port: int = probe.getsockname()[1]
        return port


def test_two_paths_over_real_tcp_read_what_was_written() -> None:
    async def scenario() -> None:
        port = free_port()
        portals = tuple(PortalConfig(f"eth{n}", f"127.0.51.{n + 2}") for n in range(3))
        config = GroupConfig("PS100", portals, (volume(),), group_address=GROUP, port=port)
        server = ArrayServer(build_group(config), stream(1, "array").bytes)
        await server.start()
        host = IscsiHost("w2k3", HOST_IQN, PROFILE, LoopConnector(), stream(1, "host").bytes)
        try:
            await host.add_target_portal(TargetAddress(GROUP, port))
            for source in SOURCES:
                await host.log_on(VOLUME_IQN, source=source, multipath=True)
            assert [one.session.local.rsplit(":")[0] for one in host.sessions] == list(SOURCES)
            assert all(one.session.via == TargetAddress(GROUP, port, 1) for one in host.sessions)
            disk = host.disk(VOLUME_IQN).disk
            data = bytes(range(256)) * 4096  # 1 MiB: several bursts and R2Ts
            await disk.write(0, data)
            assert await disk.read(0, 2048) == data
            await host.log_off(VOLUME_IQN)
        finally:
            host.power_off()
            server.close()
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_source_that_is_no_address_of_this_host_is_named() -> None:
    async def scenario() -> None:
        host = IscsiHost("w2k3", HOST_IQN, PROFILE, LoopConnector(), stream(1, "host").bytes)
        with pytest.raises(InitiatorError, match=r"target portal 127.0.51.1:3260: .*192.0.2.1"):
            await host.add_target_portal(TargetAddress(GROUP), "192.0.2.1")

    asyncio.run(scenario())
