"""The table: blocks of phases, columns of policies, a star at the best of each row, no wider than its console."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from harness.compare_table import broken, print_comparison
from harness.comparison import Comparison
from harness.result import Failure, Result
from tests.support.comparing import comparison, faster, one_sided, refused


def shown(found: Comparison, width: int = 100, colour: bool = False) -> list[str]:
    file = io.StringIO()
    system: Any = "standard" if colour else None
    print_comparison(
        Console(file=file, width=width, highlight=False, color_system=system, force_terminal=colour), found
    )
    return file.getvalue().splitlines()


def row(lines: list[str], label: str) -> list[str]:
    [line] = [line for line in lines if line.strip().startswith(label)]
    return line.strip().removeprefix(label).split()


def test_every_figure_stands_in_the_column_of_its_policy(tables: dict[str, Any], result: Result) -> None:
    lines = shown(comparison(tables, round_robin=result, least_blocks=faster(result, 2, "least-blocks")))
    assert lines[0] == "two_paths   virtual time, seed 1"
    assert any(line.startswith('"reads": Read 64KiB sequential, 16 at a time, for 2s ──') for line in lines)
    assert row(lines, "throughput, MB/s") == ["98.3", "196.6*"]
    assert row(lines, "IOPS") == ["1,500", "3,000*"]
    assert row(lines, "latency p50, µs") == ["500", "250*"]
    assert row(lines, "latency p99, µs") == ["900", "450*"]
    assert row(lines, "latency max, µs") == ["1,200", "600*"]
    assert row(lines, "share 192.168.50.105") == ["50.0%", "50.0%"]
    assert row(lines, "fairness (I/Os)") == ["1.000", "1.000"]
    assert row(lines, "worst failover stall, s") == ["15.250", "15.250"]
    assert row(lines, "I/Os failed") == ["0", "0"]
    assert row(lines, "verdict") == ["pass", "pass"]


def test_what_looks_alike_is_marked_alike(tables: dict[str, Any], result: Result) -> None:
    almost = faster(result, 1.0000001, "least-blocks")
    slow = faster(result, 0.5, "vmw-mru")
    assert row(shown(comparison(tables, a=result, b=almost)), "throughput, MB/s") == ["98.3", "98.3"]
    assert row(shown(comparison(tables, a=result, b=almost, c=slow)), "throughput, MB/s") == ["98.3*", "98.3*", "49.2"]


def test_a_single_policy_is_not_the_best_of_anything(tables: dict[str, Any], result: Result) -> None:
    assert "*" not in "".join(shown(comparison(tables, round_robin=result))[:-1])
    there = shown(comparison(tables, round_robin=result, vmw_fixed=refused(result, "no")))
    assert row(there, "throughput, MB/s") == ["98.3", "–"]


def test_a_refused_policy_says_so_and_why(tables: dict[str, Any], result: Result) -> None:
    lines = shown(comparison(tables, round_robin=refused(result, "path 1 cannot be active"), vmw_mru=result))
    assert row(lines, "verdict") == ["refused", "pass"]
    assert row(lines, "I/Os failed") == ["–", "0"]
    assert "✗ round-robin: refused: path 1 cannot be active" in lines


def test_a_failure_is_told_with_its_policy_and_check(tables: dict[str, Any], result: Result) -> None:
    wrong = replace(result, verdict="fail", failures=(Failure("content", "1 block is wrong", {}),))
    lines = shown(comparison(tables, round_robin=wrong, vmw_mru=result))
    assert row(lines, "verdict") == ["FAIL", "pass"]
    assert "✗ round-robin: content: 1 block is wrong" in lines


def test_a_phase_that_is_over_before_a_policy_is_set_says_so(tables: dict[str, Any], result: Result) -> None:
    lines = shown(comparison(tables, failover_only=result, vmw_mru=result))
    assert "  over before a policy is set: round-robin in every column" in lines


def test_io_that_never_resumed_is_the_worst(tables: dict[str, Any], result: Result) -> None:
    [loss] = result.failovers
    endless = replace(result, failovers=(replace(loss, resumed_at_s=None, stall_s=None),))
    assert row(shown(comparison(tables, a=result, b=endless)), "worst failover stall, s") == ["15.250*", "never"]


def test_paths_of_one_source_are_told_apart_by_their_portals(tables: dict[str, Any], result: Result) -> None:
    first, second = result.phases[0].paths
    phase = replace(result.phases[0], paths=(first, replace(second, local=first.local)))
    lines = shown(comparison(tables, a=replace(result, phases=(phase,))))
    assert row(lines, "share 192.168.50.105 → 192.168.51.3") == ["50.0%"]


def test_bytes_are_shown_where_workloads_differ_in_block_size(tables: dict[str, Any], result: Result) -> None:
    assert not any("share of the bytes" in line for line in shown(comparison(tables, a=result)))
    tables["steps"].insert(2, {**tables["steps"][1], "name": "mail", "block": "4KiB"})
    large = one_sided(result.phases[0])
    mail = replace(result.phases[0], name="mail", bytes=3000 * 4096, paths=tuple(
        replace(path, ios=n * 3000, bytes=n * 3000 * 4096) for n, path in enumerate(large.paths)))  # fmt: skip
    lines = shown(comparison(tables, round_robin=replace(result, phases=(large, mail))))
    assert row(lines, "bytes 192.168.50.105") == ["94.1%"]
    assert row(lines, "fairness (bytes)") == ["0.562"]


NAMES = [
    "failover_only", "round_robin", "round_robin_subset", "least_queue_depth", "weighted_paths", "least_blocks",
    "dm_historical_service_time", "dm_service_time", "vmw_rr",
]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_no_line_is_wider_than_the_console(tables: dict[str, Any], result: Result, width: int, count: int) -> None:
    found = comparison(tables, **{name: faster(result, n + 1, name) for n, name in enumerate(NAMES[:count])})
    lines = shown(found, width)
    assert max(map(len, lines)) <= width
    verdicts = [word for line in lines if line.strip().startswith("verdict") for word in line.split()[1:]]
    assert verdicts == ["pass"] * count


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("vmw-rr iops=1", ["vmw-rr", "iops=1"]),
        ("dm-historical-service-time", ["dm-", "historical-", "service-time"]),
        ("dm-service-time grouping=multibus", ["dm-service-", "time", "grouping=", "multibus"]),
        ("my_policies:StickyLeastLoaded", ["my_policies:", "StickyLeastL", "oaded"]),
    ],
)
def test_a_name_is_broken_where_a_reader_would(name: str, lines: list[str]) -> None:
    assert broken(name, 12) == lines
    assert broken(name, 40) == [name]


def test_four_policies_stand_side_by_side_in_a_hundred_columns(tables: dict[str, Any], result: Result) -> None:
    found = comparison(tables, **dict.fromkeys(NAMES[3:7], result))
    assert len([line for line in shown(found) if line.strip().startswith("verdict")]) == 1


def test_colours_are_for_terminals(tables: dict[str, Any], result: Result) -> None:
    found = comparison(tables, a=result, b=faster(result, 2, "b"))
    assert "\x1b" not in "".join(shown(found))
    assert "\x1b[1;32m" in "".join(shown(found, colour=True))
