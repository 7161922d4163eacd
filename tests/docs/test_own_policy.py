"""docs/own-policy.md is a tutorial that works: its files are written, its commands run, its output compared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from initiator_model.policies import Promise

PAGE = Path("docs/own-policy.md").read_text(encoding="utf-8")
CHECK = ["check", "my_policy:ReadsBesideWrites"]


def blocks(language: str) -> list[str]:
    every = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for of, text in every if of == language]


FIRST, REPAIR, MENDED = blocks("python")
FAILS, FAILS_AGAIN, PASSES, RUN = blocks("")


def half_mended() -> str:
    last = FIRST.rstrip("\n").rpartition("\n")[0]
    return f"{last}\n{REPAIR}"


def mpiolab(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=directory,
        env={"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert not done.stderr
    return done


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def without_counts(text: str) -> list[str]:
    """How many requests a thousand stories have is Hypothesis's affair."""
    return [re.sub(r" +[\d,]+  (requests|events)", r" N \1", line) for line in lines(text)]


@pytest.mark.parametrize(("policy", "shown"), [(FIRST, FAILS), (half_mended(), FAILS_AGAIN)], ids=["first", "second"])
def test_each_mistake_is_found_as_shown_and_its_scenario_replays(policy: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "my_policy.py").write_text(policy)
    done = mpiolab(tmp_path, *CHECK)
    assert (done.returncode, lines(done.stdout)) == (10, lines(shown))
    run = mpiolab(tmp_path, "run", "runs/check-ReadsBesideWrites.toml")
    assert run.returncode == 10
    assert "FAIL" in run.stdout


def test_the_mended_policy_passes_as_shown(tmp_path: Path) -> None:
    (tmp_path / "my_policy.py").write_text(MENDED)
    done = mpiolab(tmp_path, *CHECK)
    assert (done.returncode, without_counts(done.stdout)) == (0, without_counts(PASSES))


def test_the_scenario_runs_as_shown(tmp_path: Path) -> None:
    (tmp_path / "my_policy.py").write_text(MENDED)
    (tmp_path / "reads_beside_writes.toml").write_text(blocks("toml")[0])
    done = mpiolab(tmp_path, "run", "reads_beside_writes.toml")
    assert done.returncode == 0
    said = lines(done.stdout)
    assert [line for line in lines(RUN) if line not in said] == []


def test_every_promise_is_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE) == [(one.name, one.value) for one in Promise]
