"""A comparison on the terminal: policies side by side, one block per phase, the best of each row marked.

Blocks are laid out by hand, not by a table library: every block of a page has the same columns, so one can be read
down the page. Names of policies are broken where they do not fit; more policies than the width holds go on in a
second page. A star marks the best of a row, also in a pipe; a row whose values all look alike has none.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from harness.comparison import Column, Comparison, Disk
from harness.fairness import jain
from harness.result import PathShare, Phase
from harness.step_words import describe

GAP = 2
NARROW = 12
"""What a broken name is broken to."""
NOTHING = "–"

_PIECES = re.compile(r"[^-=:+]*[-=:+]|[^-=:+]+")
"""What a word may be broken into: behind a hyphen, an equals sign, a colon, a plus."""

Best = Literal["most", "least"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a value per policy, None where the run has none, and which value is best."""

    label: str
    values: tuple[float | None, ...]
    show: Callable[[float], str]
    best: Best | None = None

    def cells(self) -> list[str]:
        """Each value with its mark, or with a blank in the mark's place."""
        shown = [NOTHING if value is None else self.show(value) for value in self.values]
        top = self._top()
        return [text + ("*" if text == top else " ") for text in shown]

    def _top(self) -> str | None:
        """The best value as it is shown, where some are worse: what looks alike is alike."""
        known = [value for value in self.values if value is not None]
        if self.best is None or len({self.show(value) for value in known}) < 2:
            return None
        return self.show(max(known) if self.best == "most" else min(known))


@dataclass(frozen=True, slots=True)
class Block:
    """A heading and its rows."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""


def print_comparison(console: Console, comparison: Comparison) -> None:
    """The whole comparison: pages of policies, then what failed or was refused."""
    world = "virtual time" if comparison.net == "sim" else "real TCP on loopback"
    scenario = comparison.scenario
    console.print(Text.assemble((scenario.name, "bold"), (f"   {world}, seed {comparison.seed}", "dim")))
    if scenario.title:
        console.print(scenario.title)
    for page in _pages(comparison, console.width):
        for line in page:
            console.print(line, soft_wrap=True)
    console.print()
    for column in comparison.columns:
        if column.refused is not None:
            console.print(
                Text.assemble(("✗ ", "bold red"), (f"{column.policy}: ", "bold"), f"refused: {column.refused}")
            )
            continue
        for failure in column.result.failures:
            console.print(
                Text.assemble(("✗ ", "bold red"), (f"{column.policy}: {failure.check}: ", "bold"), failure.why)
            )
    console.print(Text("* best of its row", "dim"))


def _pages(comparison: Comparison, width: int) -> Iterator[list[Text | Rule]]:
    """As many policies side by side as the width holds, the rest below."""
    blocks = list(_blocks(comparison))
    names = [column.policy for column in comparison.columns]
    left = max(len(row.label) for block in blocks for row in block.rows) + 2
    cells = [[row.cells() for row in block.rows] for block in blocks]
    widest = [max(len(row[at]) for rows in cells for row in rows) for at in range(len(names))]
    for limit in range(max(NARROW, *map(len, names)), NARROW - 1, -1):  # as little broken as the width allows
        heads = [broken(name, limit) for name in names]
        widths = [max(wide, *(len(part) + 1 for part in head)) + GAP for wide, head in zip(widest, heads, strict=True)]
        if left + sum(widths) <= width:
            break
    for first, end in _fitting(widths, width - left):
        lines: list[Text | Rule] = []
        for block, rows in zip(blocks, cells, strict=True):
            *above, last = textwrap.wrap(block.title, width - 2)
            lines += [Text(), *(Text(part, "bold") for part in above)]
            lines += [Rule(Text(last, "bold"), align="left", style="dim")]
            lines += [Text(f"  {block.note}", "dim")] if block.note else []
            lines += _head(left, heads[first:end], widths[first:end])
            for row, shown in zip(block.rows, rows, strict=True):
                line = Text(f"  {row.label}".ljust(left))
                for cell, wide in zip(shown[first:end], widths[first:end], strict=True):
                    line.append(cell.rjust(wide), _style(cell))
                lines.append(line)
        yield [_stripped(line) for line in lines]


def broken(name: str, limit: int) -> list[str]:
    """A policy's name on lines of so many letters; where it does not fit whole, each setting begins a line."""
    if len(name) <= limit:
        return [name]
    lines = []
    for part in name.split(" "):
        line = ""
        for piece in _PIECES.findall(part):
            if line and len(line + piece) > limit:
                lines.append(line)
                line = ""
            line += piece
        lines += textwrap.wrap(line, limit)
    return lines


