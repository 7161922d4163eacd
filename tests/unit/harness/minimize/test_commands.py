"""`mpiolab replay` and `mpiolab minimize`, as a user meets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import Result as Ran
from typer.testing import CliRunner

from harness import cli
from harness.load import load_scenario, scenario_from
from harness.minimize import minimize
from harness.result import Result
from harness.run import run_scenario
from harness.scenario import Scenario
from harness.toml_text import toml_text
from tests.support.runs import LOGINS, SOURCES, Tables, two_paths, workload


def mpiolab(*arguments: str) -> Ran:
    """Run the command; whatever it raises but its exit is a failure of the test."""
    ran = CliRunner().invoke(cli.app, arguments)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), repr(ran.exception)
    return ran


def saved(tables: Tables) -> str:
    """The scenario as a file."""
    Path("s.toml").write_text(toml_text(tables), encoding="utf-8")
    return "s.toml"


GHOST = Path("scenarios/unsafe/ghost_write_windows.toml").absolute()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands leave their files in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_seed_is_replayed_and_leaves_its_scenario(elsewhere: Path) -> None:
    ran = mpiolab("replay", "3", "--toml", "seed3.toml")
    assert (ran.exit_code, "swarm-3" in ran.stdout) == (0, True)
    assert load_scenario(elsewhere / "seed3.toml").name == "swarm-3"
    again = mpiolab("replay", "seed3.toml", "--json", "-")
    assert '"scenario": "swarm-3"' in again.stdout


def test_a_scenario_that_fails_is_made_smaller_and_saved(elsewhere: Path) -> None:
    ran = mpiolab("minimize", str(GHOST), "--out", "ghost.toml")
    assert ran.exit_code == 10, ran.stdout + ran.stderr
    assert "are left of" in ran.stdout
    assert "mpiolab replay ghost.toml" in ran.stdout
    smallest = load_scenario(elsewhere / "ghost.toml")
    assert smallest.name == "ghost_writes_1"
    assert sum(step.do == "io" for step in smallest.steps) == 2  # the write and the one that came after it
    assert (elsewhere / "ghost.toml").read_text().startswith("# ghost writes: landed again")
    assert mpiolab("replay", "ghost.toml").exit_code == 10


def test_what_passes_cannot_be_minimized() -> None:
    ran = mpiolab("minimize", saved(two_paths(*LOGINS, workload(ios=1))))
    assert ran.exit_code == 2
    assert "passes with seed 1: there is nothing to minimize" in ran.stderr


@pytest.mark.parametrize("command", ["replay", "minimize"])
def test_neither_a_seed_nor_a_file(command: str) -> None:
    ran = mpiolab(command, "seven")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "seven: expected a seed (a whole number) or a scenario file (.toml)" in ran.stderr


def test_a_check_of_the_scenarios_own_is_a_failure_too(elsewhere: Path) -> None:
    expect = {"do": "expect", "that": [{"check": "share", "phase": "io", "path": SOURCES[1], "min": 0.9}]}
    ran = mpiolab("minimize", saved(two_paths(*LOGINS, workload(ios=64, iops=2000), expect)), "--out", "small.toml")
    assert ran.exit_code == 10, ran.stderr
    assert "share io" in ran.stdout


def test_a_harness_that_fails_on_the_scenario_itself_does_not_pass_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr("harness.minimize.minimizer.run_scenario", broken)
    ran = CliRunner().invoke(cli.app, ["minimize", str(GHOST)])
    assert isinstance(ran.exception, LookupError)


def test_candidates_on_which_the_harness_fails_are_passed_over_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = run_scenario

    def broken(scenario: Scenario, **options: Any) -> Result:
        if not any(step.do == "netstat" for step in scenario.steps):
            raise LookupError("a mistake of ours")
        return honest(scenario, **options)

    monkeypatch.setattr("harness.minimize.trial.run_scenario", broken)
    expect = {"do": "expect", "that": [{"check": "share", "phase": "io", "path": SOURCES[1], "min": 0.9}]}
    steps = [*LOGINS, {"do": "netstat"}, workload(ios=64, iops=2000), expect]
    ran = mpiolab("minimize", saved(two_paths(*steps)), "--out", "small.toml")
    assert "candidates the harness itself failed" in ran.stdout
    assert "netstat" in Path("small.toml").read_text()


def test_operations_are_the_ios_of_the_run_not_the_lines_of_the_file() -> None:
    """A workload that runs for a time has no count in its file."""
    expect = {"do": "expect", "that": [{"check": "share", "phase": "io", "path": SOURCES[1], "min": 0.9}]}
    timed = {**workload(), "duration": "200ms"}
    found = minimize(scenario_from(two_paths(*LOGINS, timed, expect)), 1)
    assert found.operations == found.result.io.submitted > 0
