"""What came out of a sweep: verdicts, rates, marks, what took long, and the failures, one line for each kind.

The numbers come from the table alone, so a sweep that was broken off and resumed is summed up like any other.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from harness.check.marks import MARKS
from harness.result import ExitCode
from harness.sweep.job import Job
from harness.sweep.store import Store

__all__ = ["ENOUGH_SEEDS", "Failing", "Summary", "print_summary", "summary_of"]

SCHEMA: Final = "mpiolab.sweep/1"
ENOUGH_SEEDS: Final = 500
"""From so many swarm seeds on, a mark that none of them hit fails the sweep."""
SLOWEST: Final = 5
MAX_SHOWN: Final = 240
"""Characters of a failure's reason; the file has it whole."""


@dataclass(frozen=True, slots=True)
class Failing:
    """All failures of one kind."""

    signature: str
    exit_code: int
    seeds: int
    smallest_seed: int
    why: str
    """Of the smallest seed."""
    replay: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A sweep in numbers."""

    kind: str
    seeds: int
    verdicts: dict[str, int]
    exit_code: int
    """The lowest of those of its seeds that failed: correctness before liveness before determinism before harness."""
    ios: int
    events: int
    virtual_seconds: float
    cpu_seconds: float
    marks: dict[str, int]
    """Every mark there is -> how many seeds hit it."""
    marks_missed: tuple[str, ...]
    """Those that should have been hit, and failed the sweep."""
    slowest: tuple[tuple[int, float], ...]
    """Seeds and their wall-clock seconds."""
    failing: tuple[Failing, ...]

    def to_document(self) -> dict[str, Any]:
        """The document as Python's own types."""
        return {"schema": SCHEMA, **asdict(self)}


def summary_of(store: Store, job: Job) -> Summary:
    """Sum a sweep up."""
    seeds, ios, events, virtual_s, cpu_s = store.rows(
        "SELECT count(*), coalesce(sum(ios), 0), coalesce(sum(events), 0), "
        "coalesce(sum(virtual_seconds), 0), coalesce(sum(cpu_seconds), 0) FROM seeds"
    )[0]
    verdicts = dict(store.rows("SELECT verdict, count(*) FROM seeds GROUP BY verdict ORDER BY verdict"))
    counts = dict(store.rows("SELECT mark, count(*) FROM (SELECT unnest(marks) AS mark FROM seeds) GROUP BY mark"))
    marks = {name: counts.get(name, 0) for name in MARKS}
    missed = tuple(name for name in MARKS if not marks[name]) if job.kind == "swarm" and seeds >= ENOUGH_SEEDS else ()
    slowest = store.rows(f"SELECT seed, wall_seconds FROM seeds ORDER BY wall_seconds DESC, seed LIMIT {SLOWEST}")
    failing = tuple(
        Failing(signature, code, count, seed, why, replay_command(job, seed))
        for signature, code, count, seed, why in store.rows(
            "SELECT signature, min(exit_code), count(*) AS many, min(seed), arg_min(why, seed) FROM seeds "
            "WHERE exit_code <> 0 GROUP BY signature ORDER BY min(exit_code), many DESC, min(seed)"
        )
    )
    codes = [kind.exit_code for kind in failing] + [int(ExitCode.HARNESS)] * bool(missed)
    return Summary(
        kind=job.kind,
        seeds=seeds,
        verdicts=verdicts,
        exit_code=min(codes, default=int(ExitCode.PASS)),
        ios=int(ios),
        events=int(events),
        virtual_seconds=virtual_s,
        cpu_seconds=cpu_s,
        marks=marks,
        marks_missed=missed,
        slowest=tuple((seed, seconds) for seed, seconds in slowest),
        failing=failing,
    )


def replay_command(job: Job, seed: int) -> str:
    """The command that runs this seed again."""
    if job.kind == "swarm":
        return f"mpiolab replay {seed}"
    return shlex.join(["mpiolab", "run", job.file, "--seed", str(seed)])


def print_summary(console: Console, summary: Summary, *, ran: int, took_s: float) -> None:
    """Tell it. ``ran`` seeds were run now, in ``took_s`` seconds; the rest was there before."""
    console.print(f"{_seeds(summary.seeds)}: {_counts(summary.verdicts)}")
    if ran:
        console.print(f"{ran:,} of them now, in {took_s:.1f} s: {ran / took_s:.1f} seeds/s")
    console.print(
        f"{summary.ios:,} I/Os, {summary.events:,} events, {summary.virtual_seconds:,.0f} s of virtual time, "
        f"{summary.cpu_seconds:,.1f} s of CPU"
    )
    slowest = ", ".join(f"{seed} ({seconds:.2f} s)" for seed, seconds in summary.slowest)
    console.print(f"slowest: {slowest}")
    console.print(_marks_table(summary))
    if summary.marks_missed:
        console.print(f"\nFAIL (70) no seed came through: {', '.join(summary.marks_missed)}", soft_wrap=True)
    for kind in summary.failing:
        console.print(f"\nFAIL ({kind.exit_code}) {kind.signature}: {_seeds(kind.seeds)}", markup=False)
        console.print(f"  {_short(kind.why)}", markup=False, soft_wrap=True)
        console.print(f"  {kind.replay}", markup=False, soft_wrap=True)


def _seeds(count: int) -> str:
    return f"{count:,} seed{'' if count == 1 else 's'}"


def _short(why: str) -> str:
    line = " ".join(why.split())
    return line if len(line) <= MAX_SHOWN else f"{line[: MAX_SHOWN - 1]}…"


def _counts(verdicts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.items()) or "none"


def _marks_table(summary: Summary) -> Table:
    table = Table("mark", "seeds", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, count in summary.marks.items():
        table.add_row(name, f"{count:,}")
    return table
