"""libiscsi, as QEMU's block driver has it, is asked to log out while it writes, and loses its controller.

The array runs in the test's own loop, so that it can be operated while the peer works. libiscsi takes a new ISID for
every login, which most initiators do not: it must be led to the right portal all the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from target.config import PortalConfig
from target.decisions import Decision, Kind
from target.operations import FailoverManner, Operations
from target.server import ArrayServer
from tests.interop.support import Require, free_port
from tests.support.array import VOLUME, make_group, volume

pytestmark = pytest.mark.interop

GROUP, *PORTALS = "127.0.106.1", "127.0.106.2", "127.0.106.3"
HERE, THERE = PORTALS
LIMIT_S = 120.0
REQUESTS = 60_000


@dataclass
class Writer:
    """A `qemu-img bench -w` at work."""

    process: asyncio.subprocess.Process

    async def ends(self) -> tuple[int | None, str]:
        """Its exit code and what it said."""
        said, _ = await self.process.communicate()
        return self.process.returncode, said.decode()

    async def stop(self) -> None:
        """End it if it still runs: it would look for its array for ever."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()


@dataclass
class Array:
    """The array, its operator's desk and what was decided."""

    server: ArrayServer
    operations: Operations
    decisions: list[Decision]
    url: str
    qemu_img: Path
    writers: list[Writer] = field(default_factory=list)

    async def writer(self) -> Writer:
        """Start writing, and wait until a new connection is in full swing."""
        before = [protocol.number for protocol in self.server.connections()]
        arguments = ["bench", "-f", "raw", "-t", "none", "-w", "-c", str(REQUESTS), "-d", "16", "-s", "4096", self.url]
        process = await asyncio.create_subprocess_exec(
            str(self.qemu_img), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self.writers.append(Writer(process))
        await self.until(
            lambda: any(
                protocol.number not in before and protocol.received_bytes > 1 << 20
                for protocol in self.server.connections()
            )
        )
        return self.writers[-1]

    def portals(self) -> list[str]:
        """The portal of each session to the volume."""
        return [
            protocol.local
            for protocol in self.server.connections()
            if protocol.session is not None and not protocol.session.discovery
        ]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds."""
        while not true():
            await asyncio.sleep(0.01)

    def moves(self) -> list[Decision]:
        """The connections that were asked to leave."""
        return [decision for decision in self.decisions if decision.kind is Kind.MOVE]


@asynccontextmanager
async def array(require: Require, **changes: Any) -> AsyncIterator[Array]:
    qemu_img = require("qemu-img")
    port = free_port(GROUP)
    portals = tuple(PortalConfig(f"eth{number}", address) for number, address in enumerate(PORTALS))
    group = make_group(volume(), port=port, portals=portals, group_address=GROUP, **changes)
    decisions: list[Decision] = []
    group.on_decision = decisions.append
    server = ArrayServer(group, random.Random("array").randbytes)
    operations = Operations(server)
    async with asyncio.timeout(LIMIT_S):
        await server.start()
        operations.start()
        made = Array(server, operations, decisions, f"iscsi://{GROUP}:{port}/{VOLUME}/0", qemu_img)
        try:
            yield made
        finally:
            for writer in made.writers:
                await writer.stop()
            operations.stop()
            server.close()


def test_a_drained_portal_loses_its_writer_and_no_write_is_lost(require: Require) -> None:
    async def main() -> None:
        async with array(require) as served:
            writer = await served.writer()
            assert served.portals() == [HERE]
            served.operations.drain(HERE)
            await served.until(lambda: served.portals() == [THERE])
            code, said = await writer.ends()
            assert code == 0, said

    asyncio.run(main())


def test_rebalancing_leads_one_of_two_writers_to_the_portal_that_is_back(require: Require) -> None:
    async def main() -> None:
        async with array(require) as served:
            await served.operations.portal_down(THERE)
            writers = [await served.writer(), await served.writer()]
            assert served.portals() == [HERE, HERE]
            await served.operations.portal_up(THERE)
            served.operations.rebalance()
            assert [(move.arrived_at, move.portal) for move in served.moves()] == [(HERE, THERE)]
            await served.until(lambda: sorted(served.portals()) == [HERE, THERE])
            assert any(decision.reason.startswith(f"moved from {HERE}") for decision in served.decisions)
            for writer in writers:
                code, said = await writer.ends()
                assert code == 0, said

    asyncio.run(main())


@pytest.mark.parametrize("how", [FailoverManner.RST, FailoverManner.FIN])
def test_the_other_controller_takes_over_under_writes(require: Require, how: FailoverManner) -> None:
    async def main() -> None:
        async with array(require) as served:
            writer = await served.writer()
            await served.operations.controller_failover(0.5, how)
            code, said = await writer.ends()
            assert code == 0, said
            assert "BUS_RESET(0x2900)" in said  # the unit attention of a controller that knows no nexus

    asyncio.run(main())


def test_the_firmware_defect_costs_an_initiator_without_multipath_its_write(require: Require) -> None:
    """libiscsi takes 5/25/00 for the last word, as a Linux host does; Microsoft's DSM fails over."""

    async def main() -> None:
        async with array(require, lun_gone_after_logout_request=True) as served:
            writer = await served.writer()
            (protocol,) = [each for each in served.server.connections() if each.session is not None]
            served.operations.request_logout(protocol.number)
            code, said = await writer.ends()
            assert code != 0
            assert "LOGICAL_UNIT_NOT_SUPPORTED(0x2500)" in said

    asyncio.run(main())
