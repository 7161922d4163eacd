"""What each step does: one coroutine per kind of step, in a table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import SecretStr

from harness.bench import Bench
from harness.check.history import Operation
from harness.checks_model import StateCheck
from harness.expectations import judge_now
from harness.fault_step import Fault
from harness.host_site import HostSite
from harness.io_step import SingleIo
from harness.issuing import Issuer
from harness.perform_array import ARRAY_ACTIONS
from harness.policy_step import SetPolicy
from harness.result import FailureKind
from harness.steps import (
    AnyStep,
    Devices,
    Discover,
    Expect,
    Heal,
    Login,
    Logout,
    Mpclaim,
    Netstat,
    Stop,
    Targets,
    Wait,
    Workload,
)
from harness.units import format_duration
from harness.workload import WorkloadRun
from initiator_model.disk import DiskRemoved, IoResult, QueueFull
from initiator_model.dsm import Dsm, PolicyRefused, PolicyRequest
from initiator_model.host_records import InitiatorError
from initiator_model.paths import Path, PathState
from initiator_model.policies import PathWish, Promise
from initiator_model.policies.catalog import PolicyError, policy_named, selector_class
from iscsi.chap import ChapCredentials
from iscsi.discovery import TargetAddress
from target.operations import OperationError

POLL_S = 0.01
"""How often a `wait until` looks."""


class StepFailed(Exception):
    """A step did not go as the scenario says; the run ends with it."""

    def __init__(self, why: str, evidence: Mapping[str, Any] | None = None, kind: FailureKind = "correctness") -> None:
        super().__init__(why)
        self.why = why
        self.evidence = evidence or {}
        self.kind = kind


async def perform(bench: Bench, step: AnyStep) -> None:
    """Do one step. Raises StepFailed when it is refused, or not refused though the scenario expects it."""
    try:
        await _ACTIONS[type(step)](bench, step)
    except (InitiatorError, OperationError, PolicyError, PolicyRefused) as error:
        if step.expect_error is None and step.may_be_refused:
            bench.tell(f"refused, as it may be: {error}")
            return
        if step.expect_error is None:
            raise StepFailed(f"refused: {error}", {"refused": str(error)}) from error
        if step.expect_error not in str(error):
            raise StepFailed(f'refused with "{error}"; expected an error with "{step.expect_error}"') from error
        bench.tell(f"refused, as expected: {error}")
        return
    if step.expect_error is not None:
        raise StepFailed(f'not refused; expected an error with "{step.expect_error}"')


def _site(bench: Bench, host: str | None) -> HostSite:
    return bench.hosts[bench.scenario.host(host).name]


async def _discover(bench: Bench, step: Discover) -> None:
    address = TargetAddress(step.portal or bench.scenario.array.discovery_ip, bench.scenario.array.port)
    await _site(bench, step.host).host.add_target_portal(address, step.source)


async def _login(bench: Bench, step: Login) -> None:
    await _site(bench, step.host).host.log_on(
        bench.target_names[step.volume],
        source=step.source,
        portal=TargetAddress(step.portal, bench.scenario.array.port) if step.portal else None,
        persistent=step.persistent,
        multipath=step.multipath,
        chap=_credentials(step.chap_user, step.chap_secret),
        mutual_chap=_credentials(step.mutual_user, step.mutual_secret),
    )


def _credentials(user: str | None, secret: SecretStr | None) -> ChapCredentials | None:
    return None if user is None or secret is None else ChapCredentials(user, secret.get_secret_value().encode())


async def _logout(bench: Bench, step: Logout) -> None:
    site = _site(bench, step.host)
    patience_ns = site.longest_log_off_ns
    try:
        async with asyncio.timeout(patience_ns / 1e9):
            await site.host.log_off(bench.target_names[step.volume], step.source)
    except TimeoutError:
        why = f"the log-off had not ended after {format_duration(patience_ns)}"
        raise StepFailed(why, kind="liveness") from None


async def _targets(bench: Bench, step: Targets) -> None:
    bench.narrator.pane("iSCSI Initiator Properties: Targets", _site(bench, step.host).targets_pane())


async def _devices(bench: Bench, step: Devices) -> None:
    site = _site(bench, step.host)
    bench.narrator.pane(site.devices_title, site.devices_pane(step.volume))


async def _netstat(bench: Bench, step: Netstat) -> None:
    site = _site(bench, step.host)
    bench.narrator.pane(r"C:\>netstat -nt", site.netstat_pane(bench.world.sockets(site.model.name)))
    bench.take_connections()
    bench.connections_due = False


async def _mpclaim(bench: Bench, step: Mpclaim) -> None:
    site = _site(bench, step.host)
    disk = "" if step.volume is None else f" {site.claimed(step.volume).number}"
    bench.narrator.pane(rf"C:\>mpclaim -s -d{disk}", site.mpclaim_pane(step.volume))


async def _set_policy(bench: Bench, step: SetPolicy) -> None:
    site = _site(bench, step.host)
    dsm = site.claimed(step.volume).disk.dsm
    policy = policy_named(step.policy)
    sources = [_source(path) for path in dsm.paths]
    preferred = [] if step.preferred is None else [step.preferred]
    for wanted in [*preferred, *step.standby, *step.weights, *step.throughputs]:
        if wanted not in sources:
            raise PolicyRefused(f"{step.volume} has no path from {wanted}; there are paths from: {', '.join(sources)}")
    one_works = Promise.ONE_ACTIVE in selector_class(step.policy).promises
    active = _working_path(dsm, step) if one_works else None
    wishes = [
        PathWish(
            path.path_id,
            PathState.STANDBY if _stands_by(path, active, step, one_works) else PathState.ACTIVE_OPTIMIZED,
            preferred=_source(path) == step.preferred,
            weight=step.weights.get(_source(path), 0),
            throughput=step.throughputs.get(_source(path), 1),
        )
        for path in dsm.paths
    ]
    dsm.set_policy(PolicyRequest(policy, tuple(wishes), step.options(site.profile.options)))


def _working_path(dsm: Dsm, step: SetPolicy) -> Path | None:
    """As the applet under Fail Over Only: the path it shows Active stays Active, unless the user names another one."""
    if step.preferred is not None:
        return next(path for path in dsm.paths if _source(path) == step.preferred)
    candidates = [path for path in dsm.paths if _source(path) not in step.standby]
    usable = [path for path in candidates if path.usable]
    active = [path for path in usable if path.state is PathState.ACTIVE_OPTIMIZED]
    return next(iter([*active, *usable, *candidates]), None)


def _stands_by(path: Path, active: Path | None, step: SetPolicy, one_works: bool) -> bool:
    return path is not active if one_works else _source(path) in step.standby


def _source(path: Path) -> str:
    return path.source.rpartition(":")[0]


async def _workload(bench: Bench, step: Workload) -> None:
    site = _site(bench, step.host)
    run = WorkloadRun(
        step,
        site.model.name,
        site.claimed(step.volume).disk,
        bench.oracles.history(step.volume),
        bench.journal,
        bench.world.stream(f"workload:{step.name}"),
        bench.world.loop,
    )
    bench.running[step.name] = run
    bench.framings[step.name] = site.framing(step, bench.scenario.network.mtu)
    run.start()
    if not step.background:
        await _finished(run, site.longest_io_ns)
        bench.end_phase(step.name)


async def _io(bench: Bench, step: SingleIo) -> None:
    site = _site(bench, step.host)
    disk, history = site.claimed(step.volume).disk, bench.oracles.history(step.volume)
    name = f"{step.op} at {step.lba}"
    issuer = Issuer(name, site.model.name, disk, history, bench.journal)
    ended: asyncio.Future[None] = bench.world.loop.create_future()

    def came_back(result: IoResult, operation: Operation) -> None:
        issuer.rest()
        ended.set_result(None)

    try:
        issuer.issue(step.op == "write", step.lba, step.blocks, came_back)
    except (DiskRemoved, QueueFull) as error:
        raise StepFailed(f"{name}: {error}", kind="liveness") from None
    if step.background:
        bench.single_ios.append(ended)
        return
    patience_ns = site.longest_io_ns
    try:
        async with asyncio.timeout(patience_ns / 1e9):
            await asyncio.shield(ended)
    except TimeoutError:
        bench.single_ios.append(ended)
        why = f"the {name} did not come back within {format_duration(patience_ns)}"
        raise StepFailed(why, kind="liveness") from None


async def _finished(run: WorkloadRun, patience_ns: int) -> None:
    """Wait for a workload as long as something comes back. Raises StepFailed when nothing has for ``patience_ns``."""
    while not run.finished.done():
        before = run.returned
        try:
            async with asyncio.timeout(patience_ns / 1e9):
                await asyncio.shield(run.finished)
        except TimeoutError:
            if run.open and run.returned == before:
                why = f"none of {run.open} I/Os of {run.step.name} came back within {format_duration(patience_ns)}"
                raise StepFailed(why, {"open": run.open}, kind="liveness") from None


async def _stop(bench: Bench, step: Stop) -> None:
    run = bench.running.get(step.name)
    if run is None:
        return
    run.stop()
    await _finished(run, bench.hosts[run.host].longest_io_ns)
    bench.end_phase(step.name)


async def _fault(bench: Bench, step: Fault) -> None:
    fault = bench.world.make_fault(
        step,
        bench.power_off,
        bench.boot,
    )
    bench.recorder.fault(step.fault_name, bench.causes.addresses(step))
    bench.trace.event(bench.world.now_ns(), "fault", name=step.fault_name, fault=step.kind, place=step.place)
    bench.narrator.fault(f"{step.kind.replace('_', ' ')}: {step.place}", bench.world.now_ns())
    bench.standing[step.fault_name] = fault
    if step.portal is not None:
        bench.oracles.wire.logins.portals_broken[step.fault_name] = None
    await fault.apply()


async def _heal(bench: Bench, step: Heal) -> None:
    fault = bench.standing.pop(step.name)
    bench.oracles.wire.logins.portals_broken.pop(step.name, None)
    bench.trace.event(bench.world.now_ns(), "heal", name=step.name)
    bench.narrator.fault(f"mended: {step.name}", bench.world.now_ns())
    try:
        await fault.heal()
    except OSError as error:
        raise StepFailed(f"{step.name} cannot be mended: {error.strerror or error}") from error


async def _wait(bench: Bench, step: Wait) -> None:
    if step.duration_ns is not None:
        await asyncio.sleep(step.duration_ns / 1e9)
        return
    site = _site(bench, step.host)
    assert step.volume is not None
    deadline_ns = bench.world.now_ns() + step.within_ns
    while not _holds(step, site.paths(step.volume)):
        if bench.world.now_ns() >= deadline_ns:
            states = ", ".join(path.shown.display for path in site.paths(step.volume)) or "no path"
            raise StepFailed(
                f"waited {format_duration(step.within_ns)} until {step.until}; {site.model.name} still sees {states}",
                {"states": states},
                kind="liveness",
            )
        await asyncio.sleep(POLL_S)


def _holds(step: Wait, paths: tuple[Path, ...]) -> bool:
    usable = sum(path.works for path in paths)
    if step.until == "no_paths":
        return usable == 0
    if step.until == "path_lost":
        return len(paths) - usable >= (step.count or 1)
    return usable >= (step.count or max(1, len(paths)))


async def _expect(bench: Bench, step: Expect) -> None:
    for check in step.that:
        if isinstance(check, StateCheck) and bench.counts(check):
            bench.judge(judge_now(check, bench.scenario, bench))


_ACTIONS: Mapping[type, Callable[[Bench, Any], Awaitable[None]]] = {
    Discover: _discover,
    Login: _login,
    Logout: _logout,
    Targets: _targets,
    Devices: _devices,
    Netstat: _netstat,
    Mpclaim: _mpclaim,
    SetPolicy: _set_policy,
    Workload: _workload,
    SingleIo: _io,
    Stop: _stop,
    Fault: _fault,
    Heal: _heal,
    Wait: _wait,
    Expect: _expect,
    **ARRAY_ACTIONS,
}
