"""What went in came out, or is in there still."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.check.conservation import Conservation
from harness.issuing import Counts
from harness.result import ExitCode
from initiator_model.disk import IoResult, MpioDisk, Outcome
from initiator_model.dispatch import Dispatcher
from tests.support.runs import LOGINS, failed, run, two_paths, verdicts, workload

ATTEMPTS_MAX = 64


def rule(*, counts: Counts | None = None, under_way: int = 0, **ended: int) -> str:
    conservation = Conservation(lambda: 0, ATTEMPTS_MAX)
    if counts is not None:
        disk: Any = SimpleNamespace(outstanding=under_way)
        conservation.balance(counts, [disk])
    if ended:
        conservation.ended(**{"number": 1, "asked_bytes": 0, "came_bytes": 0, "attempts": 1} | ended)
    return conservation.judgement().evidence.get("rule", "")


@pytest.mark.parametrize(
    ("counts", "under_way", "broken"),
    [
        (Counts(9, 4, 2, 1), 2, ""),
        (Counts(9, 4, 2, 1), 1, "balance"),
        (Counts(9, 4, 2, 1), 3, "balance"),
    ],
)
def test_all_ios_are_somewhere(counts: Counts, under_way: int, broken: str) -> None:
    assert rule(counts=counts, under_way=under_way) == broken


def test_a_read_brings_what_was_asked_for() -> None:
    assert rule(asked_bytes=4096, came_bytes=4096) == ""
    assert rule(asked_bytes=4096, came_bytes=512) == "bytes"


def test_nothing_is_tried_for_ever() -> None:
    assert rule(attempts=ATTEMPTS_MAX) == ""
    assert rule(attempts=ATTEMPTS_MAX + 1) == "attempts"


def test_a_run_counts() -> None:
    assert verdicts(run(two_paths(*LOGINS, workload(ios=20))))["conservation"] == "pass"


def test_a_disk_that_loses_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MpioDisk, "submit_read", lambda self, lba, blocks, done: None)
    result = run(two_paths(*LOGINS, workload(op="read", ios=4, iops=None)))
    assert "4 I/Os were submitted, 0 have ended, the disks have 0" in failed(result, "conservation")
    assert result.exit_code is ExitCode.CORRECTNESS


def test_a_read_that_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Dispatcher._end

    def end(disk: Dispatcher, io: Any, result: IoResult) -> None:
        if result.outcome is Outcome.OK:
            result.data = result.data[:512]
        honest(disk, io, result)

    monkeypatch.setattr(Dispatcher, "_end", end)
    result = run(two_paths(*LOGINS, workload(op="read", ios=4, iops=None)))
    assert "I/O 1 brought 512 bytes of 4096, and ended well" in failed(result, "conservation")
