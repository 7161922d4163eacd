"""The command line: what goes to stdout and stderr, and the exit codes."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ran

from harness import cli
from harness.capture import CaptureError
from harness.mistakes import Mistake, ScenarioError
from harness.result import Failure, Result, from_json

Run = Callable[..., Ran]


class Runner:
    """Stands for `harness.run`: returns a result made beforehand, and remembers what it was asked."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.error: Exception | None = None
        self.asked: list[dict[str, Any]] = []

    def run_scenario(
        self, scenario: Any, *, seed: int, net: Any, pcap: Any, narrator: Any, judged: Any = None
    ) -> Result:
        self.asked.append({"scenario": scenario.name, "seed": seed, "net": net, "pcap": pcap})
        if self.error is not None:
            raise self.error
        narrator.scenario(scenario, net, seed)
        return replace(self.result, scenario=scenario.name, seed=seed, net=net)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, result: Result) -> Runner:
    fake = Runner(result)
    module = ModuleType("harness.run")
    module.run_scenario = fake.run_scenario  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "harness.run", module)
    return fake


@pytest.fixture
def scenario_file(tmp_path: Path, toml: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("two_paths.toml").write_text(toml)
    return "two_paths.toml"


def mpiolab(*arguments: str) -> Ran:
    return CliRunner().invoke(cli.app, arguments)


def failing(result: Result, kind: Any) -> Result:
    return replace(result, verdict="fail", failures=(Failure("io", "one I/O failed", {}, kind),))


def test_a_run_that_passes_tells_and_saves(runner: Runner, scenario_file: str, toml: str) -> None:
    ran = mpiolab("run", scenario_file)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert "PASS" in ran.stdout
    directory = Path("runs/two_paths-1")
    assert sorted(path.name for path in directory.iterdir()) == [
        "replay.txt",
        "result.json",
        "scenario.toml",
        "trace.jsonl",
    ]
    assert (directory / "scenario.toml").read_text() == toml
    assert from_json((directory / "result.json").read_text()).scenario == "two_paths"
    assert (directory / "replay.txt").read_text() == "mpiolab run runs/two_paths-1/scenario.toml --seed 1 --net sim\n"
    assert [json.loads(line)["event"] for line in (directory / "trace.jsonl").read_text().splitlines()] == [
        "scenario",
        "end",
    ]


def test_json_to_stdout_is_json_alone(runner: Runner, scenario_file: str) -> None:
    ran = mpiolab("run", scenario_file, "--json", "-")
    assert json.loads(ran.stdout)["schema"] == "mpiolab.result/1"
    assert ran.stderr == ""


def test_json_to_a_file_leaves_the_walkthrough_on_stdout(runner: Runner, scenario_file: str) -> None:
    ran = mpiolab("run", scenario_file, "--json", "out.json")
    assert json.loads(Path("out.json").read_text())["verdict"] == "pass"
    assert "Verdict" in ran.stdout


def test_seed_net_and_pcap_are_handed_on(runner: Runner, scenario_file: str) -> None:
    assert mpiolab("run", scenario_file, "--seed", "7", "--pcap", "x.pcapng").exit_code == 0
    assert mpiolab("run", scenario_file, "--net", "tcp").exit_code == 0
    assert runner.asked == [
        {"scenario": "two_paths", "seed": 7, "net": "sim", "pcap": Path("x.pcapng")},
        {"scenario": "two_paths", "seed": 1, "net": "tcp", "pcap": None},
    ]
    assert sorted(path.name for path in Path("runs").iterdir()) == ["two_paths-1-tcp", "two_paths-7"]


@pytest.mark.parametrize(("kind", "code"), [("correctness", 10), ("liveness", 11), ("determinism", 12)])
def test_a_run_that_fails_has_the_code_of_its_kind(
    runner: Runner, scenario_file: str, result: Result, kind: str, code: int
) -> None:
    runner.result = failing(result, kind)
    ran = mpiolab("run", scenario_file)
    assert ran.exit_code == code
    assert "FAIL" in ran.stdout


def test_several_scenarios_become_a_table_and_an_array(runner: Runner, scenario_file: str, toml: str) -> None:
    Path("other.toml").write_text(toml.replace('name = "two_paths"', 'name = "other"'))
    ran = mpiolab("run", scenario_file, "other.toml", "--json", "all.json")
    assert ran.exit_code == 0
    assert ran.stdout.splitlines()[-1] == "2 runs, 2 passed, 0 failed"
    assert [result["scenario"] for result in json.loads(Path("all.json").read_text())] == ["two_paths", "other"]
    assert "Verdict" not in ran.stdout


def test_the_table_says_why_a_run_failed(runner: Runner, scenario_file: str, result: Result) -> None:
    runner.result = failing(result, "liveness")
    ran = mpiolab("run", scenario_file, scenario_file)
    assert ran.exit_code == 11
    assert "✗ two_paths: io: one I/O failed" in ran.stdout


def test_mistakes_of_every_file_are_told_before_anything_runs(runner: Runner, scenario_file: str, toml: str) -> None:
    Path("bad.toml").write_text(toml.replace('op = "read"', 'op = "reed"'))
    ran = mpiolab("run", scenario_file, "bad.toml", "nowhere.toml")
    assert (ran.exit_code, ran.stdout, runner.asked) == (2, "", [])
    assert ran.stderr.splitlines() == [
        'bad.toml: steps[1].op: expected "read", "write" or "mixed", got "reed"',
        "nowhere.toml: cannot be read: No such file or directory",
    ]


def test_a_scenario_this_network_cannot_run_is_a_bad_scenario(runner: Runner, scenario_file: str) -> None:
    runner.error = ScenarioError([Mistake(scenario_file, "steps[3].kind", "latency cannot be made on real TCP")])
    ran = mpiolab("run", scenario_file, "--net", "tcp")
    assert (ran.exit_code, ran.stderr) == (2, "two_paths.toml: steps[3].kind: latency cannot be made on real TCP\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--pcap", "x.pcapng", "--net", "tcp"], "--pcap takes one scenario, on the simulated network"),
        (["--json", "nowhere/out.json"], "--json nowhere/out.json: there is no directory nowhere"),
        (["--pcap", "."], "--pcap .: is a directory"),
        (["--runs", "two_paths.toml"], "--runs two_paths.toml: Not a directory"),
        (["--seed", "-1"], "--seed"),
        (["--net", "udp"], "--net"),
    ],
)
def test_bad_usage_is_refused_before_anything_runs(
    runner: Runner, scenario_file: str, arguments: list[str], complaint: str
) -> None:
    ran = mpiolab("run", scenario_file, *arguments)
    assert (ran.exit_code, ran.stdout, runner.asked) == (2, "", [])
    assert complaint in ran.stderr


def test_a_capture_without_scapy_is_a_usage_error(runner: Runner, scenario_file: str) -> None:
    runner.error = CaptureError("captures are written by scapy: pip install 'mpiolab[pcap]'")
    ran = mpiolab("run", scenario_file, "--pcap", "x.pcapng")
    assert ran.exit_code == 2
    assert "pip install 'mpiolab[pcap]'" in ran.stderr


def test_our_own_failure_is_code_70_and_says_so(
    runner: Runner, scenario_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runner.error = RuntimeError("a bug")
    monkeypatch.setattr(sys, "argv", ["mpiolab", "run", scenario_file])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 70
    told = capsys.readouterr().err
    assert "RuntimeError: a bug" in told
    assert told.endswith("mpiolab itself failed; the scenario is not to blame.\n")
    assert not Path("runs/two_paths-1/result.json").exists()


def test_schema_prints_json() -> None:
    assert json.loads(mpiolab("schema").stdout)["title"] == "Scenario"


def test_there_are_no_completion_options() -> None:
    told = mpiolab("--help").stdout
    assert "completion" not in told
    assert all(command in told for command in ("run", "serve", "schema"))
