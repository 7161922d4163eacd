"""libiscsi's conformance suite, `iscsi-test-cu`, as a program that is run and read: one test a process, or all in one.

The tool exits 0 for tests it skipped, for tests that asserted nothing, and for tests that printed [FAILED] on the way;
each of these is an outcome of its own here.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from tests.interop.conformance_table import ASSERT_NOTHING, fits
from tests.interop.support import require

FAMILY: Final = "ALL"
_FLAGS: Final = ("-d", "-S")
"""Data loss and SANITIZE are allowed."""
_KILL_AFTER_S: Final = 2


class Outcome(Enum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The tool said why in a line that starts with [SKIPPED]."""
    COMPLAINED = "passed, but printed [FAILED]"
    EMPTY = "passed without asserting anything"
    HUNG = "hung"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Ended:
    """One run of the tool. ``said``: the [SKIPPED] or [FAILED] lines, or what else tells why, without repetition."""

    outcome: Outcome
    said: tuple[str, ...]
    ran: int
    """Tests the tool counts as run."""
    output: str


def list_tests() -> list[str]:
    """Every test of the family as the tool lists them: "ALL.Read10.Simple"."""
    done = subprocess.run([require("iscsi-test-cu"), "-l"], capture_output=True, text=True, timeout=30, check=True)
    return [line for line in done.stdout.splitlines() if re.fullmatch(rf"{FAMILY}\.[^.]+\.[^.]+", line)]


def run_tool(test: str, urls: Sequence[str], *, limit_s: int) -> Ended:
    """Run a test, or with "ALL" all of them, against a LUN given by one URL for each path to it."""
    timeout, tool = require("timeout"), require("iscsi-test-cu")
    command = [timeout, "-k", str(_KILL_AFTER_S), str(limit_s), tool, *_FLAGS, "-t", test, *urls]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=limit_s + 2 * _KILL_AFTER_S + 30,
    )
    return read_output(done.returncode, done.stdout, may_assert_nothing=fits(test, ASSERT_NOTHING) is not None)


def read_output(returncode: int, output: str, *, may_assert_nothing: bool = False) -> Ended:
    """What exit code and output say together. `timeout` exits 124, or 137 when it had to kill."""
    marked = {mark: _lines_with(mark, output) for mark in ("[SKIPPED]", "[FAILED]")}
    ran, asserts = _count("tests", output), _count("asserts", output)
    if returncode in (124, 137, -9):
        return Ended(Outcome.HUNG, ("it did not end in time",), ran, output)
    if returncode < 0 or returncode > 127:
        return Ended(Outcome.CRASHED, (f"exit code {returncode}",), ran, output)
    if returncode or not ran:
        said = marked["[FAILED]"] or (output.strip().rpartition("\n")[2],)
        return Ended(Outcome.FAILED, said, ran, output)
    if marked["[SKIPPED]"]:
        return Ended(Outcome.SKIPPED, marked["[SKIPPED]"], ran, output)
    if marked["[FAILED]"]:
        return Ended(Outcome.COMPLAINED, marked["[FAILED]"], ran, output)
    if not asserts and not may_assert_nothing:
        return Ended(Outcome.EMPTY, ("no assertion was made",), ran, output)
    return Ended(Outcome.PASSED, (), ran, output)


def run_each(
    suites: Iterable[Sequence[str]], urls: Callable[[str, int], Sequence[str]], *, workers: int, limit_s: int
) -> dict[str, Ended]:
    """Run each test in a process of its own, ``workers`` at a time; the tests of a suite one after the other.

    ``urls(test, worker)`` names the LUN; no two tests run at once with the same worker number.
    """
    waiting: SimpleQueue[Sequence[str]] = SimpleQueue()
    for suite in suites:
        waiting.put(suite)
    ended: dict[str, Ended] = {}

    def work(worker: int) -> None:
        while True:
            try:
                suite = waiting.get_nowait()
            except Empty:
                return
            for test in suite:
                ended[test] = run_tool(test, urls(test, worker), limit_s=limit_s)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    return ended


def _lines_with(mark: str, output: str) -> tuple[str, ...]:
    """The rest of each line behind ``mark``, in order, once each."""
    found = (line.partition(mark)[2].strip() for line in output.splitlines() if mark in line)
    return tuple(dict.fromkeys(found))


def _count(what: str, output: str) -> int:
    """The "Ran" column of CUnit's summary."""
    match = re.search(rf"^ *{what} +\d+ +(\d+)", output, re.MULTILINE)
    return int(match[1]) if match else 0


def save_outputs(ended: dict[str, Ended], directory: Path) -> None:
    """Keep what the tool printed for everything that did not pass, to look at."""
    for test, how in ended.items():
        if how.outcome is not Outcome.PASSED:
            (directory / f"{test}.txt").write_text(how.output, encoding="utf-8")
