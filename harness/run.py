"""One run: a scenario goes in, a verdict comes out.

setup, break and heal are the scenario's steps; then every fault that still stands is healed, the I/O drains within a
bound, and an audit reads back every block that was written and holds it against the ledger. Checks about the run as a
whole are judged last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from harness.audit import audit
from harness.bench import Bench
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

DRAIN_S = 150.0
"""After the last step: PDORemovePeriod, a TCP give-up and a login, one after the other, fit in twice over."""


def run_scenario(
    scenario: Scenario,
    *,
    seed: int,
    net: Net,
    pcap: Path | None,
    narrator: Narrator,
    judged: Collection[str] | None = None,
) -> Result:
    """Run a scenario to its end. ``judged`` are the kinds of check of its `expect` steps that count; None: all.

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
    world: World
    if net == "sim":
        world = SimWorld(scenario, seed, trace, pcap, bench.on_decision, bench.on_array_log)
    else:
        world = TcpWorld(scenario, seed, bench.on_decision, bench.on_array_log)
    bench.enter(world)
    narrator.scenario(scenario, net, seed)
    world.run(_story(bench, [step for _, step in steps]))
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
        io=IoCounts(
            bench.journal.counts.submitted,
            bench.journal.counts.ok,
            bench.journal.counts.failed,
            bench.journal.counts.submitted - bench.journal.counts.ok - bench.journal.counts.failed,
        ),
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
    drained = await _drained(bench)
    if bench.connections_due:
        bench.take_connections()
    if drained:
        await audit(bench, DRAIN_S)
    selection = bench.selection.judgement()
    if selection is not None:
        bench.judge(selection)
    bench.ended_ns = bench.world.now_ns()
    for site in bench.hosts.values():
        await site.shut_down()
    bench.world.site.close()


async def _drained(bench: Bench) -> bool:
    """Wait until every workload's I/O has come back and every host that boots is up; judge "drain" when they do not."""
    try:
        async with asyncio.timeout(DRAIN_S):
            for name, run in list(bench.running.items()):
                await run.finished
                bench.end_phase(name)
            await bench.booted()
    except TimeoutError:
        stuck = sum(run.open for run in bench.running.values())
        why = f"{stuck} I/Os did not end" if stuck else "a host was still logging on"
        bench.judge(Judgement("drain", False, f"{why} {DRAIN_S:g} s after the last step", kind="liveness"))
        return False
    return True
