"""`mpiolab check` as it is called: output, exit codes, files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ran

from harness import cli

WRONG = "tests.planted.wrong_policies"


def mpiolab(*arguments: str) -> Ran:
    return CliRunner().invoke(cli.app, arguments)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory of its own, with the tests still to be found."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path.cwd())])
    monkeypatch.chdir(tmp_path)


def test_a_policy_that_keeps_the_rules_passes() -> None:
    ran = mpiolab("check", "round-robin", "--examples", "20")
    assert (ran.exit_code, ran.stderr) == (0, "")
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert lines[0] == ["round-robin", "20", "drawn", "stories,", "seed", "0"]
    assert ["–", "lightest", "path", "not", "promised"] in lines
    assert ["✓", "bounded", "memory", "2,000", "lives"] in [line[:5] for line in lines]
    assert ran.stdout.endswith("pass: every rule held\n")
    assert not Path("runs").exists()


def test_a_policy_that_does_not_is_told_with_its_story() -> None:
    ran = mpiolab("check", f"{WRONG}:TakesStandbyForActive")
    assert (ran.exit_code, ran.stderr) == (10, "")
    assert [line.rstrip() for line in ran.stdout.splitlines()][:11] == [
        f'✗ {WRONG}:TakesStandbyForActive breaks the rule "usable path"',
        "  A request goes down an Active path of the disk, never another one.",
        "  Found: choose returned path 2, which is Standby",
        "",
        "1  path 1 is added",
        "2  path 2 is added",
        "3  a read of 4096 bytes at block 0  ✗ here",
        "",
        f"  again     mpiolab check {WRONG}:TakesStandbyForActive --examples 1000 --seed 0",
        "  in a run  mpiolab run runs/check-TakesStandbyForActive.toml",
        "  ✓ it replays: path selection: host disk: TakesStandbyForActive: choose returned 10.1.0.2, which is",
    ]
    run = mpiolab("run", "runs/check-TakesStandbyForActive.toml")
    assert run.exit_code == 10
    assert "✗ path selection: host disk: TakesStandbyForActive: choose returned" in run.stdout


def test_the_same_seed_tells_the_same() -> None:
    once, twice = (mpiolab("check", f"{WRONG}:KeepsStaleCounts", "--examples", "100").stdout for _ in range(2))
    assert once == twice


def test_json_alone_on_stdout() -> None:
    ran = mpiolab("check", f"{WRONG}:RevivesAFailedPath", "--json", "-", "--scenario", "mine.toml")
    document = json.loads(ran.stdout)
    assert ran.exit_code == 10
    assert (document["schema"], document["verdict"]) == ("mpiolab.check/1", "fail")
    failure = document["failure"]
    assert failure["rule"] == "legal moves"
    assert [event["event"] for event in failure["events"]] == ["path_added", "path_fails"]
    assert (failure["scenario"], failure["replays"]) == ("mine.toml", True)
    assert {rule["name"]: rule["promised"] for rule in document["rules"]}["turns"] is False


def test_json_into_a_file_beside_what_is_told() -> None:
    ran = mpiolab("check", "failover-only", "--examples", "5", "--json", "verdict.json")
    assert ran.stdout.startswith("failover-only")
    document = json.loads(Path("verdict.json").read_text())
    assert (document["verdict"], document["failure"]) == ("pass", None)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no-such-policy"], "'no-such-policy' is not one of: failover-only"),
        (["no_such_module:Mine"], "No module named 'no_such_module'"),
        (["json:JSONDecoder"], "derive it from initiator_model.policies.Selector"),
        (["json:dumps"], "json has no class dumps"),
        (["half:Done"], "half cannot be imported: SyntaxError"),
        (["stubborn:Mine"], "cannot be made: RuntimeError: not today"),
        (["failover-only", "--json", "nowhere/x.json"], "there is no directory nowhere"),
        ([f"{WRONG}:RevivesAFailedPath", "--scenario", "."], "--scenario .: Is a directory"),
    ],
)
def test_bad_usage_is_refused(arguments: list[str], complaint: str) -> None:
    Path("half.py").write_text("class Done(\n")
    own = "from initiator_model.policies import Selector\nclass Mine(Selector):\n    def __init__(self):\n"
    Path("stubborn.py").write_text(f"{own}        raise RuntimeError('not today')\n")
    ran = mpiolab("check", *arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert complaint in ran.stderr


def test_without_hypothesis_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    ran = mpiolab("check", "round-robin")
    assert ran.exit_code == 2
    assert 'pip install "mpiolab[check]"' in ran.stderr
