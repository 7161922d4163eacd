"""A sweep that is killed at any moment has lost no seed that it counted, and `--resume` ends as if nothing had been."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.rng import stream
from tests.support.sweeping import small_scenario, table

SEEDS = 100


def start(scenario: Path, file: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness", "sweep", str(scenario), "--seeds", str(SEEDS), "--jobs", "2"]
    return subprocess.Popen([*command, "--db", str(file), *more], stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    return out


def children(process: subprocess.Popen[str]) -> list[int]:
    """Its children and theirs."""
    found = [process.pid]
    for pid in found:
        tasks = Path(f"/proc/{pid}/task/{pid}/children")
        found += [int(child) for child in tasks.read_text().split()]
    return found[1:]


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_scenario(tmp_path_factory.mktemp("scenario") / "small.toml")


@pytest.fixture(scope="module")
def unbroken(scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("unbroken") / "sweep.duckdb"
    assert f"{SEEDS} seeds: {SEEDS} pass" in finished(start(scenario, file))
    return file


@pytest.mark.parametrize("moment", range(2))
def test_what_was_counted_is_there_and_the_rest_is_run(
    scenario: Path, unbroken: Path, tmp_path: Path, moment: int
) -> None:
    file = tmp_path / "sweep.duckdb"
    process = start(scenario, file)
    began_s = time.monotonic()
    while not file.exists() and time.monotonic() < began_s + 60:
        time.sleep(0.01)
    time.sleep(3 * stream(os.getpid(), f"moment {moment}").random())
    workers = children(process)
    process.kill()
    process.communicate(timeout=60)

    kept = table(file)
    out = finished(start(scenario, file, "--resume"))

    assert table(file) == table(unbroken)
    assert kept == [row for row in table(file) if row[0] in {row[0] for row in kept}], "what was there stays as it was"
    assert (f"{SEEDS - len(kept):,} of them now" in out) == (len(kept) < SEEDS)
    assert [pid for pid in workers if is_there(pid)] == [], "its workers end with it"
