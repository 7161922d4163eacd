"""The run as a talk: what stands on the projector, and that a pipe gets the same words without escape codes."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.load import scenario_from
from harness.narration import Narrator, Narrators, QuietNarrator
from harness.result import CheckVerdict, Failure, Result
from harness.scenario import Scenario
from harness.step_words import describe
from harness.story import StoryNarrator
from harness.walkthrough import PIPE_WIDTH, RichNarrator, console_for

REDIRECT = (
    "w2k3 3A_iSCSI 192.168.50.105:2816 → 192.168.51.1:3260  login → moved temporarily (0x0101) to 192.168.51.2:3260"
)


@pytest.fixture
def scenario(tables: dict[str, Any]) -> Scenario:
    return scenario_from(tables)


def tell(narrator: Narrator, scenario: Scenario, result: Result) -> None:
    """The story of a small run."""
    narrator.scenario(scenario, "sim", 1)
    narrator.step(scenario.steps[0], 500_000)
    narrator.line(REDIRECT, 612_000)
    narrator.pane("Device Details", "Load Balance Policy: Fail Over Only\n192.168.50.105  Active")
    narrator.step(scenario.steps[1], 10**9)
    for phase in result.phases:
        narrator.phase(phase)
    narrator.fault("w2k3/3A_iSCSI link down", 5 * 10**9)
    narrator.finding("io", True, "of 3000 I/Os 3000 succeeded, 0 failed and 0 stayed open")
    narrator.end(result, Path("runs/two_paths-1"))


def in_a_pipe(scenario: Scenario, result: Result) -> str:
    file = io.StringIO()
    tell(RichNarrator(console_for(file)), scenario, result)
    return file.getvalue()


def test_a_pipe_gets_plain_text_100_columns_wide(scenario: Scenario, result: Result) -> None:
    text = in_a_pipe(scenario, result)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= PIPE_WIDTH


def test_a_terminal_gets_colours_by_the_role_of_an_address(scenario: Scenario, result: Result) -> None:
    file = io.StringIO()
    tell(RichNarrator(Console(file=file, force_terminal=True, color_system="standard", width=120)), scenario, result)
    text = file.getvalue()
    assert "\x1b[36m192.168.50.105:2816\x1b[0m" in text  # the host's NIC: cyan
    assert "\x1b[33m192.168.51.1:3260\x1b[0m" in text  # the group address: yellow
    assert "\x1b[32m192.168.51.2:3260\x1b[0m" in text  # a portal: green


def test_notes_are_numbered_chapters_and_times_stand_at_the_left(scenario: Scenario, result: Result) -> None:
    lines = in_a_pipe(scenario, result).splitlines()
    [chapter] = [number for number, line in enumerate(lines) if line.startswith("1  Log on ──")]
    assert lines[chapter + 1].rstrip() == "    0.000500 s ▸ Log On logs from 192.168.50.105 [multi-path]"


def test_a_redirect_is_drawn(scenario: Scenario, result: Result) -> None:
    lines = [line.rstrip() for line in in_a_pipe(scenario, result).splitlines()]
    asked = lines.index("    0.000612 s w2k3 3A_iSCSI 192.168.50.105:2816 → 192.168.51.1:3260  login")
    assert lines[asked + 1].strip() == "╰─⇢ moved temporarily (0x0101) to 192.168.51.2:3260"


def test_the_topology_names_every_address_once(scenario: Scenario, result: Result) -> None:
    text = in_a_pipe(scenario, result)
    top = text[: text.index("1  Log on")]
    for address in ("192.168.50.105", "192.168.50.125", "192.168.51.1 ", "192.168.51.2", "192.168.51.3"):
        assert top.count(address) == 1


def test_panes_are_framed_as_handed_in(scenario: Scenario, result: Result) -> None:
    text = in_a_pipe(scenario, result)
    assert "╭─ Device Details ─" in text
    assert "│ Load Balance Policy: Fail Over Only │" in text


def test_a_bar_is_as_full_as_its_link(scenario: Scenario, result: Result) -> None:
    """49.2 MB/s of a gigabit: 39 % of 24 cells."""
    bars = [line for line in in_a_pipe(scenario, result).splitlines() if "█" in line]
    assert len(bars) == 2
    assert bars[0].split() == [
        "192.168.50.105", "→", "192.168.51.2", "Active", "█" * 9 + "░" * 15, "50.0%", "49.2", "MB/s",
    ]  # fmt: skip


def test_a_lost_path_shows_fault_detection_and_resumption(scenario: Scenario, result: Result) -> None:
    text = in_a_pipe(scenario, result)
    assert "w2k3 192.168.50.105 → 192.168.51.2: link down" in text
    assert "fault 5.000 s  detected 5.000 s  resumed 20.250 s  stall 15.250 s" in text


def test_io_that_never_resumed_is_said(scenario: Scenario, result: Result) -> None:
    [loss] = result.failovers
    assert "I/O never resumed" in in_a_pipe(
        scenario, replace(result, failovers=(replace(loss, resumed_at_s=None, stall_s=None),))
    )
    assert "not noticed" in in_a_pipe(scenario, replace(result, failovers=(replace(loss, detected_at_s=None),)))


def test_the_verdict_names_failures_with_their_reason(scenario: Scenario, result: Result) -> None:
    passed = in_a_pipe(scenario, result)
    assert "PASS" in passed
    assert "saved in runs/two_paths-1" in passed
    failed = replace(
        result,
        verdict="fail",
        checks=(CheckVerdict("io", "fail"),),
        failures=(Failure("io", "one I/O failed", {}), Failure("registers", "block 7 is stale", {})),
    )
    text = in_a_pipe(scenario, failed)
    assert "FAIL" in text
    assert "✗  io         one I/O failed" in text
    assert "✗  registers  block 7 is stale" in text


def test_what_cannot_be_judged_is_neither_right_nor_wrong(scenario: Scenario, result: Result) -> None:
    text = in_a_pipe(scenario, replace(result, checks=(CheckVerdict("tcp", "unknown"), CheckVerdict("io", "pass"))))
    assert "?  tcp" in text
    assert "✗" not in text


def test_text_of_others_is_never_markup(scenario: Scenario, result: Result) -> None:
    file = io.StringIO()
    narrator = RichNarrator(console_for(file))
    narrator.scenario(scenario, "tcp", 1)
    narrator.pane("[bold]C:\\>[/bold]", "[x] persistent [red]")
    assert "[bold]C:\\>[/bold]" in file.getvalue()
    assert "[x] persistent [red]" in file.getvalue()


def test_the_story_is_one_json_object_per_line_and_repeats_exactly(scenario: Scenario, result: Result) -> None:
    first, second = io.StringIO(), io.StringIO()
    tell(Narrators([QuietNarrator(), StoryNarrator(first)]), scenario, result)
    tell(StoryNarrator(second), scenario, replace(result, wall_seconds=99.0))
    assert first.getvalue() == second.getvalue()
    events = [json.loads(line) for line in first.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "scenario", "step", "line", "pane", "step", "phase", "fault", "finding", "end",
    ]  # fmt: skip
    assert events[1]["at_ns"] == 500_000
    assert events[1]["step"]["do"] == "login"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"do": "discover"}, "Add target portal (the group address)"),
        ({"do": "logout", "volume": "logs"}, "Log Off logs, all sessions"),
        ({"do": "targets", "host": "w2k3"}, "Look at the Targets list at w2k3"),
        (
            {"do": "set_policy", "volume": "logs", "policy": "failover-only", "preferred": "192.168.50.105"},
            "Set the load balance policy of logs to Fail Over Only, preferring 192.168.50.105",
        ),
        (
            {"do": "workload", "name": "w", "volume": "logs", "op": "mixed", "ios": 20_000, "iops": 500},
            '"w": Read (50%) and write 64KiB sequential, 16 at a time, 20,000 I/Os, at 500 IOPS',
        ),
        (
            {"do": "fault", "kind": "rate", "nic": "w2k3/3A_iSCSI", "rate": "100Mbit"},
            "Break: rate w2k3/3A_iSCSI to 100Mbit",
        ),
        (
            {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2},
            "Wait until paths usable (2), at most 60s",
        ),
        ({"do": "expect", "that": [{"check": "io"}, {"check": "io"}]}, "Check io"),
    ],
)
def test_a_step_is_a_sentence(tables: dict[str, Any], step: dict[str, Any], words: str) -> None:
    tables["steps"].append(step)
    assert describe(scenario_from(tables).steps[-1]) == words
