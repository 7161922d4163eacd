"""A run as a talk: what a teacher would put on a projector.

Notes of steps are the chapters, virtual time stands dim at the left, applet panes and command output in frames.
Addresses have the colour of their role everywhere: a host's NIC, the array's group address, a portal. A phase shows
how full each path's link was, the end how long each loss of a path stopped I/O, and the verdict. In a pipe the same
text comes without escape codes, 100 columns wide.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from harness.check.suite import ORACLES
from harness.result import Failover, Net, PathShare, Phase, Result, Verdict
from harness.scenario import Scenario
from harness.step_words import POLICY_WORDS, describe
from harness.steps import AnyStep
from harness.units import format_rate

PIPE_WIDTH = 100
TIME_WIDTH = 14
BAR_WIDTH = 24
TIMELINE_WIDTH = 56

NIC, GROUP, PORTAL = "cyan", "yellow", "green"

_REDIRECT = re.compile(
    r"(?P<login>.*?)\s*→\s*(?P<moved>moved (?:temporarily|permanently) \(0x010[12]\)) to (?P<portal>\S+)"
)


def console_for(file: IO[str]) -> Console:
    """A console on a terminal as wide as it is; on anything else plain and 100 columns wide."""
    console = Console(file=file, highlight=False)
    return console if console.is_terminal else Console(file=file, highlight=False, width=PIPE_WIDTH)


class RichNarrator:
    """Tells one run on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapter = 0
        self._colours: list[tuple[str, str]] = []
        self._link_bits_per_s: dict[str, int] = {}
        self._array_bits_per_s = 0

    def scenario(self, scenario: Scenario, net: Net, seed: int) -> None:
        array = scenario.array
        self._chapter = 0
        self._array_bits_per_s = array.rate_bits_per_s
        self._link_bits_per_s = {nic.ip: nic.rate_bits_per_s for host in scenario.hosts for nic in host.nics}
        self._colours = [(ip, NIC) for ip in self._link_bits_per_s]
        self._colours += [(array.group_ip, GROUP)] if array.group_ip else []
        self._colours += [(ip, PORTAL) for ip in array.portals]
        world = "virtual time" if net == "sim" else "real TCP on loopback"
        head = Text.assemble((scenario.name, "bold"), (f"   {world}, seed {seed}", "dim"))
        self._console.print(Panel(Text("\n").join([head, Text(scenario.title)]) if scenario.title else head))
        self._console.print(Padding(self._topology(scenario), (0, 0, 0, 2), expand=False))

    def step(self, step: AnyStep, at_ns: int) -> None:
        if step.note:
            self._chapter += 1
            self._console.print()
            self._console.print(Rule(Text(f"{self._chapter}  {step.note}", "bold"), align="left", style="dim"))
        self._row(at_ns, Text(f"▸ {describe(step)}", "bold"))

    def line(self, text: str, at_ns: int) -> None:
        redirect = _REDIRECT.fullmatch(text)
        if redirect is None:
            self._row(at_ns, self._coloured(text))
            return
        self._row(at_ns, self._coloured(redirect["login"]))
        arrow = Text.assemble(("  ╰─⇢ ", "bold magenta"), (redirect["moved"], "magenta"), " to ")
        self._row(None, arrow + self._coloured(redirect["portal"]))

    def pane(self, title: str, text: str) -> None:
        frame = Panel(
            self._coloured(text.rstrip("\n")), title=escape(title), title_align="left", expand=False, border_style="dim"
        )
        self._console.print(Padding(frame, (0, 0, 0, 2), expand=False))

    def phase(self, phase: Phase) -> None:
        seconds = phase.end_s - phase.start_s
        latency = phase.latency_us
        head = Text.assemble(
            (f'"{phase.name}"', "bold"),
            f"  {POLICY_WORDS.get(phase.policy, phase.policy)}: ",
            (f"{phase.throughput_bytes_per_s / 1e6:.1f} MB/s", "bold"),
            f", {phase.iops:,.0f} IOPS, {phase.ios:,} I/Os in {seconds:.3f} s",
        )
        self._row(round(phase.end_s * 1e9), head)
        spread = f"latency p50 {_us(latency.p50)}, p99 {_us(latency.p99)}, max {_us(latency.max)}"
        self._row(None, Text(spread, "dim"))
        if phase.paths:
            self._console.print(Padding(self._bars(phase, seconds), (0, 0, 0, 4), expand=False))

    def fault(self, text: str, at_ns: int) -> None:
        self._row(at_ns, Text.assemble(("⚡ ", "red"), self._coloured(text, "bold")))

    def finding(self, check: str, ok: bool, why: str) -> None:
        self._row(None, Text.assemble(_mark(ok), " ", self._coloured(f"{check}: {why}")))

    def end(self, result: Result, rundir: Path | None) -> None:
        self._console.print()
        for part in self._ending(result, rundir):
            self._console.print(part)

    def _ending(self, result: Result, rundir: Path | None) -> Iterator[Table | Text | Padding | Rule]:
        if result.failovers:
            yield Rule(Text("Paths lost", "bold"), align="left", style="dim")
            for failover in result.failovers:
                yield Padding(self._timeline(failover), (0, 0, 0, 2), expand=False)
        yield Text()
        yield Rule(Text("Verdict", "bold"), align="left", style="dim")
        yield Padding(_verdicts(result), (0, 0, 0, 2), expand=False)
        io, passed = result.io, result.verdict == "pass"
        yield Text.assemble(
            ("  PASS  " if passed else "  FAIL  ", "bold white on green" if passed else "bold white on red"),
            f"  {io.submitted:,} I/Os: {io.ok:,} ok, {io.failed:,} failed, {io.unknown:,} unknown;",
            f"  {result.virtual_seconds:.3f} s {'virtual' if result.net == 'sim' else 'on loopback'}",
            f" in {result.wall_seconds:.1f} s",
        )
        if result.trace_sha256:
            yield Text(f"  trace {result.trace_sha256[:16]}…", "dim")
        if rundir is not None:
            yield Text(f"  saved in {rundir}", "dim")

    def _row(self, at_ns: int | None, text: Text) -> None:
        """One entry: the time at the left, the text wrapped beside it."""
        time = "" if at_ns is None else f"{at_ns / 1e9:.6f} s"
        for line in text.wrap(self._console, max(self._console.width - TIME_WIDTH - 1, 20)):
            line.rstrip()
            self._console.print(Text.assemble((f"{time:>{TIME_WIDTH}} ", "dim"), line), soft_wrap=True)
            time = ""

    def _coloured(self, text: str, style: str = "") -> Text:
        """The text with every address in the colour of its role."""
        coloured = Text(text, style)
        for ip, colour in self._colours:
            coloured.highlight_regex(rf"(?<![0-9.]){re.escape(ip)}(?![0-9])(:[0-9]+)?", colour)
        return coloured

    def _topology(self, scenario: Scenario) -> Table:
        array = scenario.array
        left: list[Text] = []
        for host in scenario.hosts:
            left.append(Text(host.name, "bold"))
            left += [
                Text.assemble(f"{nic.name}  ", (nic.ip, NIC), f"  {format_rate(nic.rate_bits_per_s)}")
                for nic in host.nics
            ]
        right = [Text(array.name, "bold")]
        right += [Text.assemble("group   ", (array.group_ip, GROUP))] if array.group_ip else []
        rate = format_rate(array.rate_bits_per_s)
        right += [Text.assemble("portal  ", (ip, PORTAL), f"  {rate}") for ip in array.portals]
        grid = Table.grid(padding=(0, 6))
        for index in range(max(len(left), len(right))):
            grid.add_row(*(column[index] if index < len(column) else Text() for column in (left, right)))
        return grid

    def _bars(self, phase: Phase, seconds: float) -> Table:
        """One bar per path; a full bar is a full link."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        for justify in ("left", "left", "left", "right", "right"):
            grid.add_column(no_wrap=True, justify=justify)
        for path in phase.paths:
            bytes_per_s = path.bytes / seconds if seconds > 0 else 0.0
            full = min(1.0, bytes_per_s * 8 / self._line_rate(path))
            filled = round(full * BAR_WIDTH)
            bar = Text.assemble(("█" * filled, PORTAL), ("░" * (BAR_WIDTH - filled), "dim"))
            ends = self._coloured(f"{path.local} → {path.portal}")
            grid.add_row(ends, path.state, bar, f"{path.share:.1%}", f"{bytes_per_s / 1e6:.1f} MB/s")
        return grid

    def _line_rate(self, path: PathShare) -> int:
        rates = [rate for rate in (self._link_bits_per_s.get(path.local, 0), self._array_bits_per_s) if rate]
        return min(rates, default=10**9)

    def _timeline(self, failover: Failover) -> Table:
        """Fault, detection and the first I/O after it, to scale."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row(self._coloured(f"{failover.host} {failover.path}: {failover.cause}", "bold"))
        times = Text(f"fault {failover.fault_at_s:.3f} s", "red")
        if failover.detected_at_s is None:
            return _with(grid, times + Text("  not noticed", "dim"))
        times += Text(f"  detected {failover.detected_at_s:.3f} s", "yellow")
        if failover.resumed_at_s is None or failover.stall_s is None:
            return _with(grid, times + Text("  I/O never resumed", "bold red"))
        times += Text(f"  resumed {failover.resumed_at_s:.3f} s", "green") + Text(
            f"  stall {failover.stall_s:.3f} s", "bold"
        )
        whole = max(failover.resumed_at_s - failover.fault_at_s, 1e-9)
        unseen = round((failover.detected_at_s - failover.fault_at_s) / whole * TIMELINE_WIDTH)
        unseen = min(max(unseen, 0), TIMELINE_WIDTH)
        bar = Text.assemble(("╳", "red"), ("─" * unseen, "red"), ("◆", "yellow"))
        return _with(grid, bar + Text("─" * (TIMELINE_WIDTH - unseen), "yellow") + Text("▶", "green"), times)


