"""What `mpiolab run` does with the scenarios it has read: run them, tell about it, leave their results where asked."""

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness.narration import Narrator, Narrators, QuietNarrator
from harness.result import ExitCode, Net, Result
from harness.rundir import RunDirectory
from harness.scenario import Scenario
from harness.story import StoryNarrator
from harness.summary import print_summary
from harness.walkthrough import RichNarrator, console_for

STDOUT = "-"


class OutputError(Exception):
    """A place that cannot be written; the message names the option and the place."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results go."""

    json: str | None
    """A file, or "-" for stdout alone."""
    pcap: Path | None
    runs: Path


def run_all(scenarios: Sequence[tuple[Path, Scenario]], *, seed: int | None, net: Net, outputs: Outputs) -> ExitCode:
    """Run them one after the other and return the lowest exit code of those that failed.

    Raises ScenarioError where a scenario cannot run on this network, OutputError before anything runs.
    """
    _check_places(outputs)
    quiet = outputs.json == STDOUT
    console = console_for(sys.stdout)
    told = len(scenarios) == 1 and not quiet
    results = []
    for number, (path, scenario) in enumerate(scenarios, start=1):
        narrator: Narrator = RichNarrator(console) if told else QuietNarrator()
        doing = f"{number} of {len(scenarios)}: {scenario.name}"
        with _progress(console, None if told or quiet else doing):
            results.append(_run_one(path, scenario, scenario.seed if seed is None else seed, net, outputs, narrator))
    if outputs.json is not None:
        _write_json(outputs.json, results)
    if len(scenarios) > 1 and not quiet:
        print_summary(console, results)
    return min((result.exit_code for result in results if result.exit_code), default=ExitCode.PASS)


def _run_one(path: Path, scenario: Scenario, seed: int, net: Net, outputs: Outputs, narrator: Narrator) -> Result:
    try:
        directory = RunDirectory(outputs.runs, scenario.name, seed, net, path.read_bytes())
        return run_into(directory, scenario, seed, net, pcap=outputs.pcap, narrator=narrator)
    except OSError as error:
        raise OutputError(f"--runs {outputs.runs}: {error.strerror}") from None


def run_into(
    directory: RunDirectory,
    scenario: Scenario,
    seed: int,
    net: Net,
    *,
    pcap: Path | None,
    narrator: Narrator,
    judged: Collection[str] | None = None,
) -> Result:
    """Run it and leave everything about the run in its directory; ``judged`` as of `run_scenario`.

    Raises OSError, OutputError, ScenarioError.
    """
    from harness.capture import CaptureError
    from harness.run import run_scenario

    with directory.trace.open("w", encoding="utf-8") as trace:
        both = Narrators([narrator, StoryNarrator(trace)])
        try:
            result = run_scenario(scenario, seed=seed, net=net, pcap=pcap, narrator=both, judged=judged)
        except CaptureError as error:
            raise OutputError(f"--pcap {pcap}: {error}") from None
        directory.write(result)
        both.end(result, directory.path)
    return result


def _check_places(outputs: Outputs) -> None:
    """Refuse what could not be written before hours are spent on a run."""
    places = [("--json", Path(outputs.json))] if outputs.json not in (None, STDOUT) else []
    places += [("--pcap", outputs.pcap)] if outputs.pcap is not None else []
    for option, place in places:
        check_place(option, place)


def check_place(option: str, place: Path) -> None:
    """Raises OutputError where this option's file could not be written."""
    if not place.parent.is_dir():
        raise OutputError(f"{option} {place}: there is no directory {place.parent}")
    if place.is_dir():
        raise OutputError(f"{option} {place}: is a directory")


def _write_json(place: str, results: Sequence[Result]) -> None:
    text = results[0].to_json() if len(results) == 1 else json.dumps([result.to_document() for result in results])
    write_text("--json", place, text)


def write_text(option: str, place: str, text: str) -> None:
    """Write what an option asks for, to a file or to stdout. Raises OutputError."""
    if place == STDOUT:
        sys.stdout.write(text + "\n")
        return
    try:
        Path(place).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{option} {place}: {error.strerror}") from None


@contextmanager
def _progress(console: Console, doing: str | None) -> Iterator[None]:
    """A moving line on a terminal, nothing in a pipe."""
    if doing is None or not console.is_terminal:
        yield
        return
    with console.status(doing):
        yield
