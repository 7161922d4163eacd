"""A sweep on a dask.distributed cluster: the rows are those of any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sweeping import MODULE, small_scenario, table

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler that has two workers, all on the loopback interface."""
    about = tmp_path / "scheduler.json"
    where = ["--host", "127.0.0.1", "--no-dashboard"]
    programs = [["dask_scheduler", *where, "--port", "0", "--scheduler-file", str(about)]]
    worker = ["dask_worker", *where, "--scheduler-file", str(about), "--nthreads", "1", "--nworkers", "1"]
    programs += [worker, worker]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    running = []
    try:
        for name, *arguments in programs:
            command = [sys.executable, "-m", f"distributed.cli.{name}", *arguments]
            running.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL))
            deadline_s = time.monotonic() + 30
            while not about.exists():
                assert time.monotonic() < deadline_s, "the scheduler did not start"
                time.sleep(0.05)
        yield json.loads(about.read_text())["address"]
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(30)


def sweep(scenario: Path, file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "sweep", str(scenario), "--seeds", "24", "--db", str(file), *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_cluster_gives_the_rows_that_this_machine_gives(scheduler: str, tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path / "small.toml")
    there = sweep(scenario, tmp_path / "there.duckdb", "--dask", scheduler, "--twice")
    here = sweep(scenario, tmp_path / "here.duckdb", "--jobs", "1")

    assert (there.returncode, here.returncode) == (0, 0), there.stderr + here.stderr
    assert table(tmp_path / "there.duckdb") == table(tmp_path / "here.duckdb")


def test_a_worker_that_dies_costs_its_seed_alone(scheduler: str, tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path / "small.toml", f"{MODULE}:Dies", ios=1)
    done = sweep(scenario, tmp_path / "there.duckdb", "--dask", scheduler)

    assert done.returncode == 70, done.stderr
    rows = table(tmp_path / "there.duckdb", "verdict, signature")
    assert len(rows) == 24
    spoilt = [signature for verdict, signature in rows if verdict == "error"]
    assert 0 < len(spoilt) < 12
    assert set(spoilt) == {"harness failure: process died"}


def test_nobody_at_the_address_is_said_so(tmp_path: Path) -> None:
    done = sweep(small_scenario(tmp_path / "small.toml"), tmp_path / "x.duckdb", "--dask", "tcp://127.0.0.1:1")

    assert done.returncode == 2
    assert "--dask tcp://127.0.0.1:1: " in done.stderr
    assert "Traceback" not in done.stderr
