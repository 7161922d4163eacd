"""Replay: the same scenario and seed are the same run, byte for byte, in any process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

WALKTHROUGH = "scenarios/ps100_round_robin.toml"


BALANCER = "scenarios/rebalance.toml"


def _run(tmp_path: Path, hash_seed: str, *more: str, scenario: str = WALKTHROUGH) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", scenario, "--json", "-", "--runs", str(tmp_path), *more],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_two_processes_with_different_hash_seeds_give_one_trace_and_one_capture(tmp_path: Path) -> None:
    captures = [tmp_path / "a.pcapng", tmp_path / "b.pcapng"]

    first = _run(tmp_path / "first", "1", "--pcap", str(captures[0]))
    second = _run(tmp_path / "second", "2", "--pcap", str(captures[1]))
    unobserved = _run(tmp_path / "third", "3")

    assert first["trace_sha256"] == second["trace_sha256"] == unobserved["trace_sha256"]
    digests = [hashlib.sha256(capture.read_bytes()).hexdigest() for capture in captures]
    assert digests[0] == digests[1]
    for document in (first, second):
        document.pop("wall_seconds")
    assert first == second


def test_the_balancer_decides_the_same_in_every_process(tmp_path: Path) -> None:
    first = _run(tmp_path / "first", "1", scenario=BALANCER)
    second = _run(tmp_path / "second", "2", scenario=BALANCER)

    assert first["trace_sha256"] == second["trace_sha256"]


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    assert _run(tmp_path, "0")["trace_sha256"] != _run(tmp_path, "0", "--seed", "2")["trace_sha256"]
