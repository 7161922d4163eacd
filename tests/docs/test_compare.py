"""What docs/compare.md shows is what the command prints, and its words for settings and checks are the program's."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.policy_choice import choices
from harness.policy_swap import JUDGED
from harness.result import ExitCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'^```\n(".*?)^```', PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("scenario", "policies", "shown"),
    [
        ("slow_path", "round-robin,least-queue-depth,dm-service-time grouping=multibus", 0),
        ("mixed_block_sizes", "round-robin,least-blocks,dm-service-time grouping=multibus", 1),
    ],
)
def test_the_tables_shown_are_printed(scenario: str, policies: str, shown: int, tmp_path: Path) -> None:
    command = ["compare", f"scenarios/{scenario}.toml", "--policy", policies, "--runs", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *command], capture_output=True, text=True, timeout=110, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(BLOCKS) == 2
    for block in BLOCKS[shown].rstrip("\n").split("\n\n"):
        assert block in done.stdout


def test_the_policies_spelt_can_be_read() -> None:
    spelt = re.findall(r"^\| `(.+?)` \| (?:two|the same|a value|several)", PAGE, re.MULTILINE)
    assert len(spelt) == 5
    for text in spelt:
        assert choices([text.replace('"', "")])


def test_the_mistake_shown_is_reported() -> None:
    with pytest.raises(ScenarioError) as caught:
        choices(["vmw-rr iosp=1"])
    assert f"    {caught.value}\n" in PAGE


def test_what_is_judged_is_named() -> None:
    assert f"only {' and '.join(f'`{check}`' for check in JUDGED)} are still judged" in PAGE
    assert f"the exit code is {ExitCode.CORRECTNESS:d}: what was asked for was not compared" in PAGE


def test_the_check_shown_is_one() -> None:
    shown = tomllib.loads(PAGE.split("```toml\n")[1].split("```")[0].replace("steps.that", "that"))
    tables = tomllib.loads((ROOT / "scenarios" / "mixed_block_sizes.toml").read_text(encoding="utf-8"))
    assert shown["that"][0] in [check for step in tables["steps"] for check in step.get("that", [])]
    assert scenario_from(tables).name == "mixed_block_sizes"
