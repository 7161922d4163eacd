"""What an operator of the array does in a scenario, done: each step is one call of `target.operations`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from harness.array_steps import (
    AccessState,
    ControllerFailover,
    Drain,
    Drop,
    PortalGroupTag,
    Rebalance,
    RequestLogout,
    SwapVolumes,
    Undrain,
)
from harness.bench import Bench
from harness.fields import access_state
from target.operations import FailoverManner, OperationError


async def _drain(bench: Bench, step: Drain) -> None:
    bench.world.site.operations.drain(step.portal, step.within_s)


async def _undrain(bench: Bench, step: Undrain) -> None:
    bench.world.site.operations.undrain(step.portal)


async def _rebalance(bench: Bench, step: Rebalance) -> None:
    bench.world.site.operations.rebalance(step.within_s)


async def _request_logout(bench: Bench, step: RequestLogout) -> None:
    operations = bench.world.site.operations
    iqn = bench.scenario.host(step.host).iqn
    target = None if step.volume is None else bench.target_names[step.volume]
    numbers = operations.paths(iqn, step.source, target)
    if not numbers:
        raise OperationError(f"no session from {step.source} to {step.volume or 'any volume'}")
    for number in numbers:
        operations.request_logout(number, step.within_s)


async def _drop(bench: Bench, step: Drop) -> None:
    operations = bench.world.site.operations
    target = None if step.volume is None else bench.target_names[step.volume]
    numbers = operations.paths(bench.scenario.host(step.host).iqn, step.source, target)
    if not numbers:
        raise OperationError(f"no session from {step.source} to {step.volume or 'any volume'}")
    bench.recorder.fault(f"dropped by {step.how}", (step.source,))
    for number in numbers:
        operations.drop(number, FailoverManner(step.how))


async def _portal_group_tag(bench: Bench, step: PortalGroupTag) -> None:
    site = bench.world.site
    site.config = replace(site.config, tpgt=step.tag)


async def _swap_volumes(bench: Bench, step: SwapVolumes) -> None:
    one, other = step.volumes
    bench.world.site.swap(one, other)


async def _access_state(bench: Bench, step: AccessState) -> None:
    bench.world.site.operations.access_state(step.group, access_state(step.state), step.volume)


async def _controller_failover(bench: Bench, step: ControllerFailover) -> None:
    await bench.world.site.operations.controller_failover(step.gap_ns / 1e9, FailoverManner(step.how))


ARRAY_ACTIONS: Mapping[type, Callable[[Bench, Any], Awaitable[None]]] = {
    Drain: _drain,
    Undrain: _undrain,
    Rebalance: _rebalance,
    RequestLogout: _request_logout,
    Drop: _drop,
    PortalGroupTag: _portal_group_tag,
    SwapVolumes: _swap_volumes,
    AccessState: _access_state,
    ControllerFailover: _controller_failover,
}
