"""libiscsi's conformance suite against the array as `mpiolab serve` runs it, reached through the redirect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import conformance_page
from tests.interop.conformance import Ended, Outcome, list_tests, read_output, run_tool
from tests.interop.conformance_page import PAGE, ConformanceArray, run_all_alone
from tests.interop.conformance_table import (
    ASSERT_NOTHING,
    BROKEN_ALONE,
    CANNOT_APPLY,
    COMPLAINS,
    FAMILY_COMPLAINTS,
    LUN_OF,
    MAY_COMPLAIN,
    Lun,
    fits,
)

pytestmark = pytest.mark.interop

MAX_SKIPPED = 12


@pytest.fixture
def array(tmp_path: Path) -> Iterator[ConformanceArray]:
    """The array with every kind of disk, for two workers."""
    served = ConformanceArray(tmp_path)
    yield served
    served.close()


@pytest.mark.timeout(300)
def test_the_whole_family_in_one_process(array: ConformanceArray) -> None:
    """Two URLs go through the group address; each is redirected to a portal of its own."""
    ended = run_tool("ALL", array.urls(Lun.THIN, 0, paths=2), limit_s=240)
    assert ended.ran == len(list_tests()) == 230
    failed = re.findall(r"^ +\d+\. (.*)$", ended.output, re.MULTILINE)
    assert ended.outcome in (Outcome.PASSED, Outcome.SKIPPED, Outcome.COMPLAINED), failed
    complaints = {line.partition("[FAILED]")[2].strip() for line in ended.output.splitlines() if "[FAILED]" in line}
    assert [line for line in sorted(complaints) if fits(line, FAMILY_COMPLAINTS) is None] == []


@pytest.mark.timeout(300)
def test_every_test_in_a_process_of_its_own(array: ConformanceArray, tmp_path: Path) -> None:
    tests = list_tests()
    ended = run_all_alone(array, tests, tmp_path)
    unexpected = {test: (how.outcome.value, how.said) for test, how in ended.items() if _expected(test) != how.outcome}
    assert unexpected == {}
    complaints = [line for test in COMPLAINS for line in ended[test].said if fits(line, MAY_COMPLAIN) is None]
    assert complaints == []
    skipped = [test for test, how in ended.items() if how.outcome is Outcome.SKIPPED]
    assert len(skipped) <= MAX_SKIPPED
    assert PAGE.read_text(encoding="utf-8") == conformance_page.render(ended), "run `make conformance`"


def _expected(test: str) -> Outcome:
    if test in COMPLAINS:
        return Outcome.COMPLAINED
    return Outcome.SKIPPED if test in CANNOT_APPLY else Outcome.PASSED


def test_the_table_speaks_of_tests_that_exist() -> None:
    tests = list_tests()
    named = [*CANNOT_APPLY, *COMPLAINS, *BROKEN_ALONE, *ASSERT_NOTHING, *(pattern for pattern, _ in LUN_OF)]
    assert [pattern for pattern in named if not any(fits(test, (pattern,)) for test in tests)] == []


SUMMARY = """
Suite: Read10
  Test: Simple ...{said}passed

Run Summary:    Type  Total    Ran Passed Failed Inactive
              suites      1      1    n/a      0        0
               tests      1      1      1      0        0
             asserts      {asserts}      {asserts}      {asserts}      0      n/a
"""


@pytest.mark.parametrize(
    ("returncode", "said", "asserts", "expected"),
    [
        (0, "", 3, (Outcome.PASSED, ())),
        (0, "    [SKIPPED] no such thing.\n", 1, (Outcome.SKIPPED, ("no such thing.",))),
        (0, "    [FAILED] READ10 failed\n", 1, (Outcome.COMPLAINED, ("READ10 failed",))),
        (0, "", 0, (Outcome.EMPTY, ("no assertion was made",))),
        (1, "    [FAILED] READ10 failed\n", 1, (Outcome.FAILED, ("READ10 failed",))),
        (124, "", 0, (Outcome.HUNG, ("it did not end in time",))),
        (137, "", 0, (Outcome.HUNG, ("it did not end in time",))),
        (134, "", 0, (Outcome.CRASHED, ("exit code 134",))),
    ],
)
def test_what_the_tool_means(
    returncode: int, said: str, asserts: int, expected: tuple[Outcome, tuple[str, ...]]
) -> None:
    ended: Ended = read_output(returncode, SUMMARY.format(said=said, asserts=asserts))
    assert (ended.outcome, ended.said) == expected


def test_a_tool_that_cannot_log_in_has_not_passed() -> None:
    assert read_output(0, "Failed to log in").outcome is Outcome.FAILED
