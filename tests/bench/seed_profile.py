"""Where a seed of a sweep spends its bytecodes: `python -m tests.bench.seed_profile 100 120`.

A count of bytecodes is the same on every machine and at every hour, which no time is; but what C code costs (digests,
copies, the heap) is not in it. The table of docs/sweep.md comes from here.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from harness.sweep.job import Job
from harness.sweep.one_seed import run_seed

ROOT = Path(__file__).parents[2]
PARTS = {
    "TCP": ("sim/net/tcp.py", "sim/net/tcp_o", "sim/net/tcp_r", "sim/net/tcp_se", "sim/net/tcp_h", "sim/net/segment"),
    "sockets and transports": ("sim/net/tcp_so", "sim/net/transport"),
    "NICs, links and switch": ("sim/net/",),
    "event loop": ("sim/",),
    "oracles": ("harness/check/", "harness/sectors"),
    "trace": ("harness/trace",),
    "workloads, steps, audit": ("harness/",),
    "array": ("target/",),
    "host": ("initiator_model/",),
    "PDUs, framing, login texts": ("iscsi/", "<string>"),
    "Python's own": ("",),
}
"""The parts, each with how the names of its files begin; a file belongs to the first part that has it. The codecs that
`iscsi.fields` makes are in "<string>".
"""
LIMIT_S = 3600.0


def part_of(name: str) -> str:
    """The part that a file of code belongs to."""
    below = name.removeprefix(f"{ROOT}/")
    return next(part for part, starts in PARTS.items() if below.startswith(starts))


def counted(seeds: range) -> Counter[str]:
    """The bytecodes of these seeds, by file."""
    counts: Counter[str] = Counter()

    def in_frame(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            counts[frame.f_code.co_filename] += 1
        return in_frame

    def begin(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return in_frame

    job = Job(limit_s=LIMIT_S)
    run_seed(job, seeds[0])  # what is made once is made now
    sys.settrace(begin)
    rows = [run_seed(job, seed) for seed in seeds]
    sys.settrace(None)
    bad = [row.seed for row in rows if row.verdict != "pass"]
    if bad:
        raise SystemExit(f"seeds that do not pass tell nothing of those that do: {bad}")
    return counts


def main() -> None:
    first, end = map(int, sys.argv[1:])
    by_part: Counter[str] = Counter()
    for name, count in counted(range(first, end)).items():
        by_part[part_of(name)] += count
    total = by_part.total()
    print(f"{total / (end - first):,.0f} bytecodes a seed")
    for part, count in by_part.most_common():
        print(f"{count / total:6.1%}  {part}")


if __name__ == "__main__":
    main()
