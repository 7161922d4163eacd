"""The passes, one after the other, until none of them makes the scenario smaller.

First what is cheap and takes much away (faults, hosts, volumes), while the workloads are a few lines; then the I/Os one
by one; then the rest again, and in the end what makes it readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.load import scenario_from
from harness.minimize.ddmin import ddmin
from harness.minimize.explicit import spelled_out
from harness.minimize.tidying import nearer_to_the_wrap, plainer, rounder, smaller_workloads
from harness.minimize.topology import smaller_topologies
from harness.minimize.trial import Tables, Trial
from harness.minimize.units import is_fault, is_operation, steps_of, units
from harness.narration import QuietNarrator
from harness.result import Result
from harness.run import run_scenario
from harness.scenario import Scenario
from harness.signature import signatures_of

__all__ = ["BUDGET_S", "Minimized", "Passes", "minimize"]

BUDGET_S: Final = 60.0
ROUNDS_MAX: Final = 8


class Passes(Exception):
    """There is nothing to minimize: the scenario passes."""


@dataclass(frozen=True, slots=True)
class Minimized:
    """What came out: the scenario, what its run said, how much is left of it and what it took.

    ``operations`` are the logical I/Os of its run; ``crashes`` the candidates on which the harness itself failed.
    """

    scenario: Scenario
    result: Result
    faults: int
    operations: int
    runs: int
    crashes: int


def minimize(
    scenario: Scenario,
    seed: int,
    *,
    budget_s: float = BUDGET_S,
    on_progress: Callable[[int, str], None] | None = None,
) -> Minimized:
    """Find the smallest scenario that fails as this one does under ``seed``.

    ``on_progress`` hears of the runs so far and of the pass at work. Raises Passes when there is no failure, and
    whatever the harness itself fails with on the scenario as it is.
    """
    doing = ["the whole"]
    tables = scenario.tables()
    wanted = signatures_of(run_scenario(scenario, seed=seed, net="sim", pcap=None, narrator=QuietNarrator()))
    if not wanted:
        raise Passes(f"{scenario.name} passes with seed {seed}: there is nothing to minimize")
    trial = Trial(wanted, seed, budget_s, lambda runs: on_progress(runs, doing[0]) if on_progress else None)
    for _ in range(ROUNDS_MAX):
        before = tables
        for name, reduce in _PASSES:
            doing[0] = name
            tables = reduce(tables, trial)
        if tables == before or trial.over:
            break
    tables = {**tables, "seed": seed}
    result = trial.run(tables)
    assert result is not None, "it has failed a moment ago"
    steps = tables["steps"]
    return Minimized(
        scenario_from(tables),
        result,
        faults=sum(map(is_fault, steps)),
        operations=max(result.io.submitted, sum(map(is_operation, steps))),
        runs=trial.runs,
        crashes=trial.crashes,
    )


def _fewer(chosen: Callable[[Mapping[str, Any]], bool]) -> Callable[[Tables, Trial], Tables]:
    """Take units of steps out, of those whose first step is ``chosen``."""

    def reduce(tables: Tables, trial: Trial) -> Tables:
        steps = tables["steps"]
        every = units(steps)
        parts = [unit for unit in every if chosen(steps[unit[0]])]
        rest = [unit for unit in every if not chosen(steps[unit[0]])]

        def smaller(kept: list[tuple[int, ...]]) -> Tables:
            return {**tables, "steps": steps_of(steps, [*rest, *kept])}

        return smaller(ddmin(parts, lambda kept: trial.fails(smaller(kept))))

    return reduce


def _spelled_out(tables: Tables, trial: Trial) -> Tables:
    made = spelled_out(tables, trial)
    return made if made is not None and trial.fails(made) else tables


def _greedily(candidates: Callable[[Tables], Iterator[Tables]]) -> Callable[[Tables, Trial], Tables]:
    def reduce(tables: Tables, trial: Trial) -> Tables:
        """Take the first candidate that still fails, and go on from there until there is none."""
        while not trial.over:
            smaller = next((one for one in candidates(tables) if trial.fails(one)), None)
            if smaller is None:
                break
            tables = smaller
        return tables

    return reduce


def _fewer_logins(tables: Tables) -> Iterator[Tables]:
    for index, step in enumerate(tables["steps"]):
        if step["do"] == "login":
            yield {**tables, "steps": [*tables["steps"][:index], *tables["steps"][index + 1 :]]}


_PASSES: Final[tuple[tuple[str, Callable[[Tables, Trial], Tables]], ...]] = (
    ("faults", _fewer(lambda step: not is_operation(step))),
    ("topology", _greedily(smaller_topologies)),
    ("workloads", _greedily(smaller_workloads)),
    ("spelling out", _spelled_out),
    ("numbers", _greedily(nearer_to_the_wrap)),
    ("operations", _fewer(is_operation)),
    ("logins", _greedily(_fewer_logins)),
    ("settings", _greedily(plainer)),
    ("times", _greedily(rounder)),
)
