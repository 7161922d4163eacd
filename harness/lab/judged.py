"""A scenario that has to pass. When it does not, the failure says which oracle, what happened, and how to see it again.

A run that passes leaves nothing. One that fails is run once more, which is the same run, to be told and saved.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from harness.narration import QuietNarrator
from harness.result import Result
from harness.run import run_scenario
from harness.run_command import run_into
from harness.rundir import SCENARIO, RunDirectory
from harness.scenario import Scenario
from harness.swarm import scenario_toml
from harness.walkthrough import RichNarrator

__all__ = ["ScenarioFailed", "run_judged"]

STORY_LINES: Final = 40
"""The end of it; all of it stands in the run's directory, and is told by `mpiolab replay`."""
WIDTH: Final = 110
MAX_NAMED: Final = 5


class ScenarioFailed(AssertionError):
    """A scenario's verdict was fail. ``result`` is what the run said, ``file`` where the scenario was saved."""

    def __init__(self, text: str, result: Result, file: Path) -> None:
        super().__init__(text)
        self.result = result
        self.file = file


class _Story(RichNarrator):
    """What happened, without the verdict: the failure says that."""

    def end(self, result: Result, rundir: Path | None) -> None: ...


def run_judged(scenario: Scenario, seed: int, runs: Callable[[], Path], again: str = "") -> Result:
    """Run it in virtual time. ``again`` is one more command to name in a failure.

    Raises ScenarioFailed when its verdict is not pass, after a directory for it was made in that of ``runs``;
    ScenarioError for what the simulated world refuses.
    """
    __tracebackhide__ = True
    result = run_scenario(scenario, seed=seed, net="sim", pcap=None, narrator=QuietNarrator())
    if result.verdict == "pass":
        return result
    saved = scenario.model_copy(update={"seed": seed})
    text = scenario_toml(saved, f"{result.failures[0].check}: {result.failures[0].why}".replace("\n", " "))
    directory = RunDirectory(runs(), scenario.name, seed, "sim", text.encode())
    told = io.StringIO()
    narrator = _Story(Console(file=told, width=WIDTH, color_system=None, force_terminal=False))
    second = run_into(directory, scenario, seed, "sim", pcap=None, narrator=narrator)
    file = directory.path / SCENARIO
    raise ScenarioFailed(_text(result, second, told.getvalue(), file, again), result, file)


def _text(result: Result, second: Result, story: str, file: Path, again: str) -> str:
    names = ", ".join(dict.fromkeys(failure.check for failure in result.failures))
    lines = [f"scenario {result.scenario} fails with seed {result.seed}: {names}"]
    lines += [f"  ✗ {failure.check}: {failure.why}" for failure in result.failures[:MAX_NAMED]]
    if second.trace_sha256 != result.trace_sha256:
        lines.append("  ✗ and the second run of the same seed was another one: something in it does not replay")
    lines += ["", "The end of the story:", *story.rstrip().splitlines()[-STORY_LINES:], ""]
    lines.append(f"  saved    {file}")
    lines.append(f"  again    {shlex.join(['mpiolab', 'replay', str(file)])}")
    lines += [f"           {again}"] if again else []
    lines.append(f"  smaller  {shlex.join(['mpiolab', 'minimize', str(file)])}")
    return "\n".join(lines)
