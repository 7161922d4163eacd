"""`Lab`: scenarios that must pass, and other people's coroutines against the simulated array.

A coroutine runs on the virtual loop of a world that has the lab's machines in it. What it does with asyncio is done in
virtual time: it connects over simulated NICs, its timers cost nothing, and the same seed gives the same run. Meanwhile
`step` does what the steps of a scenario file do, by the same words, so that the array can be operated and anything can
be broken between two lines of a test.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.array import target_name
from harness.bench import Bench
from harness.lab.judged import run_judged
from harness.lab.machines import MACHINES, What, machines_of, scenario_of
from harness.load import scenario_from
from harness.narration import QuietNarrator
from harness.perform import StepFailed, perform
from harness.result import Result
from harness.scenario import Scenario
from harness.sim_world import SimWorld
from harness.standing_faults import fault_name
from harness.trace import Trace
from sim.loop_network import NetworkDriver, ProtocolFactory
from sim.net.host import Host
from target.decisions import Decision

__all__ = ["Lab", "Setting"]

T = TypeVar("T")

MAX_LOG: Final = 1_000
WITHIN_S: Final = 3_600.0
"""Virtual seconds a coroutine may take: its own bound may be shorter, none is longer."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the surroundings of a lab decide: which seed, where failures go, how to run the same once more."""

    runs: Callable[[], Path]
    """The directory in which a failing run gets one of its own."""
    seed: int | None = None
    """Instead of a scenario's own; 0 for coroutines."""
    instead: Scenario | None = None
    """Run this scenario, whatever was asked for."""
    again: str = ""
    """The command that does it again."""


