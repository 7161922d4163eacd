"""The array that the conformance suite is run against, the run, and docs/conformance.md as its result.

`make conformance` writes the page anew; tests/interop/test_conformance.py holds it to what it sees.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.interop.conformance import Ended, Outcome, list_tests, run_each, save_outputs
from tests.interop.conformance_table import (
    BROKEN_ALONE,
    CANNOT_APPLY,
    COMPLAINS,
    SLOW_FIRST,
    TGT,
    VOLUME_LINES,
    Lun,
    lun_of,
)
from tests.interop.served import GROUP, Served
from tests.interop.support import free_port

PAGE: Final = Path(__file__).parents[2] / "docs" / "conformance.md"
WORKERS: Final = 2
"""Tests at a time. Each worker has targets of its own, so that resets and reservations do not meet."""
_LIMIT_S: Final = 110

_ARRAY: Final = """
[serve.limits]
nop_interval = "0s"  # the tool sleeps for a minute in Sanitize.Reset, and answers no ping then
[array]
name = "PS100"
group = "192.168.51.1/22"
portals = ["192.168.51.2", "192.168.51.3"]
port = {port}
"""
_VOLUME: Final = """
[[array.volumes]]
name = "{name}"
{lines}
[[array.volumes.access]]
source = "0.0.0.0/0"
"""


class ConformanceArray:
    """`mpiolab serve` with each kind of disk, once for each worker."""

    def __init__(self, directory: Path) -> None:
        port = free_port(GROUP)
        text = _ARRAY.format(port=port)
        for worker in range(WORKERS):
            for lun in Lun:
                text += _VOLUME.format(name=_name(lun, worker), lines=VOLUME_LINES[lun])
        file = directory / "array.toml"
        file.write_text(text, encoding="utf-8")
        self._served = Served(file, port)

    def urls(self, lun: Lun, worker: int, *, paths: int = 1) -> tuple[str, ...]:
        """The LUN as libiscsi names it, once for each path; all go through the group address."""
        return (self._served.url(_name(lun, worker)),) * paths

    def close(self) -> None:
        """End the array."""
        self._served.close()


def run_all_alone(array: ConformanceArray, tests: Sequence[str], directory: Path) -> dict[str, Ended]:
    """Each test in its own process, in the tool's order; outputs of what did not pass are left in ``directory``."""
    alone = [test for test in tests if test not in BROKEN_ALONE]
    suites: dict[str, list[str]] = {}
    for test in alone:
        suites.setdefault(test.split(".")[1], []).append(test)
    order = sorted(suites, key=lambda suite: suite not in SLOW_FIRST)

    def urls(test: str, worker: int) -> tuple[str, ...]:
        lun = lun_of(test)
        return array.urls(lun, worker, paths=2 if lun is Lun.TWO_PATHS else 1)

    ended = run_each([suites[suite] for suite in order], urls, workers=WORKERS, limit_s=_LIMIT_S)
    save_outputs(ended, directory)
    return {test: ended[test] for test in alone}


def render(ended: dict[str, Ended]) -> str:
    """The page: totals, a comparison, what was skipped and why, and every test."""
    counts = Counter(how.outcome for how in ended.values())
    counts[Outcome.PASSED] += counts[Outcome.COMPLAINED]
    ours = ("mpiolab", *(counts[outcome] for outcome in _COLUMNS))
    lines = [_HEAD, "| target | passed | failed | skipped | hung | crashed |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in (ours, *TGT)]
    lines += [_SKIPPED_HEAD, "| test | why it cannot apply |", "|---|---|"]
    lines += [f"| {_short(test)} | {reason} |" for test, reason in CANNOT_APPLY.items()]
    lines += [f"\n{_short(test)} passes while it prints [FAILED]: {reason}." for test, reason in COMPLAINS.items()]
    lines += [f"\nNot run alone: {_short(test)}; {reason}." for test, reason in BROKEN_ALONE.items()]
    lines += ["\n## Every test\n", "| test | LUN | outcome |", "|---|---|---|"]
    lines += [f"| {_short(test)} | {lun_of(test).value} | {how.outcome.value} |" for test, how in ended.items()]
    return "\n".join(lines) + "\n"


_COLUMNS: Final = (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED, Outcome.HUNG, Outcome.CRASHED)

_HEAD: Final = """# Conformance

What libiscsi's suite (`iscsi-test-cu` 1.19, flags `-d -S`) says about the array, one process per test, through the
group address and its redirect. `make conformance` writes this page; `make test` runs the suite and fails when an
outcome differs from it. In one process (`-t ALL`, two paths) all 230 tests pass.
"""

_SKIPPED_HEAD: Final = """
tgt's figures are those of tgt 1.0.85 with the same tool on the same kind of machine.

## Skipped
"""


def _short(test: str) -> str:
    return test.partition(".")[2]


def _name(lun: Lun, worker: int) -> str:
    return f"{lun.name.lower().replace('_', '-')}-{worker}"


def main() -> None:
    """Run the suite and write the page."""
    with tempfile.TemporaryDirectory() as directory:
        array = ConformanceArray(Path(directory))
        try:
            ended = run_all_alone(array, list_tests(), Path(directory))
        finally:
            array.close()
    PAGE.write_text(render(ended), encoding="utf-8")
    for test, how in ended.items():
        if how.outcome is not Outcome.PASSED:
            print(f"{test}: {how.outcome.value}: {'; '.join(how.said)}")


if __name__ == "__main__":
    main()
