"""The clients that load a target: libiscsi's iscsi-perf for reads, qemu-img bench for writes.

Neither was written here, and both say what they measured in a line of text.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

_IOPS: Final = re.compile(r"iops average (\d+)")
_SECONDS: Final = re.compile(r"Run completed in ([\d.]+) seconds")

GRACE_S: Final = 20.0
"""A run that takes so much longer than it was asked to counts as hung."""

BLOCK: Final = 512


def random_reads(program: Path, url: str, *, size: int, depth: int, seconds: int) -> float:
    """Random reads of ``size`` bytes, ``depth`` at a time: I/Os per second as iscsi-perf reports them.

    iscsi-perf may find no session at the end of the run; what counts is the average it printed.
    """
    arguments = ["-r", "-m", str(depth), "-b", str(size // BLOCK), "-t", str(seconds), url]
    said = _run(program, *arguments, limit_s=seconds + GRACE_S)
    averages = _IOPS.findall(said)
    if not averages:
        raise RuntimeError(f"iscsi-perf {' '.join(arguments)} said no average:\n{said}")
    return float(averages[-1])


def sequential_writes(program: Path, url: str, *, size: int, depth: int, count: int) -> float:
    """``count`` sequential writes of ``size`` bytes past the cache, ``depth`` at a time: I/Os per second."""
    arguments = ["bench", "-f", "raw", "-t", "none", "-w", "-c", str(count), "-d", str(depth), "-s", str(size), url]
    said = _run(program, *arguments, limit_s=60.0 + GRACE_S)
    took = _SECONDS.search(said)
    if took is None:
        raise RuntimeError(f"qemu-img {' '.join(arguments)} said no time:\n{said}")
    return count / float(took.group(1))


def _run(program: Path, *arguments: str, limit_s: float) -> str:
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=limit_s,
    )
    return done.stdout
