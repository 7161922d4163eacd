"""`mpiolab compare` as a person calls it: what it prints and leaves, and what it says of a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ran

from harness import cli
from tests.interop.support import free_port

SCENARIO = """
name = "small"
[array]
name = "PS100"
group = "192.168.51.1/22"
portals = ["192.168.51.2", "192.168.51.3"]
{array}
[[array.volumes]]
name = "logs"
size = "16MiB"
[[array.volumes.access]]
source = "192.168.48.0/22"
[[hosts]]
name = "w2k3"
iqn = "iqn.1991-05.com.microsoft:w2k3"
[[hosts.nics]]
name = "A"
address = "192.168.50.105/22"
[[hosts.nics]]
name = "B"
address = "192.168.50.125/22"
[[steps]]
do = "discover"
[[steps]]
do = "login"
volume = "logs"
source = "192.168.50.105"
multipath = true
[[steps]]
do = "login"
volume = "logs"
source = "192.168.50.125"
multipath = true
[[steps]]
do = "workload"
name = "mixed"
volume = "logs"
op = "mixed"
block = "8KiB"
pattern = "random"
ios = 200
[[steps]]
do = "expect"
[[steps.that]]
check = "share"
phase = "mixed"
path = "192.168.50.105"
min = 1.0
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("small.toml").write_text(SCENARIO.format(array=""))


def mpiolab(*arguments: str) -> Ran:
    ran = CliRunner().invoke(cli.app, arguments)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), repr(ran.exception)
    return ran


def compared(*policies: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    ran = mpiolab("compare", "small.toml", "--policy", ",".join(policies), "--json", "-", *more)
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


def test_policies_come_in_the_order_they_were_asked_for_and_leave_their_runs() -> None:
    names = ["round-robin", "failover-only", "vmw-rr iops=1", "vmw-rr"]
    document = compared(*names)
    assert [one["policy"] for one in document["policies"]] == names
    assert [one["result"]["phases"][0]["policy"] for one in document["policies"]] == [name.split()[0] for name in names]
    for one, kind in zip(
        document["policies"], ["round-robin", "failover-only", "vmw-rr-iops-1", "vmw-rr"], strict=True
    ):
        directory = Path("runs") / f"small-1-{kind}"
        assert json.loads((directory / "result.json").read_text()) == one["result"]
        assert (directory / "trace.jsonl").stat().st_size > 0
        assert (directory / "scenario.toml").read_text() == Path("small.toml").read_text()


def test_the_replay_command_of_a_run_is_that_run() -> None:
    first = compared("round-robin", "vmw-rr iops=1")["policies"][1]["result"]["trace_sha256"]
    command = Path("runs/small-1-vmw-rr-iops-1/replay.txt").read_text().strip()
    assert command == (
        "mpiolab compare runs/small-1-vmw-rr-iops-1/scenario.toml --policy 'vmw-rr iops=1' --seed 1 --net sim"
    )
    [again] = compared("vmw-rr iops=1")["policies"]
    assert again["result"]["trace_sha256"] == first


def test_the_scenarios_own_expectation_is_not_judged_under_another_policy() -> None:
    ran = mpiolab("compare", "small.toml", "--policy", "failover-only,round-robin")
    assert ran.exit_code == 0, ran.output
    assert mpiolab("run", "small.toml").exit_code == 0


def test_the_table_is_printed_plain_into_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "compare", "small.toml", "--policy", "round-robin,vmw-mru"],
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_seed_and_a_place_for_the_runs(tmp_path: Path) -> None:
    document = compared("round-robin", more=("--seed", "7", "--runs", "elsewhere"))
    assert document["seed"] == document["policies"][0]["result"]["seed"] == 7
    assert Path("elsewhere/small-7-round-robin/result.json").is_file()


