"""docs/bug-stories.md: every row names what is there, and every verdict is the one that the scenario has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.load import load_scenario
from harness.narration import QuietNarrator
from harness.run import run_scenario

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "bug-stories.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("|---|")[2].partition("\n\n")[0].splitlines()[1:]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE]
SCENARIOS = {row[3].strip("`"): row[4] for row in ROWS if "::" not in row[3]}
TESTS = [row[3].strip("`") for row in ROWS if "::" in row[3]]
UNSAFE = {name: verdict for name, verdict in SCENARIOS.items() if name.startswith("unsafe/")}


def test_every_story_is_told_once_with_its_link_and_whose_fault_it_was() -> None:
    told = [row for row in ROWS if row[0]]
    numbers = [int(match[1]) for row in told if (match := re.fullmatch(r"\[(\d+)\]\(https://\S+\)", row[0]))]
    assert numbers == [1, 2, 4, 8, 9, 11, 12, 17, 22, 23, 31, 32, 33, 34, 35, 36, 39]
    assert len(numbers) == len(told)
    assert {row[2] for row in told} == {"target", "host", "hosts", "nobody alone"}
    assert all(len(row) == 6 and row[3] and row[5] for row in ROWS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenario_is_there_and_its_first_lines_name_the_story_and_the_fault(name: str) -> None:
    text = (ROOT / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")
    row = next(row for row in ROWS if row[3] == f"`{name}`")
    if row[0]:
        number, fault = re.findall(r"\d+", row[0])[0], row[2].removesuffix("s")
        second = text.splitlines()[1]
        assert second.startswith(f"# Story {number} (")
        assert re.search(f"At fault: (the )?{fault}", second)


def test_a_scenario_passes_unless_it_is_among_the_unsafe_ones() -> None:
    """That those of scenarios/ pass is held by tests/scenarios/test_scenarios.py."""
    assert {verdict for name, verdict in SCENARIOS.items() if name not in UNSAFE} == {"passes"}
    here = {f"unsafe/{path.stem}" for path in (ROOT / "scenarios" / "unsafe").glob("*.toml")}
    assert set(UNSAFE) == here


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_scenario_has_the_exit_code_of_the_page(name: str) -> None:
    scenario = load_scenario(ROOT / "scenarios" / f"{name}.toml")
    result = run_scenario(scenario, seed=scenario.seed, net="sim", pcap=None, narrator=QuietNarrator())
    assert f"exit code {result.exit_code.value}" == UNSAFE[name]


@pytest.mark.parametrize("test", TESTS)
def test_the_test_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / path).read_text(encoding="utf-8")