class Lab:
    """A simulated lab. ``setting`` is asked at each run."""

    def __init__(self, setting: Callable[[], Setting], machines: dict[str, Any] = MACHINES) -> None:
        self._setting = setting
        self._machines = machines
        self._scenario = _with_steps(machines, [])
        self._done: list[dict[str, Any]] = []
        self._log: deque[str] = deque(maxlen=MAX_LOG)
        self._bench: Bench | None = None
        self._world: SimWorld | None = None

    def with_machines(self, what: What) -> Lab:
        """A lab with these machines: tables, whose missing ones are this module's, or a scenario or its file.

        Raises ScenarioError with all their mistakes.
        """
        return Lab(self._setting, machines_of(what))

    # -- whole scenarios -------------------------------------------------------------------------------------------

    def run_scenario(self, what: What, *, seed: int | None = None) -> Result:
        """Run a scenario (itself, its tables, or its file) in virtual time; the result is one that passed.

        ``seed``: else the test's, else the scenario's own. Raises ScenarioFailed, whose text says which checks failed,
        tells the story and names the command that runs it again; ScenarioError for what is no scenario.
        """
        __tracebackhide__ = True
        setting = self._setting()
        if setting.instead is not None:
            return run_judged(setting.instead, setting.instead.seed, setting.runs, setting.again)
        scenario = scenario_of(what)
        chosen = next((one for one in (seed, setting.seed) if one is not None), scenario.seed)
        return run_judged(scenario, chosen, setting.runs, setting.again)

    # -- where everything is ---------------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """Where to discover and log in: the group address, or the first portal of an array without one."""
        return self._scenario.array.discovery_ip, self._scenario.array.port

    @property
    def portals(self) -> tuple[str, ...]:
        """The addresses of the array's interfaces."""
        return self._scenario.array.portals

    @property
    def targets(self) -> dict[str, str]:
        """The target name of each volume."""
        return {volume.name: target_name(self._scenario.array, volume) for volume in self._scenario.array.volumes}

    @property
    def sources(self) -> tuple[str, ...]:
        """The addresses of the first host's NICs: what `local_addr` may say. Without it the first that reaches."""
        return tuple(nic.ip for nic in self._scenario.hosts[0].nics)

    @property
    def initiator_name(self) -> str:
        """The first host's iSCSI name. Steps such as `drop` find an initiator by it."""
        return self._scenario.hosts[0].iqn

    # -- a coroutine in virtual time -------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T], *, within_s: float = WITHIN_S) -> T:
        """Run a coroutine in a new world, with the array serving, and return its result.

        What it has broken is mended at the end, and its tasks are cancelled. Raises what it raises; TimeoutError when
        it has not ended after ``within_s`` virtual seconds.
        """
        try:
            world, bench = self._new_world()
        except BaseException:
            main.close()
            raise
        return world.run(_bounded(bench, main, within_s))

    def _new_world(self) -> tuple[SimWorld, Bench]:
        seed = self._setting().seed or 0
        self._done.clear()
        self._log.clear()
        trace = Trace()
        bench = Bench(self._scenario, QuietNarrator(), trace)

        def decided(decision: Decision) -> None:
            self._log.append(decision.words)
            bench.on_decision(decision)

        def lost(text: str) -> None:
            self._log.append(text)
            bench.on_array_log(text)

        world = SimWorld(self._scenario, seed, trace, None, decided, lost, bench.oracles)
        bench.enter(world)
        world.loop.network = _FromHost(world.network, world.host(self._scenario.hosts[0].name))
        self._world, self._bench = world, bench
        return world, bench

    async def step(self, do: str, **keys: Any) -> None:
        """Do what a step of a scenario file does: ``await lab.step("drop", source=lab.sources[0], how="rst")``.

        Raises ScenarioError for a step that means nothing here, AssertionError for one that fails.
        """
        bench = self._now()
        table = {"do": do, **keys}
        step = _with_steps(self._machines, [*self._done, table]).steps[-1]
        self._done.append(table)
        judged = len(bench.judgements)
        try:
            await perform(bench, step)
        except StepFailed as failure:
            raise AssertionError(f"step {do}: {failure.why}") from failure
        for judgement in bench.judgements[judged:]:
            if not judgement.ok:
                raise AssertionError(f"{judgement.check}: {judgement.why}")

    @asynccontextmanager
    async def fault(self, kind: str, **place: Any) -> AsyncIterator[None]:
        """While the body runs, something is broken: ``async with lab.fault("link_down", nic="host/a"):``."""
        await self.step("fault", kind=kind, **place)
        try:
            yield
        finally:
            await self.step("heal", name=fault_name({"kind": kind, **place}))

    def read_medium(self, volume: str, lba: int, blocks: int = 1) -> bytes:
        """What stands on the medium of a volume, below everything that serves it; also when the run is over."""
        return _read_medium(self._now(), volume, lba, blocks)

    @property
    def now_s(self) -> float:
        """Virtual seconds since the run began."""
        return self._now().world.now_ns() / 1e9

    @property
    def log(self) -> tuple[str, ...]:
        """What the array decided about logins and of itself, and why connections ended: the last 1,000 lines."""
        return tuple(self._log)

    @property
    def trace_sha256(self) -> str:
        """The hash of everything that went over the network so far: equal for equal runs."""
        return self._now().trace.sha256()

    def _now(self) -> Bench:
        if self._bench is None:
            raise RuntimeError("nothing runs in this lab yet: this is for coroutines that lab.run() runs")
        return self._bench


class _FromHost:
    """The network of a loop on which whoever says no source connects from one host."""

    def __init__(self, network: NetworkDriver, host: Host) -> None:
        self._host = host
        self._network = network
        self.create_server = network.create_server

    async def create_connection(
        self, factory: ProtocolFactory, remote: tuple[str, int], local: tuple[str, int] | None
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """See `NetworkDriver.create_connection`."""
        source = local if local is not None else (self._host.source_for(remote[0]), 0)
        return await self._network.create_connection(factory, remote, source)


async def _bounded(bench: Bench, main: Coroutine[Any, Any, T], within_s: float) -> T:
    """Start the array, run, mend, close."""
    task = asyncio.ensure_future(main)  # owned from here on: whatever happens it is not forgotten
    await bench.world.site.start()
    try:
        async with asyncio.timeout(within_s):
            return await task
    except TimeoutError as error:
        if task.cancelled():
            raise TimeoutError(f"the coroutine has not ended after {within_s:g} virtual seconds") from error
        raise
    finally:
        for fault in list(bench.standing.values()):
            await fault.heal()
        for site in bench.hosts.values():
            await site.shut_down()
        bench.world.site.close()


def _with_steps(machines: dict[str, Any], steps: list[dict[str, Any]]) -> Scenario:
    return scenario_from({**machines, "steps": steps or [{"do": "wait", "duration": "0s"}]})


def _read_medium(bench: Bench, volume: str, lba: int, blocks: int) -> bytes:
    size = bench.scenario.array.volume(volume).block_size
    return bench.world.site.medium(volume, lba * size, blocks * size)
