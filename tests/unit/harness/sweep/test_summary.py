"""What a sweep's table is summed up to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.check.marks import MARKS
from harness.result import Result
from harness.sweep.job import Job
from harness.sweep.row import SeedRow, harness_failure, row_of
from harness.sweep.store import Store, identity_of
from harness.sweep.summary import ENOUGH_SEEDS, Summary, print_summary, summary_of

SWARM = Job()
FROM_FILE = Job(b'name = "x"', "my scenario.toml")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(None, identity_of(SWARM), "mpiolab sweep", resume=False) as store:
        yield store


@pytest.fixture
def passed(result: Result) -> SeedRow:
    return row_of(replace(result, marks=MARKS[:1]), ("2 NICs", "esxi"), 0.25)


def failed(row: SeedRow, seed: int, signature: str, code: int) -> SeedRow:
    return replace(row, seed=seed, verdict="fail", exit_code=code, signature=signature, why=f"seed {seed}")


def told(summary: Summary) -> str:
    text = io.StringIO()
    print_summary(Console(file=text, width=100), summary, ran=2, took_s=0.5)
    return text.getvalue()


def test_failures_of_one_kind_are_one_line_with_the_smallest_seed(store: Store, passed: SeedRow) -> None:
    store.add([passed, failed(passed, 9, "content", 10), failed(passed, 5, "content", 10)])
    store.add([failed(passed, 7, "drain", 11), harness_failure(6, "its process died")])
    summary = summary_of(store, SWARM)

    kinds = [(kind.signature, kind.exit_code, kind.seeds, kind.smallest_seed, kind.why) for kind in summary.failing]
    assert kinds == [
        ("content", 10, 2, 5, "seed 5"),
        ("drain", 11, 1, 7, "seed 7"),
        ("harness failure", 70, 1, 6, "its process died"),
    ]
    assert summary.exit_code == 10
    assert summary.verdicts == {"error": 1, "fail": 3, "pass": 1}
    assert summary.failing[0].replay == "mpiolab replay 5"


def test_a_scenario_of_a_file_is_replayed_from_it(store: Store, passed: SeedRow) -> None:
    store.add([failed(passed, 3, "io", 10)])

    (kind,) = summary_of(store, FROM_FILE).failing
    assert kind.replay == "mpiolab run 'my scenario.toml' --seed 3"


def test_a_mark_that_no_seed_hit_fails_a_sweep_of_many_seeds(store: Store, passed: SeedRow) -> None:
    store.add([replace(passed, seed=seed) for seed in range(ENOUGH_SEEDS - 1)])
    few = summary_of(store, SWARM)
    store.add([replace(passed, seed=ENOUGH_SEEDS)])
    many = summary_of(store, SWARM)

    assert (few.exit_code, few.marks_missed) == (0, ())
    assert (many.exit_code, many.marks_missed) == (70, MARKS[1:])
    assert f"FAIL (70) no seed came through: {', '.join(MARKS[1:])}\n" in told(many)
    assert many.marks[MARKS[0]] == ENOUGH_SEEDS
    assert summary_of(store, FROM_FILE).exit_code == 0, "one scenario need not reach them all"


def test_all_marks_hit_is_a_pass(store: Store, passed: SeedRow) -> None:
    store.add([replace(passed, seed=seed, marks=MARKS) for seed in range(ENOUGH_SEEDS)])

    assert summary_of(store, SWARM).exit_code == 0


def test_a_sum_of_nothing_is_nothing(store: Store) -> None:
    assert (summary_of(store, SWARM).seeds, summary_of(store, SWARM).exit_code) == (0, 0)


def test_what_is_told_is_short_and_says_how_to_see_it_again(store: Store, passed: SeedRow) -> None:
    store.add([passed, replace(failed(passed, 2, "content", 10), why="block 7 [is] wrong " * 40)])
    lines = told(summary_of(store, SWARM)).splitlines()

    assert lines[:2] == ["2 seeds: 1 fail, 1 pass", "2 of them now, in 0.5 s: 4.0 seeds/s"]
    assert lines[-3] == "FAIL (10) content: 1 seed"
    assert lines[-2].startswith("  block 7 [is] wrong block 7 ")
    assert len(lines[-2]) < 250
    assert lines[-1] == "  mpiolab replay 2"


def test_a_row_comes_back_as_it_went_in(store: Store, passed: SeedRow) -> None:
    store.add([passed])

    (row,) = store.rows("SELECT * FROM seeds")
    assert SeedRow(*[tuple(value) if isinstance(value, list) else value for value in row]) == passed
    assert store.seeds() == {1}


def test_the_file_says_what_sweep_it_is(tmp_path: Path) -> None:
    file = tmp_path / "sweep.duckdb"
    with Store(file, identity_of(FROM_FILE), "mpiolab sweep x", resume=False) as store:
        ((kind, sha256, twice, version, python, _, command, _),) = store.rows("SELECT * FROM sweep")

    assert (kind, len(sha256), twice, command) == ("scenario", 64, False, "mpiolab sweep x")
    assert version
    assert python.startswith("3.")
