"""Several runs as one table: which passed, how long they took, and why the others failed."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.result import Result


def print_summary(console: Console, results: Sequence[Result]) -> None:
    """One row per run, and under the table every failure in its own words."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("scenario", overflow="fold")
    for heading in ("seed", "virtual", "wall", "I/Os", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    for result in results:
        passed = result.verdict == "pass"
        table.add_row(
            result.scenario,
            str(result.seed),
            f"{result.virtual_seconds:.3f} s",
            f"{result.wall_seconds:.1f} s",
            f"{result.io.submitted:,}",
            f"{result.io.failed + result.io.unknown:,}",
            Text("pass", "green") if passed else Text("FAIL", "bold red"),
        )
    console.print(table)
    for result in results:
        for failure in result.failures:
            console.print(
                Text.assemble(("✗ ", "bold red"), (f"{result.scenario}: {failure.check}: ", "bold"), failure.why)
            )
    failed = sum(result.verdict == "fail" for result in results)
    console.print(f"{len(results)} runs, {len(results) - failed} passed, {failed} failed")
