"""How fast the target is beside istgt and tgt: libiscsi's clients, alternating rounds, medians, ratios.

``make bench-target`` prints the table and holds the bars. Absolute figures say more about the machine than about a
target; the ratios were taken in one run, and each target has its turn in each round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from tests.bench.load_clients import random_reads, sequential_writes
from tests.bench.targets import NAMES, Target, all_targets
from tests.interop.support import require

pytestmark = [pytest.mark.benchmark_target, pytest.mark.timeout(1800)]

ROUNDS: Final = 5
READ_S: Final = 2
KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One load, and the least ratio of our figure to each of the others' that will do."""

    words: str
    load: Callable[[Target], float]
    bars: dict[str, float]


def reads(size: int, depth: int, **bars: float) -> Row:
    def load(target: Target) -> float:
        return random_reads(require("iscsi-perf"), target.url, size=size, depth=depth, seconds=READ_S)

    return Row(f"read {size // KIB} KiB, depth {depth}", load, _named(bars))


def writes(size: int, depth: int, count: int, **bars: float) -> Row:
    def load(target: Target) -> float:
        return sequential_writes(require("qemu-img"), target.url, size=size, depth=depth, count=count)

    return Row(f"write {size // KIB} KiB, depth {depth}", load, _named(bars))


def _named(bars: dict[str, float]) -> dict[str, float]:
    return {name.replace("_", " "): bar for name, bar in bars.items()}


ROWS: Final = (
    reads(4 * KIB, 32, tgt=2.0, tgt_tuned=1.5, istgt=1.2),
    reads(4 * KIB, 1, tgt=1.0),
    reads(64 * KIB, 32, tgt=1.2, tgt_tuned=1.2, istgt=1.2),
    reads(256 * KIB, 32, tgt=1.2, tgt_tuned=1.2, istgt=1.2),
    reads(1024 * KIB, 32, tgt=1.5, tgt_tuned=1.5, istgt=1.5),
    reads(1024 * KIB, 128, tgt=1.5, tgt_tuned=1.5, istgt=1.5),
    writes(4 * KIB, 32, 40000, tgt_tuned=1.0),
    writes(64 * KIB, 32, 15000, tgt_tuned=1.0),
)


def test_the_target_beside_istgt_and_tgt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    too_slow = []
    with all_targets(tmp_path) as targets:
        with capsys.disabled():
            print(f"\nI/Os per second, medians of {ROUNDS} alternating rounds; in brackets: ours over theirs")
            print(f"{'':24}" + "".join(f"{name:>20}" for name in NAMES))
        for row in ROWS:
            seen: dict[str, list[float]] = {target.name: [] for target in targets}
            for turn in range(ROUNDS):
                for target in targets[turn % len(targets) :] + targets[: turn % len(targets)]:
                    seen[target.name].append(row.load(target))
            figures = {name: median(values) for name, values in seen.items()}
            ratios = {name: figures["mpiolab"] / figure for name, figure in figures.items()}
            with capsys.disabled():
                print(f"{row.words:24}" + "".join(_cell(name, figures[name], ratios[name], row) for name in NAMES))
            too_slow += [
                f"{row.words}: {ratios[name]:.2f} of {name}, the bar is {bar:.1f}"
                for name, bar in row.bars.items()
                if ratios[name] < bar
            ]
    assert not too_slow, "\n".join(too_slow)


def _cell(name: str, figure: float, ratio: float, row: Row) -> str:
    if name.startswith("mpiolab"):
        return f"{figure:>20,.0f}"
    mark = "!" if ratio < row.bars.get(name, 0.0) else " "
    return f"{figure:>12,.0f} ({ratio:4.2f}){mark}"