def test_files_are_written_beside_the_table() -> None:
    ran = mpiolab("compare", "small.toml", "--policy", "round-robin,vmw-mru", "--json", "c.json", "--chart", "c.html")
    assert ran.exit_code == 0, ran.output
    assert "throughput, MB/s" in ran.stdout
    assert json.loads(Path("c.json").read_text())["schema"] == "mpiolab.compare/1"
    assert Path("c.html").read_text().startswith("<!doctype html>")


def test_a_refused_policy_is_told_and_counts_as_a_failure() -> None:
    Path("small.toml").write_text(SCENARIO.format(array="active_passive = true"))
    ran = mpiolab("compare", "small.toml", "--policy", "round-robin,failover-only")
    assert ran.exit_code == 10
    assert "✗ round-robin: refused: path" in ran.stdout
    assert "cannot be active beside another path" in ran.stdout.replace("\n", " ")


def test_on_real_tcp_one_run_follows_the_other() -> None:
    Path("small.toml").write_text(SCENARIO.format(array=f"port = {free_port('127.0.51.1')}"))
    document = compared("round-robin", "failover-only", more=("--net", "tcp"))
    assert [one["verdict"] for one in document["policies"]] == ["pass", "pass"]
    assert document["net"] == "tcp"
    assert Path("runs/small-1-failover-only-tcp/result.json").is_file()


def test_a_policy_of_ones_own_is_found_in_the_current_directory() -> None:
    """By every process: two policies run side by side."""
    Path("my_policies.py").write_text(
        "from initiator_model.policies import Selector, first_active\n"
        "class First(Selector):\n"
        "    def choose(self, paths, io):\n"
        "        at = first_active(paths)\n"
        "        return None if at < 0 else paths[at]\n"
    )
    try:
        document = compared("my_policies:First", "round-robin")
    finally:
        sys.modules.pop("my_policies", None)
    mine, theirs = document["policies"]
    assert (mine["policy"], mine["verdict"]) == ("my_policies:First", "pass")
    assert [path["share"] for path in mine["result"]["phases"][0]["paths"]] == [1.0, 0.0]
    assert mine["fairness"]["phases"][0]["ios"] == 0.5
    assert theirs["fairness"]["phases"][0]["ios"] == 1.0
    assert Path("runs/small-1-my_policies-First/result.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["small.toml", "--policy", "round-robbin"], '--policy "round-robbin": policy: no policy "round-robbin"'),
        (["small.toml", "--policy", ""], "--policy: expected the name of a policy"),
        (["small.toml", "--policy", "round-robin,round-robin"], "is given twice"),
        (["none.toml", "--policy", "round-robin"], "none.toml: cannot be read"),
        (
            ["small.toml", "--policy", "round-robin", "--json", "no/c.json"],
            "--json no/c.json: there is no directory no",
        ),
        (
            ["small.toml", "--policy", "round-robin", "--chart", "no/c.svg"],
            "--chart no/c.svg: there is no directory no",
        ),
        (["small.toml", "--policy", "round-robin", "--chart", "c.png"], "--chart c.png: expected a file that ends in"),
        (["small.toml", "--policy", "round-robin", "--runs", "small.toml"], "--runs small.toml: Not a directory"),
        (
            ["small.toml", "--policy", "failover-only preferred=192.168.50.106"],
            'small.toml, policy "failover-only preferred=192.168.50.106": steps[3].preferred: no source address',
        ),
        (["idle.toml", "--policy", "round-robin"], "idle.toml: steps: no workload"),
        (["small.toml"], "--policy"),
    ],
)
def test_a_mistake_is_said_with_its_place(arguments: list[str], complaint: str) -> None:
    idle = SCENARIO.format(array="").partition('[[steps]]\ndo = "workload"')[0]
    Path("idle.toml").write_text(idle)
    ran = mpiolab("compare", *arguments)
    assert ran.exit_code == 2
    assert complaint in ran.stderr
    assert ran.stdout == ""
    assert not Path("runs").exists()
