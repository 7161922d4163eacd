"""docs/testing-your-own.md works: its tests are run, its failure is printed, its tables name everything there is."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import strategies
from harness.lab import Lab, LoopbackArray

PAGE = Path("docs/testing-your-own.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CODE = [text for language, text in BLOCKS if language == "python"]
(SHOWN,) = [text for language, text in BLOCKS if not language]
FAILS = "test_a_disk_lives_through_a_minute_without_cables"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """All the page's tests in one file, run as a reader would."""
    place = tmp_path_factory.mktemp("mine")
    (place / "test_mine.py").write_text("\n\n".join(CODE), encoding="utf-8")
    paths = os.pathsep.join([str(Path.cwd()), str(Path("examples/toy-initiator/src").resolve())])
    options = ["-v", "-p", "no:cacheprovider", "-W", "error"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=place,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_the_examples_pass_but_for_the_one_that_is_to_fail(ran: subprocess.CompletedProcess[str]) -> None:
    verdicts = dict(re.findall(r"::(\S+) (PASSED|FAILED)", ran.stdout))

    assert [name for name, verdict in verdicts.items() if verdict == "FAILED"] == [FAILS], ran.stdout + ran.stderr
    assert sorted(verdicts) == sorted(
        [
            "test_a_write_survives_a_portal",
            "test_an_hour_without_a_cable",
            *(f"test_drops_at_any_time[seed-{seed}]" for seed in range(3)),
            FAILS,
            "test_no_fault_of_a_path_costs_data",
        ]
    )


def test_the_failure_is_what_is_printed(ran: subprocess.CompletedProcess[str]) -> None:
    said = {anywhere(line.removeprefix("E").strip()) for line in ran.stdout.splitlines()}
    lines = [line for line in SHOWN.splitlines() if line.strip()]

    assert len(lines) == 9
    assert [line for line in lines if not any(anywhere(line.strip()) in one for one in said)] == []


def anywhere(line: str) -> str:
    """The line without the place of the run's directory."""
    return re.sub(r"/\S+/(no_cables-1/)", r"…/\1", line)


def members(kind: type) -> list[str]:
    return sorted(name for name, _ in inspect.getmembers(kind) if not name.startswith("_"))


@pytest.mark.parametrize(("kind", "fixture"), [(Lab, "mpio_lab"), (LoopbackArray, "iscsi_array")])
def test_the_tables_name_every_member(kind: type, fixture: str) -> None:
    table = PAGE.split(f"| `{fixture}` | |\n")[1].split("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]

    assert sorted(named) == members(kind)


def test_the_strategies_and_their_arguments_are_all_there() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    told = {name: re.findall(r"`(\w+)`", arguments) for name, arguments in rows}

    assert sorted(told) == sorted(strategies.__all__)
    for name, arguments in told.items():
        parameters = inspect.signature(getattr(strategies, name)).parameters
        assert arguments == [key for key in parameters if name == "scenarios" or key != "topology"]
