"""Faults that come and go: the kinds of the swarm's table, each healed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.mistakes import did_you_mean
from harness.strategies.drawn import Steps, expect_within, moments_ms, outcomes, spans_ms
from harness.swarm.breaking import REBOOT_MS, fault_step
from harness.swarm.fault_table import BY_KIND, FAULTS, SwarmFault
from harness.swarm.topology import Topology

__all__ = ["fault_schedules"]

AT_MOST: Final = 3
MOST: Final = 20
REBOOT: Final = "host_reboot"
FENCES: Final = ("lun-reset", "preempt-and-abort")
"""What ends a write that the array still holds."""


def fault_schedules(
    topology: Topology, *, kinds: Sequence[str] | None = None, at_most: int = AT_MOST
) -> SearchStrategy[Steps]:
    """Up to ``at_most`` (20 at most) `fault` steps for these machines, with their `heal` steps, as a file has them.

    ``kinds`` are names of faults, such as "link_down"; None: all that sweeps draw and the array can have. The plainest
    is none; then the first kind of the table, at the first place, from 1 s for 100 ms. Raises ValueError for a kind
    there is not, or not in such an array.
    """
    expect_within("at_most", at_most, 0, MOST)
    return _schedules(topology, _faults_of(topology, kinds), at_most)


def _faults_of(topology: Topology, kinds: Sequence[str] | None) -> list[SwarmFault]:
    redirecting = topology.tables["array"]["kind"] == "equallogic"
    digests = all(host.get("digests", False) for host in topology.tables["hosts"])
    # As in sweeps: an array that starts anew has forgotten the keys, so they are no fence then.
    by_keys = any(host.get("fencing") == "preempt-and-abort" for host in topology.tables["hosts"])
    possible = [
        fault
        for fault in FAULTS
        if (redirecting or not fault.redirecting_only)
        and (digests or not fault.wants_digests)
        and not (by_keys and fault.kind == "array_kill")
    ]
    if kinds is None:
        return possible
    for kind in kinds:
        if kind not in BY_KIND:
            raise ValueError(f"no kind of fault {kind!r}{did_you_mean(kind, BY_KIND)}")
    chosen = [fault for fault in possible if fault.kind in kinds]
    if not chosen:
        raise ValueError(f"kinds={list(kinds)}: none of them can strike these machines (docs/testing-your-own.md)")
    return chosen


@st.composite
def _schedules(draw: DrawFn, topology: Topology, kinds: list[SwarmFault], at_most: int) -> Steps:
    drawn = draw(st.lists(_one_fault(topology, kinds), max_size=at_most))
    # A boot gives up on an array that is not there, so a machine comes back when all else is whole; one is enough.
    reboots = [one for one in drawn if one[2]["kind"] == REBOOT][:1]
    timed: list[tuple[int, dict[str, Any]]] = []
    end_ms = 0
    for number, (begins_ms, ends_ms, step) in enumerate([one for one in drawn if one[2]["kind"] != REBOOT], start=1):
        timed += _standing(f"fault {number}", step, begins_ms, ends_ms)
        end_ms = max(end_ms, ends_ms)
    for begins_ms, ends_ms, step in reboots:
        timed += _standing("reboot", step, begins_ms, max(ends_ms, end_ms + REBOOT_MS))
    timed.sort(key=lambda event: event[0])  # stable: at one time in the order drawn
    return tuple({**step, "at": f"{at_ms}ms"} for at_ms, step in timed)


@st.composite
def _one_fault(draw: DrawFn, topology: Topology, kinds: list[SwarmFault]) -> tuple[int, int, dict[str, Any]]:
    """When it begins and ends, in milliseconds, and its step."""
    fault = draw(st.sampled_from(kinds))
    step = draw(st.sampled_from(outcomes(lambda chance: fault_step(chance, fault, topology))))
    if fault.holds_writes and not all(host.get("fencing") in FENCES for host in topology.tables["hosts"]):
        step = {**step, "op": "read"}  # as sweeps do: a write that is held and not fenced off is a ghost
    begins_ms = draw(moments_ms())
    return begins_ms, begins_ms + draw(spans_ms(fault.longest_ms)), step


def _standing(name: str, step: dict[str, Any], begins_ms: int, ends_ms: int) -> list[tuple[int, dict[str, Any]]]:
    return [(begins_ms, {**step, "name": name}), (ends_ms, {"do": "heal", "name": name})]
