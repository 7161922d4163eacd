"""`mpiolab sweep` as it is called: rows, summary, exit codes; worker processes that die or hang."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ran

from harness import cli
from harness.swarm import features_of, swarm_scenario
from harness.sweep.job import Job
from harness.sweep.one_seed import run_seed
from harness.sweep.row import SeedRow
from tests.support.runs import run
from tests.support.sweeping import MODULE, small_scenario, table

FILE = Path("sweep.duckdb")


def sweep(*arguments: str) -> Ran:
    return CliRunner().invoke(cli.app, ["sweep", "--jobs", "1", *arguments])


def test_a_row_is_what_the_run_of_its_seed_is() -> None:
    ran = sweep("--seeds", "3..6", "--db", "sweep.duckdb")

    assert (ran.exit_code, ran.stderr) == (0, "")
    result = run(swarm_scenario(4), seed=4)
    columns = "seed, verdict, exit_code, signature, trace_sha256, ios, events, scenario, features"
    assert table(FILE, columns)[1] == (
        4,
        "pass",
        0,
        "",
        result.trace_sha256,
        result.io.submitted,
        result.events,
        "swarm-4",
        list(features_of(swarm_scenario(4))),
    )
    assert [seed for (seed,) in table(FILE, "seed")] == [3, 4, 5, 6]
    assert ran.stdout.startswith("4 seeds: 4 pass\n4 of them now, in ")


def test_one_scenario_under_many_seeds() -> None:
    small_scenario(Path("small.toml"))
    ran = sweep("small.toml", "--seeds", "20", "--db", "sweep.duckdb", "--json", "-")

    summary = json.loads(ran.stdout)
    assert (ran.exit_code, summary["verdicts"], summary["ios"]) == (0, {"pass": 20}, 240)
    assert summary["marks_missed"] == [], "only swarms have to reach every mark"
    assert len({trace for (trace,) in table(FILE, "trace_sha256")}) == 20


def test_the_columns_of_the_table_are_the_fields_of_a_row() -> None:
    sweep("--seeds", "1", "--db", "sweep.duckdb")

    with duckdb.connect("sweep.duckdb", read_only=True) as tables:
        names = [name for (name, *_) in tables.execute("DESCRIBE seeds").fetchall()]
    assert tuple(names) == tuple(SeedRow.__slots__)


def test_a_failure_is_told_with_its_smallest_seed_and_what_replays_it() -> None:
    small_scenario(Path("small.toml"))
    failing = Path("small.toml").read_text() + '\n[[steps]]\ndo = "expect"\nthat = [{ check = "io", failed = 1 }]\n'
    Path("failing.toml").write_text(failing)
    ran = sweep("failing.toml", "--seeds", "7..9", "--json", "summary.json")

    assert ran.exit_code == 10
    (kind,) = json.loads(Path("summary.json").read_text())["failing"]
    assert (kind["signature"], kind["seeds"], kind["smallest_seed"]) == ("io", 3, 7)
    assert kind["replay"] == "mpiolab run failing.toml --seed 7"
    assert "FAIL (10) io: 3 seeds\n" in ran.stdout
    again = CliRunner().invoke(cli.app, kind["replay"].split()[1:])
    assert again.exit_code == 10


@pytest.mark.parametrize(
    ("policy", "signature", "why"),
    [
        ("Dies", "harness failure: process died", "its worker process died"),
        ("HangsAndIsDeaf", "harness failure: process hung", "sweeping.py"),
        ("Hangs", "harness failure: too long", "longer than 0.5 s of wall-clock time"),
    ],
)
def test_a_seed_that_spoils_its_worker_is_told_apart_from_the_others(policy: str, signature: str, why: str) -> None:
    small_scenario(Path("small.toml"), f"{MODULE}:{policy}", ios=2)
    ran = sweep("small.toml", "--seeds", "10", "--limit", "0.5", "--db", "sweep.duckdb")

    assert ran.exit_code == 70
    rows = table(FILE, "seed, verdict, exit_code, signature, why")
    assert [row[0] for row in rows] == list(range(10))
    spoilt = [row for row in rows if row[1] != "pass"]
    assert 0 < len(spoilt) < len(rows)
    for _, verdict, code, found, text in spoilt:
        assert (verdict, code, found) == ("error", 70, signature)
        assert why in text


def test_a_run_that_the_harness_cannot_end_is_its_seeds_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr("harness.sweep.one_seed.run_scenario", broken)
    row = run_seed(Job(), 5)

    assert (row.seed, row.verdict, row.exit_code, row.signature) == (5, "error", 70, "harness failure: LookupError")
    assert row.why.endswith("LookupError: a mistake of ours\n")


def test_a_hash_that_decides_is_a_failure_of_determinism(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "3")  # of the worker; under 1, the other, the names are in another order
    small_scenario(Path("small.toml"), "tests.planted.wrong_policies:DependsOnHashesOfStrings")
    ran = sweep("small.toml", "--seeds", "4", "--twice", "--db", "sweep.duckdb")

    assert ran.exit_code == 12
    rows = table(FILE, "verdict, exit_code, signature, failing_checks")
    assert ("fail", 12, "determinism", ["determinism"]) in rows


def test_honest_seeds_are_the_same_twice() -> None:
    ran = sweep("--seeds", "24", "--twice")

    assert (ran.exit_code, ran.stdout.partition("\n")[0]) == (0, "24 seeds: 24 pass")


def test_what_cannot_be_is_refused_in_a_sentence() -> None:
    small_scenario(Path("small.toml"))
    Path("wrong.toml").write_text("name = 1\n")
    sweep("small.toml", "--seeds", "2", "--db", "sweep.duckdb")
    for arguments, complaint in (
        (["--seeds", "many"], '--seeds many: expected how many, such as 1000, or from and to, such as "1000..1999"'),
        (["--seeds", "9..3"], "--seeds 9..3: expected how many"),
        (["--seeds", "0"], "--seeds 0: expected how many"),
        (["--resume"], "--resume wants --db"),
        (["--resume", "--db", "none.duckdb"], "--resume: there is no file none.duckdb"),
        (["--db", "sweep.duckdb"], "sweep.duckdb is there already: --resume goes on with it"),
        (["--db", "sweep.duckdb", "--resume"], "is of another sweep: kind is 'scenario' there and 'swarm' here"),
        (["small.toml", "--db", "sweep.duckdb", "--resume", "--twice"], "twice is False there and True here"),
        (["--db", "small.toml", "--resume"], "small.toml: "),
        (["--db", "nowhere/sweep.duckdb"], "--db nowhere/sweep.duckdb: there is no directory nowhere"),
        (["wrong.toml"], "wrong.toml: name: "),
    ):
        ran = sweep(*arguments)
        assert ran.exit_code == 2, arguments
        assert complaint in ran.stderr
