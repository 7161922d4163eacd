"""Bug stories as scenarios: what the expectations of their files cannot say.

That a story's scenario passes is held by `test_scenarios`, that its verdict is the page's by
`tests/docs/test_bug_stories_page`, that it would fail if the bug were there by `tests/planted/test_planted_stories`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench import Bench
from harness.load import load_scenario
from harness.narration import QuietNarrator
from harness.result import ExitCode, Result
from harness.run import run_scenario
from tests.support.runs import failed

UNSAFE = sorted(path for path in Path("scenarios/unsafe").glob("*.toml") if not path.stem.startswith("ghost_write_"))


class Listener(QuietNarrator):
    """Keeps what a run tells."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str, at_ns: int) -> None:
        self.lines.append(text)


def told(name: str) -> tuple[Result, list[str]]:
    scenario, listener = load_scenario(Path("scenarios") / f"{name}.toml"), Listener()
    result = run_scenario(scenario, seed=scenario.seed, net="sim", pcap=None, narrator=listener)
    return result, listener.lines


@pytest.mark.parametrize("path", UNSAFE, ids=lambda path: path.stem)
def test_an_unsafe_scenario_is_named_after_its_file_and_fails(path: Path) -> None:
    result, _ = told(f"unsafe/{path.stem}")
    assert load_scenario(path).name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert result.exit_code in (ExitCode.CORRECTNESS, ExitCode.LIVENESS)


def test_two_hosts_that_pass_a_volume_to_and_fro_stop_doing_so() -> None:
    """Each asked once, and took what the other one had then; the first to lose it lets it be."""
    _, lines = told("ownership_ping_pong")
    asked = [line for line in lines if "active-optimized: asked for by" in line]
    assert len(asked) == 2
    assert sum("left alone" in line for line in lines) == 1


def test_where_only_one_controller_serves_each_host_asks_once_a_second_and_no_more() -> None:
    result, lines = told("unsafe/ownership_ping_pong_standby")
    assert [failure.check for failure in result.failures] == ["io"]
    asked = sum("active-optimized: asked for by" in line for line in lines)
    assert result.virtual_seconds < asked < 2 * result.virtual_seconds + 4


def test_r2ts_without_numbers_are_the_arrays_fault_alone() -> None:
    result, _ = told("unsafe/r2t_without_numbers")
    assert [failure.check for failure in result.failures] == ["sequence"]
    assert "ExpCmdSN 0 is beyond what the host has sent" in failed(result, "sequence")


def test_what_a_silent_connection_left_is_kept_when_the_array_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The array's own ping ended the connection, and none of the ten commands it had then was executed twice."""
    ends: list[str] = []
    monkeypatch.setattr(Bench, "on_array_log", lambda bench, text: ends.append(text))
    result, lines = told("ping_timeout_with_tasks")
    assert any("silent for 6" in text for text in ends), ends
    assert any("fault late off, 10 held executed" in line for line in lines)
    assert result.verdict == "pass"


def test_commands_that_never_left_the_host_are_cancelled_too() -> None:
    """Half of the 32 went down the stalled path: four to the array, which takes no more, and twelve stayed here."""
    _, lines = told("cancelled_behind_the_window")
    assert sum("ABORT TASK" in line for line in lines) >= 16


def test_linux_writes_to_the_wrong_disk_and_nobody_is_told() -> None:
    result, _ = told("unsafe/volumes_swapped_linux")
    assert {failure.check for failure in result.failures} == {"sectors", "lost writes"}
    assert (result.io.failed, result.io.unknown) == (0, 0)


def test_an_array_without_a_portal_says_not_now() -> None:
    """0x0301, of which RFC 7143 11.13.5 says that the initiator may retry later; never 0x0203."""
    _, lines = told("unavailable_for_a_while")
    refused = [line for line in lines if "(0x02" in line or "(0x03" in line]
    assert refused
    assert all("service unavailable (0x0301)" in line for line in refused), refused
