"""docs/oracles.md has every oracle, its files are there, and its example is what the command prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from harness.check.suite import ORACLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "oracles.md").read_text(encoding="utf-8")
ROWS = [row.split("|")[1:-1] for row in PAGE.splitlines() if row.startswith("| `")]


def test_each_oracle_has_a_row_and_no_row_is_of_anything_else() -> None:
    assert [name.strip(" `") for name, *_ in ROWS] == list(ORACLES)


def test_each_says_all_four_things_and_names_files_that_are_there() -> None:
    for row in ROWS:
        assert len(row) == 5
        assert all(cell.strip() for cell in row)
        files = re.findall(r"`([^`]+\.py)`", row[1])
        assert files, row
        assert [name for name in files if not (ROOT / "harness" / "check" / name).resolve().is_file()] == []


def test_places_named_in_the_text_are_there() -> None:
    places = re.findall(r"`((?:tests|scenarios)/[^`]+)`", PAGE)
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_example_is_what_is_printed(tmp_path: Path) -> None:
    shown = [line.rstrip() for line in PAGE.split("```\n")[1].splitlines()]
    command = [sys.executable, "-m", "harness", "run", "scenarios/unsafe/ghost_write_windows.toml"]
    done = subprocess.run([*command, "--runs", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 10, done.stdout + done.stderr
    printed = [line.rstrip() for line in done.stdout.splitlines()]
    start = printed.index(shown[0])
    for line, said in zip(shown, printed[start:], strict=False):
        # The end of the last line is the time on the clock at the wall.
        assert said.partition(" virtual")[0] == line.partition(" virtual")[0]
