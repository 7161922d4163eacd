"""What `mpiolab sweep` does: hand out seeds, keep the rows, sum up."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness.load import load_scenario
from harness.result import ExitCode
from harness.run_command import STDOUT, OutputError, check_place, write_text
from harness.sweep.job import Job
from harness.sweep.pools import DaskPool, LocalPool, Pool
from harness.sweep.runner import rows_of
from harness.sweep.store import Store, identity_of
from harness.sweep.summary import print_summary, summary_of
from harness.walkthrough import console_for

__all__ = ["SeedsError", "SweepOptions", "parse_seeds", "progress_on", "sweep"]

MAX_SEED = 2**63 - 1


class SeedsError(ValueError):
    """Not a number of seeds, nor a range of them."""


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """What the command line says beside the scenario."""

    seeds: str
    jobs: int
    db: Path | None
    resume: bool
    dask: str | None
    twice: bool
    limit_s: float
    json: str | None
    command: str


def parse_seeds(text: str, option: str = "--seeds") -> range:
    """ "200" is 0 to 199, "A..B" is A to B, both included. Raises SeedsError, which names ``option``."""
    match = re.fullmatch(r"(\d+)|(\d+)\.\.(\d+)", text)
    expected = f'{option} {text}: expected how many, such as 1000, or from and to, such as "1000..1999"'
    if match is None:
        raise SeedsError(expected)
    count, first, last = match.groups()
    seeds = range(int(count)) if count else range(int(first), int(last) + 1)
    if not seeds or seeds[-1] > MAX_SEED:
        raise SeedsError(expected)
    return seeds


def sweep(scenario: Path | None, options: SweepOptions) -> ExitCode:
    """Run it. Raises ScenarioError, SeedsError, OutputError, StoreError, MissingExtra."""
    if options.resume and options.db is None:
        raise OutputError("--resume wants --db, the file to go on with")
    seeds = parse_seeds(options.seeds)
    for option, place in (("--json", options.json), ("--db", options.db)):
        if place not in (None, STDOUT):
            check_place(option, Path(place))
    job = _job(scenario, options)
    console = console_for(sys.stdout)
    quiet = options.json == STDOUT
    began_s = time.monotonic()
    with Store(options.db, identity_of(job), options.command, resume=options.resume) as store:
        done = store.seeds()
        missing = [seed for seed in seeds if seed not in done]
        if missing:
            _run(store, job, missing, options, None if quiet else console)
        summary = summary_of(store, job)
    if not quiet:
        print_summary(console, summary, ran=len(missing), took_s=time.monotonic() - began_s)
    if options.json is not None:
        write_text("--json", options.json, json.dumps(summary.to_document(), ensure_ascii=False))
    return ExitCode(summary.exit_code)


def _job(scenario: Path | None, options: SweepOptions) -> Job:
    if scenario is None:
        return Job(twice=options.twice, limit_s=options.limit_s)
    load_scenario(scenario)  # its mistakes are told before anything is run
    return Job(scenario.read_bytes(), str(scenario), twice=options.twice, limit_s=options.limit_s)


def _run(store: Store, job: Job, seeds: Sequence[int], options: SweepOptions, console: Console | None) -> None:
    pool: Pool = LocalPool(min(options.jobs, len(seeds))) if options.dask is None else DaskPool(options.dask)
    with progress_on(console, len(seeds)) as moved:
        for rows in rows_of(job, seeds, pool):
            store.add(rows)
            moved(len(rows), sum(row.exit_code != 0 for row in rows))


@contextmanager
def progress_on(console: Console | None, seeds: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing in a pipe. What is given is to be told how many more seeds ended, and failed."""
    if console is None or not console.is_terminal:
        yield lambda ended, failed: None
        return
    columns = (TextColumn("{task.fields[failed]:,} failed"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=seeds, failed=0)
        yield lambda ended, failed: progress.update(
            task, advance=ended, failed=progress.tasks[0].fields["failed"] + failed
        )
