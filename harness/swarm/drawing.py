"""From a seed to a whole scenario: machines, logins, workloads, the break phase, and what must hold at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from harness.load import scenario_from
from harness.scenario import Scenario
from harness.swarm.breaking import BEGIN_MS, BreakPhase, Timed, break_phase_of, in_order
from harness.swarm.fault_table import Cost
from harness.swarm.policies import policy_step
from harness.swarm.switches import Switches, switches_of
from harness.swarm.topology import Topology, topology_of
from sim.rng import Stream, stream

__all__ = ["swarm_scenario"]

Tables = dict[str, Any]

IOS: Final = (150, 300, 450, 450, 600, 900)
"""I/Os under the faults, in all."""
IOS_AFTER: Final = 24
"""Per disk, when everything is whole again."""
BACK_WITHIN: Final = "15min"
"""How long a path may take to come back: longer than any timer of any profile."""
SLOW_BYTES: Final = 256 << 10
MAX_BYTES: Final = 2 << 20
"""What one workload may have under way, with faults that make data late and without them."""

BURST_AHEAD_MS: Final = 30
"""So long before a session ends large blocks may begin to flow."""
_ENDS_SESSIONS: Final = (
    "drop",
    "controller_failover",
    "link_down",
    "blackhole",
    "portal_down",
    "silent",
    "array_kill",
    "host_reboot",
)

_BLOCKS: Final = ("4KiB", "4KiB", "4KiB", "4KiB", "8KiB", "16KiB")
_LARGE_BLOCKS: Final = ("64KiB", "128KiB", "256KiB", "256KiB")
LARGE: Final = 32 << 10
"""From here on twice the block is half as many I/Os: they say nothing more, and cost as much as all the rest."""
_DEPTHS: Final = (1, 2, 4, 8, 16, 32)
_DEEP: Final = (32, 200, 250)
_SMALL_BLOCK: Final = "512B"
_SIZES: Final = {"512B": 512, **{f"{kib}KiB": kib << 10 for kib in (4, 8, 16, 64, 128, 256)}}


def swarm_scenario(seed: int) -> Scenario:
    """The scenario of this seed: the same one every time, in every process."""
    on = switches_of(seed)
    topology = topology_of(seed, on)
    phase = break_phase_of(seed, on, topology)
    work = list(_workloads(seed, on, topology, phase))
    bursts = list(_bursts(seed, work, phase))
    steps = [
        *_logins(topology),
        *_policies(seed, topology),
        *(step for step in work if not _is_large(step)),
        *(step | {"at": f"{at_ms}ms"} for at_ms, step in in_order([*phase.timed, *bursts])),
        *_until_whole(topology),
        *({"do": "stop", "name": step["name"]} for step in work),
        *_after(on, topology),
        _expectation(on, phase, topology),
    ]
    return scenario_from({"name": f"swarm-{seed}", "seed": seed, **topology.tables, "steps": steps})


def _logins(topology: Topology) -> Iterator[Tables]:
    listed = topology.tables["array"]["kind"] == "listed"
    for host in topology.hosts:
        yield {"do": "discover", "host": host.name}
        for volume in host.volumes:
            sources = host.sources[:1] if host.kind.opens_sessions else host.sources
            for number, source in enumerate(sources):
                portal = {"portal": topology.portals[number % len(topology.portals)]} if listed else {}
                yield {
                    "do": "login",
                    "host": host.name,
                    "volume": volume,
                    "source": source,
                    **portal,
                    "persistent": True,
                    "multipath": host.multipath,
                    **topology.chap,
                }


def _policies(seed: int, topology: Topology) -> Iterator[Tables]:
    for host in topology.hosts:
        rng = stream(seed, f"swarm:policy of {host.name}")
        if host.multipath and rng.chance(0.8):
            yield from (policy_step(rng, host, volume) for volume in host.volumes)


def _workloads(seed: int, on: Switches, topology: Topology, phase: BreakPhase) -> Iterator[Tables]:
    rng = stream(seed, "swarm:workloads")
    disks = [(host, volume) for host in topology.hosts for volume in host.volumes]
    each = [(host, volume) for host, volume in disks for _ in range(rng.pick((1, 1, 2)))]
    ios = max(20, rng.pick(IOS) // len(each))
    slow = any(fault.slows for fault in phase.kinds)
    for number, (host, volume) in enumerate(each, start=1):
        rng = stream(seed, f"swarm:workload {number}")
        block = _block(rng, on, topology, volume)
        count = max(20, min(ios, ios * LARGE // _SIZES[block]))
        most = (SLOW_BYTES if slow else MAX_BYTES) // _SIZES[block]
        yield {
            "do": "workload",
            "name": f"work {number}",
            "host": host.name,
            "volume": volume,
            **_mix(rng),
            "block": block,
            "depth": max(1, min(rng.pick(_DEEP if on.deep_queues else _DEPTHS), most)),
            "pattern": rng.pick(("random", "random", "sequential")),
            "region": rng.pick(("256KiB", "256KiB", "1MiB", "4MiB")),
            "ios": count,
            # Most of it within the phase, whatever stands still meanwhile.
            "iops": max(5, count * 1000 * rng.pick((1, 2, 4)) // phase.length_ms),
            "background": True,
        }


def _is_large(step: Tables) -> bool:
    return _SIZES[step["block"]] > LARGE


def _bursts(seed: int, work: list[Tables], phase: BreakPhase) -> Iterator[Timed]:
    """Large blocks go as fast as they can from shortly before something happens, which then finds data under way."""
    rng = stream(seed, "swarm:bursts")
    moments = [at_ms for at_ms, step in phase.timed if step.get("kind", step["do"]) in _ENDS_SESSIONS] or [BEGIN_MS]
    for step in work:
        if _is_large(step):
            at_ms = max(BEGIN_MS, rng.pick(moments) - rng.below(BURST_AHEAD_MS))
            del step["iops"]
            yield at_ms, step | {"may_be_refused": True}  # its disk may have gone


def _mix(rng: Stream) -> Tables:
    op = rng.pick(("mixed", "mixed", "mixed", "write", "read"))
    return {"op": op, "read_share": rng.pick((0.2, 0.5, 0.8))} if op == "mixed" else {"op": op}


def _block(rng: Stream, on: Switches, topology: Topology, volume: str) -> str:
    block_size = {row["name"]: row["block_size"] for row in topology.tables["array"]["volumes"]}[volume]
    blocks = _LARGE_BLOCKS if on.large_blocks and rng.chance(0.7) else _BLOCKS
    return _SMALL_BLOCK if block_size == 512 and rng.chance(0.15) else rng.pick(blocks)


def _until_whole(topology: Topology) -> Iterator[Tables]:
    for host in topology.hosts:
        for volume in host.volumes:
            yield {
                "do": "wait",
                "host": host.name,
                "volume": volume,
                "until": "paths_usable",
                **({} if host.kind.opens_sessions else {"count": len(host.sources)}),
                "within": BACK_WITHIN,
            }


def _after(on: Switches, topology: Topology) -> Iterator[Tables]:
    # A loss may be noticed only now, and the disk of an impatient host be removed once more.
    refusal: Tables = {} if on.patient else {"may_be_refused": True}
    for host in topology.hosts:
        for volume in host.volumes:
            yield {
                "do": "workload",
                "name": f"{host.name} {volume} after",
                "host": host.name,
                "volume": volume,
                "op": "mixed",
                "block": "4KiB",
                "depth": 2,
                "pattern": "random",
                "region": "256KiB",
                "ios": IOS_AFTER,
                **refusal,
            }


def _expectation(on: Switches, phase: BreakPhase, topology: Topology) -> Tables:
    """Nothing fails, unless the array refused I/O, a machine was gone, or a host has no patience."""
    may_fail = not on.patient or any(fault.cost is Cost.IO for fault in phase.kinds)
    check: Tables = {"check": "io", "failed_min": 0, "refused": True} if may_fail else {"check": "io"}
    return {"do": "expect", "that": [check]}
