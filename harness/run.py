"""One run: a scenario goes in, a verdict comes out.

setup, break and heal are the scenario's steps; then every fault that still stands is healed, the I/O drains within a
bound, and an audit reads back every block that was written, from the medium and over every path. The oracles and the
checks about the run as a whole are judged last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from harness.audit import audit, read_media
from harness.bench import Bench
from harness.check.leaks import judge_leaks
from harness.check.liveness import await_drain, await_paths, patience_s
from harness.checks_model import StateCheck
from harness.expectations import Judgement, judge_run, with_judgements
from harness.fault_step import Fault
from harness.loopback import scenario_on_loopback
from harness.mistakes import Mistake, ScenarioError
from harness.narration import Narrator
from harness.perform import StepFailed, perform
from harness.result import IoCounts, Net, Result
from harness.scenario import Scenario
from harness.sim_world import SimWorld
from harness.steps import AnyStep, Expect
from harness.tcp_world import SUPPORTED_FAULTS, TcpWorld
from harness.trace import Trace
from harness.world import World


def run_scenario(
    scenario: Scenario,
    *,
    seed: int,
    net: Net,
    pcap: Path | None,
    narrator: Narrator,
    judged: Collection[str] | None = None,
    on_bench: Callable[[Bench], None] | None = None,
) -> Result:
    """Run a scenario to its end. ``judged`` are the kinds of check of its `expect` steps that count; None: all.
    ``on_bench`` is given the run's bench before it begins, for those who want more of it than its result.

    Raises ScenarioError for what this network cannot do, CaptureError when no capture can be written.
    """
    steps = [(index, step) for index, step in enumerate(scenario.steps) if step.net in (None, net)]
    if net == "tcp":
        _refuse_faults_without_meaning(scenario)
        scenario = scenario_on_loopback(scenario)
        steps = [(index, scenario.steps[index]) for index, _ in steps]
    began_s = time.monotonic()
    trace = Trace()
    bench = Bench(scenario, narrator, trace, judged)
    if on_bench is not None:
        on_bench(bench)
    world: World
    if net == "sim":
        world = SimWorld(scenario, seed, trace, pcap, bench.on_decision, bench.on_array_log, bench.oracles)
    else:
        world = TcpWorld(scenario, seed, bench.on_decision, bench.on_array_log, bench.oracles)
    bench.enter(world)
    narrator.scenario(scenario, net, seed)
    world.run(_story(bench, [step for _, step in steps]))
    bench.judge_oracles()
    result = Result(
        scenario=scenario.name,
        seed=seed,
        net=net,
        verdict="pass",
        failures=(),
        checks=(),
        trace_sha256=trace.sha256() if net == "sim" else None,
        virtual_seconds=bench.ended_ns / 1e9,
        wall_seconds=time.monotonic() - began_s,
        connections=bench.connections,
        phases=tuple(bench.phases),
        failovers=bench.recorder.failovers(),
        events=trace.events,
        io=IoCounts(
            bench.journal.counts.submitted,
            bench.journal.counts.ok,
            bench.journal.counts.failed,
            bench.journal.counts.submitted - bench.journal.counts.ok - bench.journal.counts.failed,
        ),
        marks=bench.oracles.marks.names(),
    )
    for step in [step for _, step in steps if isinstance(step, Expect)]:
        for check in step.that:
            if not isinstance(check, StateCheck) and bench.counts(check):
                bench.judge(judge_run(check, scenario, result, bench))
    return replace(with_judgements(result, bench.judgements), wall_seconds=time.monotonic() - began_s)


def _refuse_faults_without_meaning(scenario: Scenario) -> None:
    mistakes = [
        Mistake("", f"steps[{index}].kind", f'"{step.kind}" has no meaning on real TCP: mark the step net = "sim"')
        for index, step in enumerate(scenario.steps)
        if isinstance(step, Fault)
        and step.net in (None, "tcp")
        and step.kind not in SUPPORTED_FAULTS
        and step.array_fault is None
    ]
    if mistakes:
        raise ScenarioError(mistakes)


async def _story(bench: Bench, steps: list[AnyStep]) -> None:
    try:
        await bench.world.site.start()
    except OSError as error:
        raise ScenarioError([Mistake("", "array", error.strerror or str(error))]) from error
    for step in steps:
        if step.at_ns is not None and bench.world.now_ns() < step.at_ns:
            await asyncio.sleep((step.at_ns - bench.world.now_ns()) / 1e9)
        bench.balance()
        bench.narrator.step(step, bench.world.now_ns())
        bench.trace.event(bench.world.now_ns(), "step", do=step.do)
        try:
            await perform(bench, step)
        except StepFailed as failure:
            bench.judge(Judgement(f"step {step.do}", False, failure.why, failure.evidence, kind=failure.kind))
            break
    await _wind_up(bench)


async def _wind_up(bench: Bench) -> None:
    """Heal, drain, audit, log out; each within a bound."""
    for name, fault in list(bench.standing.items()):
        del bench.standing[name]
        bench.trace.event(bench.world.now_ns(), "heal", name=name)
        bench.narrator.fault(f"mended at the end: {name}", bench.world.now_ns())
        try:
            await fault.heal()
        except OSError as error:
            bench.judge(Judgement("heal", False, f"{name} cannot be mended: {error.strerror or error}"))
    for run in list(bench.running.values()):
        run.stop()
    drain_s, return_s = patience_s(bench)
    drained = await await_drain(bench, drain_s)
    bench.balance()
    if bench.connections_due:
        bench.take_connections()
    if drained:
        await await_paths(bench, return_s)
        await audit(bench, drain_s)
    else:
        read_media(bench)
    selection = bench.selection.judgement()
    if selection is not None:
        bench.judge(selection)
    bench.ended_ns = bench.world.now_ns()
    for site in bench.hosts.values():
        await site.shut_down()
    bench.world.site.close()
    if isinstance(bench.world, SimWorld):
        bench.judge_quietly(await judge_leaks(bench.world))
