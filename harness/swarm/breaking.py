"""The break phase of a seed: faults that come and go, an operator at work, policies that change; then all is healed.

Every event has its own time, so that taking one out leaves the others where they are. What a seed breaks it heals: the
last heal is the end of the phase.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from harness.swarm.fault_table import BY_KIND, Place, SwarmFault
from harness.swarm.policies import policy_step
from harness.swarm.switches import Switches
from harness.swarm.topology import DrawnHost, Topology
from sim.rng import Stream, stream

__all__ = ["BEGIN_MS", "BreakPhase", "Timed", "break_phase_of", "in_order"]

Tables = dict[str, Any]
Timed = tuple[int, Tables]
"""Milliseconds of scenario time, and the step."""

BEGIN_MS: Final = 500
"""By then every login has been made."""
SHORT_MS: Final = 4_000
LONG_MS: Final = 45_000
"""How long the phase lasts with short timers and with a stack's own."""
_FAULTS: Final = (1, 2, 2, 3, 3, 3, 4, 5)
_REBOOT_MS: Final = 500
_SETTLED_MS: Final = 1_000
"""A change of access that is under way has ended by then."""
_SERVES: Final = ("active-optimized", "active-non-optimized")


@dataclass(frozen=True, slots=True)
class BreakPhase:
    """The steps with their times, in order, and the kinds of faults among them."""

    timed: tuple[Timed, ...]
    kinds: tuple[SwarmFault, ...]
    length_ms: int


def break_phase_of(seed: int, on: Switches, topology: Topology) -> BreakPhase:
    """What happens to the machines of this seed."""
    length_ms = SHORT_MS if on.short_timers else LONG_MS
    faults = list(_faults(seed, on, topology, length_ms))
    timed = [event for _, events in faults for event in events]
    kinds = [fault for fault, _ in faults]
    if on.flap:
        timed += _flap(stream(seed, "swarm:flap"), topology, length_ms)
    timed += _operations(stream(seed, "swarm:operations"), on, topology, length_ms)
    if on.policy_changes:
        timed += _policy_changes(stream(seed, "swarm:policy changes"), topology, length_ms)
    timed += _access_changes(stream(seed, "swarm:access"), topology, length_ms)
    timed += list(_access_restored(topology, timed))
    timed += _reboot(stream(seed, "swarm:reboot"), on, topology, timed)
    if any(step.get("kind") == "host_reboot" for _, step in timed):
        kinds.append(BY_KIND["host_reboot"])
    return BreakPhase(tuple(in_order(timed)), tuple(kinds), length_ms)


def in_order(timed: Iterable[Timed]) -> list[Timed]:
    """By their times; at one time in the order given."""
    return sorted(timed, key=lambda event: event[0])


# -- faults ------------------------------------------------------------------------------------------------------------


def _faults(seed: int, on: Switches, topology: Topology, length_ms: int) -> Iterator[tuple[SwarmFault, list[Timed]]]:
    kinds = [kind for kind in on.kinds if BY_KIND[kind].place is not Place.HOST]
    if not kinds:
        return
    for number in range(stream(seed, "swarm:fault count").pick(_FAULTS)):
        rng = stream(seed, f"swarm:fault {number}")
        fault = BY_KIND[rng.pick(kinds)]
        step = _fault_step(rng, fault, topology) | {"name": f"fault {number + 1}"}
        if fault.holds_writes and not on.writes_are_fenced:
            step["op"] = "read"
        begins_ms, ends_ms = _span(rng, length_ms)
        if on.haunted and fault.kind == "late":
            ends_ms = BEGIN_MS + length_ms
        if fault.longest_ms is not None:
            ends_ms = min(ends_ms, begins_ms + fault.longest_ms)
        yield fault, [(begins_ms, step), (ends_ms, _heal(step))]


def _fault_step(rng: Stream, fault: SwarmFault, topology: Topology) -> Tables:
    step: Tables = {"do": "fault", "kind": fault.kind}
    nics = [nic for host in topology.hosts for nic in host.places]
    match fault.place:
        case Place.NIC_OR_PORTAL:
            place = rng.pick([*nics, *topology.portals])
            step["nic" if "/" in place else "portal"] = place
        case Place.PORTAL:
            step["portal"] = rng.pick(topology.portals)
        case Place.VOLUME:
            step["volume"] = rng.pick(topology.volumes)
        case Place.VOLUME_OR_ARRAY:
            if rng.chance(0.5):
                step["volume"] = rng.pick(topology.volumes)
        case Place.HOST:
            step["host"] = rng.pick(topology.hosts).name
        case Place.ARRAY:
            pass
    for key, values in fault.settings.items():
        value = rng.pick(values)
        if value is not None:
            step[key] = value
    return step