def _fitting(widths: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Ranges of columns that fit beside one another; at least one column each."""
    first = 0
    while first < len(widths):
        end = first + 1
        while end < len(widths) and sum(widths[first : end + 1]) <= room:
            end += 1
        yield first, end
        first = end


def _head(left: int, heads: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[Text]:
    """The policies' names, each at the bottom of its column."""
    high = max(len(head) for head in heads)
    for level in range(high):
        line = Text(" " * left)
        for head, wide in zip(heads, widths, strict=True):
            at = level - (high - len(head))
            line.append(f"{head[at]} ".rjust(wide) if at >= 0 else " " * wide, "cyan")
        yield line


def _style(cell: str) -> str:
    if cell.strip() in ("FAIL", "refused"):
        return "bold red"
    return "bold green" if cell.endswith("*") else ""


def _stripped(line: Text | Rule) -> Text | Rule:
    if isinstance(line, Text):
        line.rstrip()
    return line


# -- what the rows say -------------------------------------------------------------------------------------------------


def _blocks(comparison: Comparison) -> Iterator[Block]:
    for name in comparison.phases:
        phases = [column.result.phase(name) for column in comparison.columns]
        work = comparison.scenario.workload(name)
        yield Block(describe(work), tuple(_phase_rows(phases)), _note(comparison, phases))
    for disk in comparison.uneven_disks:
        found = [_disk_of(column, comparison, disk) for column in comparison.columns]
        yield Block(f"{disk[1]} at {disk[0]}, all its workloads: share of the bytes", tuple(_disk_rows(found)))
    yield Block("the whole run", tuple(_run_rows(comparison.columns)))


def _note(comparison: Comparison, phases: Sequence[Phase | None]) -> str:
    """A phase that was over before a policy was set is the same in every column: say so."""
    policies = {phase.policy for phase in phases if phase is not None}
    names = {column.name for column in comparison.columns}
    alike = len(policies) == 1 and len(names) > 1 and None not in phases
    return f"over before a policy is set: {policies.pop()} in every column" if alike else ""


def _phase_rows(phases: Sequence[Phase | None]) -> Iterator[Row]:
    def row(label: str, take: Callable[[Phase], float | None], show: Callable[[float], str], best: Best | None) -> Row:
        return Row(label, tuple(None if phase is None else take(phase) for phase in phases), show, best)

    yield row("throughput, MB/s", lambda phase: phase.throughput_bytes_per_s / 1e6, _tenths, "most")
    yield row("IOPS", lambda phase: phase.iops, _whole, "most")
    yield row("latency p50, µs", lambda phase: phase.latency_us.p50, _whole, "least")
    yield row("latency p99, µs", lambda phase: phase.latency_us.p99, _whole, "least")
    yield row("latency max, µs", lambda phase: phase.latency_us.max, _whole, "least")
    listed = {path.id: path for phase in phases if phase is not None for path in reversed(phase.paths)}
    for id, label in _path_labels([listed[id] for id in sorted(listed)]):
        yield row(f"share {label}", partial(_share, id=id), _percent, None)
    yield row("fairness (I/Os)", lambda phase: jain([path.ios for path in phase.paths]), _index, "most")


def _path_labels(paths: Sequence[PathShare]) -> Iterator[tuple[str, str]]:
    """Path ids and what to call them: the source address, with the portal where several paths share the source."""
    sources = [path.local for path in paths]
    for path in paths:
        yield path.id, path.local if sources.count(path.local) == 1 else f"{path.local} → {path.portal}"


def _share(phase: Phase, id: str) -> float | None:
    return next((path.share for path in phase.paths if path.id == id), None)


def _disk_of(column: Column, comparison: Comparison, disk: tuple[str, str]) -> Disk | None:
    return next((one for one in column.disks(comparison.scenario) if (one.host, one.volume) == disk), None)


def _disk_rows(disks: Sequence[Disk | None]) -> Iterator[Row]:
    listed = {path.id: path for disk in disks if disk is not None for path in reversed(disk.paths)}
    for id in sorted(listed):
        shares = tuple(
            None if disk is None else next((path.share_of_bytes for path in disk.paths if path.id == id), None)
            for disk in disks
        )
        yield Row(f"bytes {listed[id].local}", shares, _percent)
    fairness = tuple(None if disk is None else jain([path.bytes for path in disk.paths]) for disk in disks)
    yield Row("fairness (bytes)", fairness, _index, "most")


def _run_rows(columns: Sequence[Column]) -> Iterator[Row]:
    yield Row("worst failover stall, s", tuple(column.worst_stall_s for column in columns), _seconds, "least")
    counts = [None if column.refused is not None else column.result.io for column in columns]
    yield Row("I/Os failed", tuple(None if io is None else io.failed for io in counts), _whole, "least")
    yield Row("I/Os unknown", tuple(None if io is None else io.unknown for io in counts), _whole, "least")
    verdicts = ("pass", "FAIL", "refused")
    order = {"pass": 0, "fail": 1, "refused": 2}
    yield Row("verdict", tuple(order[column.verdict] for column in columns), lambda value: verdicts[int(value)])


def _tenths(value: float) -> str:
    return f"{value:,.1f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _index(value: float) -> str:
    return f"{value:.3f}"


def _seconds(value: float) -> str:
    return "never" if value == float("inf") else f"{value:.3f}"
