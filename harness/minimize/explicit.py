"""Workloads as what they did: every I/O of a run as a step of its own, at the moment it was issued.

What a workload draws depends on what came back before; a list of I/Os can be thinned out one by one. Every other step
gets the time at which it began, and the waits between them go. A step that asks for the state of things at the end
(`expect`, `wait until`) stays where it was.
"""

from __future__ import annotations

from typing import Any

from harness.bench import Bench
from harness.minimize.trial import Tables, Trial
from harness.narration import QuietNarrator
from harness.steps import AnyStep

__all__ = ["spelled_out"]


class _Beginnings(QuietNarrator):
    """When each step that was reached began."""

    def __init__(self) -> None:
        self.at_ns: list[int] = []

    def step(self, step: AnyStep, at_ns: int) -> None:
        self.at_ns.append(at_ns)


def spelled_out(tables: Tables, trial: Trial) -> Tables | None:
    """The same scenario with an `io` step for each I/O; None when it has no workload or the run comes to nothing."""
    steps: list[dict[str, Any]] = tables["steps"]
    if not any(step["do"] == "workload" for step in steps):
        return None
    benches: list[Bench] = []
    told = _Beginnings()
    if trial.run(tables, told, benches.append) is None:
        return None
    timed: list[tuple[int, int, dict[str, Any]]] = []
    last = 0
    for order, (step, at_ns) in enumerate(zip(steps, told.at_ns, strict=False)):
        if step["do"] in ("workload", "stop") or (step["do"] == "wait" and "duration" in step):
            continue
        at_ns = last = max(last, at_ns)
        if step["do"] == "wait" and any(one["do"] in ("fault", "workload") for one in steps[order + 1 :]):
            continue
        timed.append((at_ns, order, step if step["do"] in ("discover", "login") else {**step, "at": f"{at_ns}ns"}))
    for volume in benches[0].oracles.volumes:
        for one in benches[0].oracles.history(volume).operations:
            if not one.host:
                continue  # the audit's own
            io = {
                "do": "io",
                "at": f"{one.begun_ns}ns",
                "host": one.host,
                "volume": volume,
                "op": "write" if one.is_write else "read",
                "lba": one.lba,
                "blocks": one.blocks,
                "background": True,
            }
            timed.append((one.begun_ns, len(steps) + one.number, io))
    timed.sort(key=lambda entry: entry[:2])
    return {**tables, "steps": [step for _, _, step in timed]}
