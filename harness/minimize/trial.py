"""One question, asked often: does this candidate still fail in the same way?

A candidate that is no valid scenario does not, nor does one that passes, that fails in another way too, or on which the
harness itself fails. Answers are kept by the candidate's text. The number of runs and the time they may take are
bounded: when either is used up every further answer is no, and what is smallest by then stands.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from harness.bench import Bench
from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.narration import Narrator, QuietNarrator
from harness.result import Result
from harness.run import run_scenario
from harness.signature import signatures_of

__all__ = ["RUNS_MAX", "Tables", "Trial"]

Tables = dict[str, Any]

RUNS_MAX: Final = 2_000


class Trial:
    """Asks about candidates for the failure ``wanted``, the signatures of the original's failures, most telling first.

    ``seed`` is the original's; ``budget_s`` bounds the wall-clock time. ``on_run`` hears of each run.
    """

    def __init__(
        self, wanted: tuple[str, ...], seed: int, budget_s: float, on_run: Callable[[int], None] | None = None
    ) -> None:
        self.wanted = wanted
        self.seed = seed
        self.runs = 0
        self.crashes = 0
        """Candidates on which the harness itself failed."""
        self._until_s = time.monotonic() + budget_s
        self._on_run = on_run
        self._answers: dict[str, bool] = {}

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.runs >= RUNS_MAX or time.monotonic() > self._until_s

    def fails(self, tables: Tables) -> bool:
        """Whether the scenario of these tables fails in the wanted way, and in no way that the original did not."""
        text = json.dumps(tables, sort_keys=True)
        answer = self._answers.get(text)
        if answer is None:
            if self.over:
                return False
            answer = self._answers[text] = self._ask(tables)
        return answer

    def run(
        self, tables: Tables, narrator: Narrator | None = None, on_bench: Callable[[Bench], None] | None = None
    ) -> Result | None:
        """Run it; None when it is no scenario, or the harness fails on it."""
        self.runs += 1
        if self._on_run is not None:
            self._on_run(self.runs)
        try:
            return run_scenario(
                scenario_from(tables),
                seed=self.seed,
                net="sim",
                pcap=None,
                narrator=narrator or QuietNarrator(),
                on_bench=on_bench,
            )
        except ScenarioError:
            return None
        except Exception:  # a candidate may be nonsense in ways nobody foresaw; then it is none, and is told of
            self.crashes += 1
            return None

    def is_wanted(self, result: Result | None) -> bool:
        """Whether this is the failure that was asked for."""
        if result is None:
            return False
        found = signatures_of(result)
        return bool(found) and self.wanted[0] in found and all(one in self.wanted for one in found)

    def _ask(self, tables: Tables) -> bool:
        return self.is_wanted(self.run(tables))
