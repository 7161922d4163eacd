"""`mpiolab minimize` and `mpiolab replay`: a seed of a sweep, or a scenario file, looked at closely."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.text import Text

from harness.load import load_scenario, scenario_from
from harness.minimize.minimizer import Minimized, Passes, minimize
from harness.result import ExitCode
from harness.run import run_scenario
from harness.run_command import OutputError, Outputs, run_all
from harness.scenario import Scenario
from harness.swarm import scenario_toml, swarm_scenario
from harness.walkthrough import RichNarrator, console_for

__all__ = ["NotASeed", "Passes", "minimize_one", "replay_one", "scenario_of"]


class NotASeed(Exception):
    """What was given is neither a seed nor a scenario file; the message says what was expected."""


def scenario_of(what: str) -> tuple[Scenario, str]:
    """The scenario of a seed, or of a file; and what it is called on the command line.

    Raises NotASeed, ScenarioError.
    """
    if what.isdecimal():
        return swarm_scenario(int(what)), what
    path = Path(what)
    if path.suffix != ".toml":
        raise NotASeed(f"{what}: expected a seed (a whole number) or a scenario file (.toml)")
    return load_scenario(path), what


def replay_one(what: str, *, seed: int | None, outputs: Outputs, toml: Path | None) -> ExitCode:
    """Run it, told step by step; ``toml`` is where the scenario itself is left.

    Raises NotASeed, ScenarioError, OutputError.
    """
    scenario, _ = scenario_of(what)
    path = Path(what)
    if what.isdecimal() or toml is not None:
        path = toml if toml is not None else outputs.runs / f"{scenario.name}.toml"
        _write(path, scenario_toml(scenario, f"The scenario of seed {what}." if what.isdecimal() else ""))
    return run_all([(path, scenario)], seed=seed, net="sim", outputs=outputs)


def minimize_one(what: str, *, seed: int | None, out: Path | None, budget_s: float) -> ExitCode:
    """Minimize it, tell the story of what is left, and save it. Returns the exit code of the smallest scenario.

    Raises NotASeed, ScenarioError, OutputError, Passes.
    """
    scenario, name = scenario_of(what)
    console = console_for(sys.stdout)
    with console.status("minimizing") as status:

        def progress(runs: int, doing: str) -> None:
            status.update(f"minimizing {name}: {doing}, {runs:,} runs")

        found = minimize(scenario, scenario.seed if seed is None else seed, budget_s=budget_s, on_progress=progress)
    smallest = _named(found)
    path = out if out is not None else Path(f"{smallest.name}.toml")
    _write(path, scenario_toml(smallest, _first_line(found)))
    _tell(smallest, RichNarrator(console))
    faults = f"{found.faults} fault{'' if found.faults == 1 else 's'}"
    operations = f"{found.operations} operation{'' if found.operations == 1 else 's'}"
    console.print(Text(f"{faults} and {operations} are left of {name}, after {found.runs:,} runs", "bold"))
    if found.crashes:
        console.print(f"  on {found.crashes:,} candidates the harness itself failed; they were passed over")
    console.print(f"  saved as {path}")
    console.print(f"  mpiolab replay {path}", style="bold")
    return found.result.exit_code


def _tell(scenario: Scenario, narrator: RichNarrator) -> None:
    """Run it once more, for the story."""
    result = run_scenario(scenario, seed=scenario.seed, net="sim", pcap=None, narrator=narrator)
    narrator.end(result, None)


def _named(found: Minimized) -> Scenario:
    """The scenario under a name that says what fails."""
    check = found.result.failures[0].check
    words = re.sub(r"[^a-z0-9]+", "_", check.lower()).strip("_")
    tables = {**found.scenario.tables(), "name": f"{words}_{found.scenario.seed}"}
    tables.pop("title", None)
    return scenario_from(tables)


def _first_line(found: Minimized) -> str:
    failure = found.result.failures[0]
    return f"{failure.check}: {failure.why}".replace("\n", " ")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None
