"""What `mpiolab compare` does: one scenario under each policy, then table, JSON and chart.

Runs know nothing of one another, so on the simulated network they go to processes of their own, as many as there are
processors; on real TCP, where all would want the same addresses, one follows the other. What comes out is in the order
the policies were asked for, whoever was done first.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from harness.compare_table import print_comparison
from harness.comparison import Column, Comparison
from harness.mistakes import Mistake, ScenarioError
from harness.narration import QuietNarrator
from harness.policy_choice import PolicyChoice
from harness.policy_swap import JUDGED, under_policy
from harness.result import ExitCode, Net, Result
from harness.run_command import STDOUT, OutputError, check_place, run_into, write_text
from harness.rundir import RunDirectory
from harness.scenario import Scenario
from harness.steps import Workload
from harness.walkthrough import console_for


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make: everything a process of its own needs."""

    file: Path
    scenario: Scenario
    choice: PolicyChoice
    seed: int
    net: Net
    runs: Path
    directory: str


def compare(
    file: Path,
    scenario: Scenario,
    policies: Sequence[PolicyChoice],
    *,
    seed: int,
    net: Net,
    json: str | None,
    chart: Path | None,
    runs: Path,
) -> ExitCode:
    """Run and show. Raises ScenarioError for what cannot run, OutputError for what cannot be written."""
    _refuse_nothing_to_compare(file, scenario, net)
    draw = _drawing(chart)
    if json not in (None, STDOUT):
        check_place("--json", Path(json))
    directories = _directories(policies)
    jobs = [
        Job(file, under_policy(scenario, choice, net, str(file)), choice, seed, net, runs, directory)
        for choice, directory in zip(policies, directories, strict=True)
    ]
    console = console_for(sys.stdout)
    results = _run(jobs, console, quiet=json == STDOUT)
    columns = [Column(str(job.choice), job.choice.name, result) for job, result in zip(jobs, results, strict=True)]
    comparison = Comparison(scenario, seed, net, tuple(columns))
    if json is not None:
        write_text("--json", json, comparison.to_json())
    if chart is not None and draw is not None:
        write_text("--chart", str(chart), draw(comparison))
    if json != STDOUT:
        print_comparison(console, comparison)
    return comparison.exit_code


def _refuse_nothing_to_compare(file: Path, scenario: Scenario, net: Net) -> None:
    if not any(isinstance(step, Workload) and step.net in (None, net) for step in scenario.steps):
        raise ScenarioError([Mistake(str(file), "steps", "no workload: there is nothing to compare policies by")])


def _drawing(chart: Path | None) -> Callable[[Comparison], str] | None:
    """What draws such a file. Raises OutputError where none can be drawn."""
    if chart is None:
        return None
    from harness.compare_chart import ChartError, drawing_for

    check_place("--chart", chart)
    try:
        return drawing_for(chart)
    except ChartError as error:
        raise OutputError(f"--chart {chart}: {error}") from None


def _directories(policies: Sequence[PolicyChoice]) -> list[str]:
    """A name for each policy's run directory: letters, digits, dots and dashes, no two alike."""
    names: list[str] = []
    for choice in policies:
        plain = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in str(choice))
        alike = sum(name == plain or name.startswith(f"{plain}~") for name in names)
        names.append(f"{plain}~{alike + 1}" if alike else plain)
    return names


def _run(jobs: Sequence[Job], console: Console, *, quiet: bool) -> list[Result]:
    workers = min(len(jobs), os.cpu_count() or 1)
    watched = console.is_terminal and not quiet
    with console.status(_progress(0, jobs)) if watched else nullcontext() as status:

        def done(count: int) -> None:
            if status is not None:
                status.update(_progress(count, jobs))

        if workers == 1 or jobs[0].net == "tcp":
            return _one_after_the_other(jobs, done)
        return _side_by_side(jobs, workers, done)


def _progress(done: int, jobs: Sequence[Job]) -> str:
    return f"{jobs[0].scenario.name}: {done} of {len(jobs)} policies done"


def _one_after_the_other(jobs: Sequence[Job], done: Callable[[int], None]) -> list[Result]:
    results = []
    for job in jobs:
        results.append(_run_job(job))
        done(len(results))
    return results


def _side_by_side(jobs: Sequence[Job], workers: int, done: Callable[[int], None]) -> list[Result]:
    # Fresh interpreters, which look for modules where this one does: a fork of a process with threads (the progress
    # line has one) may hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_when_interrupted) as processes:
        futures = [processes.submit(_run_job, job) for job in jobs]
        for count, _ in enumerate(as_completed(futures), start=1):
            done(count)
        return [future.result() for future in futures]


def _end_when_interrupted() -> None:
    """Ctrl-C reaches every process of the terminal; a worker has nothing to say or to save."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run_job(job: Job) -> Result:
    """One run, which leaves its directory."""
    command = ["compare", "--policy", str(job.choice)]
    try:
        directory = RunDirectory(
            job.runs, job.scenario.name, job.seed, job.net, job.file.read_bytes(), kind=job.directory, command=command
        )
        return run_into(directory, job.scenario, job.seed, job.net, pcap=None, narrator=QuietNarrator(), judged=JUDGED)
    except OSError as error:
        raise OutputError(f"--runs {job.runs}: {error.strerror}") from None
