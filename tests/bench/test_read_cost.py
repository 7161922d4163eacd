"""What one simulated 4 KiB read costs, in bare SimPy timeouts of the same process.

The read is byte-exact through everything: device server, target, TCP, switch, TCP, initiator, and what came back is
compared with what was written. Both figures are taken in alternating rounds, and the smallest of each counts, which is
what the machine can do when nothing else wants it.
"""

from __future__ import annotations

import gc
import time

import pytest
import simpy

from harness.bench import Bench
from harness.ledger import stamped
from harness.load import scenario_from
from harness.narration import QuietNarrator
from harness.perform import perform
from harness.sim_world import SimWorld
from harness.trace import Trace
from initiator_model.requests import Completion, ScsiRequest
from initiator_model.session import IscsiSession

BOUND_TIMEOUTS = 60
BLOCKS = 8
READS = 2000
ROUNDS = 15


def timeout_us(count: int = 1000) -> float:
    """One `Environment.timeout`, made and run out, in microseconds."""
    environment = simpy.Environment()
    began = time.perf_counter()
    for _ in range(count):
        environment.timeout(1)
    environment.run()
    return (time.perf_counter() - began) / count * 1e6


class Reader:
    """Reads the same 4 KiB again and again over one session, ``depth`` at a time."""

    def __init__(self, session: IscsiSession, expected: bytes, world: SimWorld, depth: int) -> None:
        self.session = session
        self.expected = expected
        self.world = world
        self.depth = depth
        self.request = ScsiRequest(bytes((0x28, 0, 0, 0, 0, 0, 0, 0, BLOCKS)).ljust(16, b"\0"), 0, BLOCKS * 512, b"")

    async def read(self, count: int) -> float:
        """Microseconds per read."""
        self.left, self.open = count, count
        self.finished = self.world.loop.create_future()
        began = time.perf_counter()
        for _ in range(self.depth):
            self._submit()
        await self.finished
        return (time.perf_counter() - began) / count * 1e6

    def _submit(self) -> None:
        self.left -= 1
        self.session.submit(self.request, self._done)

    def _done(self, completion: Completion) -> None:
        assert completion.data == self.expected
        self.open -= 1
        if self.left:
            self._submit()
        elif not self.open:
            self.finished.set_result(None)


@pytest.mark.benchmark_ratio
@pytest.mark.timeout(300)
@pytest.mark.parametrize("depth", [16, 1])
def test_one_simulated_read_in_bare_timeouts(depth: int, capsys: pytest.CaptureFixture[str]) -> None:
    tables = {
        "name": "cost",
        "array": {
            "group": "192.168.51.1/22",
            "portals": ["192.168.51.2"],
            "volumes": [{"name": "disk", "size": "1GiB", "access": [{"source": "0.0.0.0/0"}]}],
        },
        "hosts": [
            {
                "name": "host",
                "iqn": "iqn.1991-05.com.microsoft:host",
                "nics": [{"name": "nic", "address": "192.168.50.105/22"}],
            }
        ],
        "steps": [{"do": "discover"}, {"do": "login", "volume": "disk"}],
    }
    scenario = scenario_from(tables)
    bench = Bench(scenario, QuietNarrator(), Trace())
    world = SimWorld(scenario, 1, None, None, bench.on_decision, bench.on_array_log)
    bench.enter(world)
    best = {"read": float("inf"), "timeout": float("inf")}

    async def story() -> None:
        await world.site.start()
        for step in scenario.steps:
            await perform(bench, step)
        data = stamped(1, 0, BLOCKS, 512)
        site = bench.hosts["host"]
        await site.claimed("disk").disk.write(0, data)
        reader = Reader(site.host.sessions[0].session, data, world, depth)
        await reader.read(READS)
        for _ in range(ROUNDS):
            gc.collect()
            best["timeout"] = min(best["timeout"], timeout_us())
            best["read"] = min(best["read"], await reader.read(READS))
        await site.shut_down()
        world.site.close()

    world.run(story())
    ratio = best["read"] / best["timeout"]
    with capsys.disabled():
        print(
            f"\n4 KiB read at depth {depth}: {best['read']:.1f} us; bare timeout: {best['timeout']:.3f} us;"
            f" {ratio:.1f} timeouts (bound {BOUND_TIMEOUTS})"
        )
    assert ratio <= BOUND_TIMEOUTS
