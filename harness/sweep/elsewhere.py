"""The same seeds in a process whose strings have other hash values: the traces must be the same.

This module is also what that process runs: the job on stdin, a hash per seed on stdout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from harness.result import ExitCode
from harness.sweep.job import Job
from harness.sweep.one_seed import run_seed, watchdog_s
from harness.sweep.row import SeedRow, harness_failure

__all__ = ["DETERMINISM", "compared"]

DETERMINISM: Final = "determinism"
HASH_SEEDS: Final = ("1", "2")
_START_S: Final = 60.0


def compared(job: Job, rows: Sequence[SeedRow]) -> list[SeedRow]:
    """The rows, once their seeds have run again elsewhere: another trace is a failure of determinism."""
    known = [row for row in rows if row.trace_sha256]
    hash_seed = HASH_SEEDS[os.environ.get("PYTHONHASHSEED") == HASH_SEEDS[0]]
    traces = _traces(job, [row.seed for row in known], hash_seed) if known else {}
    return [_judged(row, traces[row.seed]) if row.trace_sha256 else row for row in rows]


def _judged(row: SeedRow, again: str) -> SeedRow:
    if again == row.trace_sha256:
        return row
    if len(again) != len(row.trace_sha256):
        return harness_failure(row.seed, f"the second run: {again}", scenario=row.scenario)
    why = f"the trace was {row.trace_sha256[:16]}…, and in a process with another PYTHONHASHSEED {again[:16]}…"
    failed = row.verdict == "fail"
    return replace(
        row,
        verdict="fail",
        exit_code=row.exit_code if failed else int(ExitCode.DETERMINISM),
        signature=f"{row.signature} + {DETERMINISM}" if failed else DETERMINISM,
        failing_checks=(*row.failing_checks, DETERMINISM),
        why=f"{row.why}; {why}" if failed else why,
    )


def _traces(job: Job, seeds: Sequence[int], hash_seed: str) -> dict[int, str]:
    """Seed -> trace hash, or what went wrong instead."""
    work = {"toml": None if job.toml is None else b64encode(job.toml).decode(), "file": job.file}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "harness.sweep.elsewhere"],
            input=json.dumps({**work, "limit_s": job.limit_s, "seeds": list(seeds)}),
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            text=True,
            timeout=_START_S + len(seeds) * watchdog_s(job.limit_s),
            check=False,
        )
        answer = json.loads(done.stdout.rpartition("\n\n")[2])
    except subprocess.TimeoutExpired:
        return dict.fromkeys(seeds, "its process did not answer")
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return dict.fromkeys(seeds, f"its process ended with {done.returncode}: {last}")
    return dict(zip(seeds, answer, strict=True))


def main() -> None:
    """Answer on stdout, after a blank line: a policy may print."""
    work = json.load(sys.stdin)
    toml = None if work["toml"] is None else b64decode(work["toml"])
    job = Job(toml, work["file"], limit_s=work["limit_s"])
    rows = [run_seed(job, seed) for seed in work["seeds"]]
    sys.stdout.write(f"\n\n{json.dumps([row.trace_sha256 or row.why for row in rows])}")


if __name__ == "__main__":
    main()