def _heal(step: Tables) -> Tables:
    return {"do": "heal", "name": step["name"]}


def _span(rng: Stream, length_ms: int) -> tuple[int, int]:
    """Begin and end within the phase; short ones are as likely as long ones."""
    begins_ms = BEGIN_MS + rng.below(length_ms * 3 // 4)
    longest_ms = BEGIN_MS + length_ms - begins_ms
    lasts_ms = 1 + rng.below(rng.pick((longest_ms // 10, longest_ms // 3, longest_ms)))
    return begins_ms, begins_ms + lasts_ms


def _flap(rng: Stream, topology: Topology, length_ms: int) -> Iterator[Timed]:
    """Some NICs or portals go down one by one, and come back in another order (FoundationDB's swizzle)."""
    nics = [nic for host in topology.hosts for nic in host.places]
    ends, key = (nics, "nic") if rng.chance(0.5) else (list(topology.portals), "portal")
    chosen = rng.shuffled(ends)[: rng.between(1, len(ends))]
    kind = rng.pick(("link_down", "blackhole", "portal_down") if key == "portal" else ("link_down", "blackhole"))
    steps = [{"do": "fault", "kind": kind, key: end, "name": f"flap {at}"} for at, end in enumerate(chosen, start=1)]
    moments = sorted(BEGIN_MS + rng.below(length_ms) for _ in range(2 * len(steps)))
    yield from zip(moments, steps, strict=False)
    yield from zip(moments[len(steps) :], map(_heal, rng.shuffled(steps)), strict=True)


def _reboot(rng: Stream, on: Switches, topology: Topology, timed: list[Timed]) -> list[Timed]:
    """A host goes down in the phase and boots after it: a boot gives up on an array that is not there."""
    if "host_reboot" not in on.kinds:
        return []
    begins_ms, _ = _span(rng, SHORT_MS)
    ends_ms = max([begins_ms, *(at_ms for at_ms, _ in timed)]) + _REBOOT_MS
    step = _fault_step(rng, BY_KIND["host_reboot"], topology) | {"name": "reboot"}
    return [(begins_ms, step), (ends_ms, _heal(step))]


# -- people ------------------------------------------------------------------------------------------------------------


def _operations(rng: Stream, on: Switches, topology: Topology, length_ms: int) -> Iterator[Timed]:
    """What an operator of the array does. It may be refused: what is broken at that time decides."""
    for name in on.operations:
        at_ms, later_ms = _span(rng, length_ms)
        host = rng.pick(topology.hosts)
        step: Tables = {"do": name, "may_be_refused": True}
        match name:
            case "drop":
                yield at_ms, step | _session(rng, host) | {"how": rng.pick(("rst", "fin"))}
            case "request_logout":
                yield at_ms, step | _session(rng, host) | {"within": rng.pick(("1s", "3s"))}
            case "drain":
                portal = rng.pick(topology.portals)
                yield at_ms, step | {"portal": portal, "within": rng.pick(("1s", "3s"))}
                yield later_ms, {"do": "undrain", "portal": portal, "may_be_refused": True}
            case "controller_failover":
                yield at_ms, step | {"gap": rng.pick(("200ms", "1s", "3s")), "how": rng.pick(("rst", "fin", "silent"))}
            case _:
                yield at_ms, step


def _access_changes(rng: Stream, topology: Topology, length_ms: int) -> Iterator[Timed]:
    """Target port groups change what they give, and never to nothing: every path of a host may be in one group."""
    for number, _ in topology.groups:
        if rng.chance(0.7):
            at_ms, _ = _span(rng, length_ms)
            step = {"do": "access_state", "group": number, "state": rng.pick(_SERVES)}
            yield at_ms, step | {"may_be_refused": True}


def _access_restored(topology: Topology, timed: list[Timed]) -> Iterator[Timed]:
    """When all else is whole, each group gives what it gave in the beginning."""
    end_ms = max((at_ms for at_ms, _ in timed), default=BEGIN_MS)
    for number, state in topology.groups:
        yield end_ms + _SETTLED_MS, {"do": "access_state", "group": number, "state": state}


def _session(rng: Stream, host: DrawnHost) -> Tables:
    return {"host": host.name, "source": rng.pick(host.sources)}


def _policy_changes(rng: Stream, topology: Topology, length_ms: int) -> Iterator[Timed]:
    """Somebody sets another policy; it is refused where the disk has gone meanwhile."""
    for host in topology.hosts:
        if host.multipath:
            at_ms, _ = _span(rng, length_ms)
            yield at_ms, policy_step(rng, host, rng.pick(host.volumes)) | {"may_be_refused": True}