def _with(grid: Table, *rows: Text) -> Table:
    for row in rows:
        grid.add_row(row)
    return grid


def _verdicts(result: Result) -> Table:
    """Every check with its mark; the reason only where it failed, for it was told when it was judged.

    Oracles that hold, which are in every run, share a row. Where nothing can be said there is a question mark.
    """
    reasons = {failure.check: failure.why for failure in result.failures}
    names = [check.name for check in result.checks]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for no_wrap in (True, True, False):
        grid.add_column(no_wrap=no_wrap)
    held = [check.name for check in result.checks if check.name in ORACLES and check.verdict == "pass"]
    for check in result.checks:
        if check.name in held:
            continue
        grid.add_row(_MARKS[check.verdict], check.name, reasons.get(check.name, "") if check.verdict == "fail" else "")
    for failure in result.failures:
        if failure.check not in names:
            grid.add_row(_mark(False), failure.check, failure.why)
    if held:
        grid.add_row(_mark(True), f"{len(held)} oracles", Text(", ".join(held), "dim"))
    return grid


_MARKS: Final[Mapping[Verdict, Text]] = {
    "pass": Text("✓", "bold green"),
    "fail": Text("✗", "bold red"),
    "unknown": Text("?", "bold yellow"),
}


def _mark(ok: bool) -> Text:
    return _MARKS["pass" if ok else "fail"]


def _us(us: float) -> str:
    return f"{us / 1000:.2f} ms" if us >= 1000 else f"{us:.0f} us"
