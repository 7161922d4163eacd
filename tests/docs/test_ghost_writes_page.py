"""docs/ghost-writes.md shows what the command prints, and what each fence was measured to cost."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from harness.load import load_scenario
from harness.narration import QuietNarrator
from harness.run import run_scenario
from harness.scenario import Array, Host

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ghost-writes.md").read_text(encoding="utf-8")
UNSAFE = "scenarios/unsafe/ghost_write_windows.toml"
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1:]
"""What is shown of the two runs; the first block is the story."""


def printed(path: str, runs: Path, code: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", path, "--runs", str(runs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return [line.rstrip() for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("path", "code", "blocks"), [(UNSAFE, 10, BLOCKS[:2]), ("scenarios/ghost_write_preempt.toml", 0, BLOCKS[2:])]
)
def test_what_is_shown_is_printed_in_that_order(path: str, code: int, blocks: list[str], tmp_path: Path) -> None:
    lines = iter(printed(path, tmp_path, code))
    shown = [line.rstrip() for block in blocks for line in block.splitlines() if line]
    assert len(blocks) == 2
    for line in shown:
        # The end of the verdict's last line is the time on the clock at the wall.
        found = any(said.startswith(line) if " virtual" in line else said == line for said in lines)
        assert found, f"not printed, or not there: {line}"


RULES = list(get_args(Host.model_fields["fencing"].annotation))
COSTS = re.findall(r"^\| `([a-z0-9-]+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)


def test_every_rule_has_its_column() -> None:
    assert f"| | {' | '.join(RULES)} |" in PAGE
    assert len(COSTS) == 3


@pytest.mark.parametrize("row", COSTS, ids=lambda row: row[0])
def test_the_stalls_are_those_of_the_story(row: tuple[str, ...]) -> None:
    profile, *stalls = row
    scenario = load_scenario(ROOT / UNSAFE)
    for rule, stall in zip(RULES, stalls, strict=True):
        host = scenario.hosts[0].model_copy(update={"profile": profile, "fencing": rule})
        told = scenario.model_copy(update={"hosts": (host,)})
        result = run_scenario(told, seed=1, net="sim", pcap=None, narrator=QuietNarrator())
        (failover,) = result.failovers
        assert f"{failover.stall_s:.1f}" == stall, rule


def test_the_scenarios_it_names_are_there_and_all_are_named() -> None:
    named = set(re.findall(r"`(?:scenarios/)?((?:unsafe/)?ghost_write_\w+)(?:\.toml)?`", PAGE))
    files = (ROOT / "scenarios").rglob("ghost_write_*.toml")
    assert named - {"ghost_write_linux"} == {
        str(path.relative_to(ROOT / "scenarios").with_suffix("")) for path in files
    }


def test_every_way_to_end_lost_tasks_is_told() -> None:
    for value in get_args(Array.model_fields["lost_tasks"].annotation)[1:]:
        assert f'| `lost_tasks = "{value}"` |' in PAGE
    for rule in RULES:
        assert f'| `fencing = "{rule}"` |' in PAGE
