"""What does not come back after everything was mended is named, with what it waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.check.marks import MARKS, Mark, Marks
from harness.result import ExitCode, Failure, Result
from harness.signature import signature_of, signatures_of
from initiator_model.dispatch import Dispatcher
from initiator_model.session import IscsiSession
from tests.support.runs import LOGINS, PORTALS, SOURCES, Tables, failed, run, two_paths, workload

ONE = workload(op="write", ios=1, iops=None, region="4KiB", background=True)


def test_an_io_that_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = IscsiSession.submit

    def submit(session: IscsiSession, request: Any, done: Any) -> Any:
        if request.cdb[0] != 0x2A:
            honest(session, request, done)

    monkeypatch.setattr(IscsiSession, "submit", submit)
    result = run(two_paths(*LOGINS, ONE))
    why = failed(result, "drain")
    assert f"w2k3 logs: write of 8 blocks at 0 has no answer over {SOURCES[0]} → {PORTALS[0]}" in why
    assert "(attempt 1)" in why
    assert result.exit_code is ExitCode.LIVENESS


def test_one_that_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dispatcher, "_dispatch", lambda disk, io: None)
    result = run(two_paths(*LOGINS, ONE))
    assert "write of 8 blocks at 0 waits for a path or a fence (after attempt 0)" in failed(result, "drain")


def test_a_path_that_does_not_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.faults.LinkDown._heal", lambda fault: None)
    cable = {"do": "fault", "kind": "link_down", "nic": "w2k3/A"}
    lost = {"do": "wait", "until": "path_lost", "volume": "logs", "within": "5s"}
    result = run(two_paths(*LOGINS, cable, lost))
    why = failed(result, "paths return")
    assert f"w2k3 {SOURCES[0]} → " in why
    assert SOURCES[1] not in why
    assert result.exit_code is ExitCode.LIVENESS


# -- marks and signatures ----------------------------------------------------------------------------------------------


def test_marks_are_named_in_the_order_of_the_table_once_each() -> None:
    marks = Marks()
    for mark in (Mark.UNIT_ATTENTION, Mark.WINDOW_CLOSED, Mark.UNIT_ATTENTION):
        marks.hit(mark)
    assert marks.names() == ("window closed", "unit attention")
    assert set(marks.names()) < set(MARKS)


CABLES = [{"do": "fault", "kind": "link_down", "nic": f"w2k3/{name}"} for name in "AB"]
BUSY = workload("io", op="write", background=True, depth=32, iops=None, ios=400)


@pytest.mark.parametrize(
    ("steps", "marks"),
    [
        ([BUSY], [Mark.UNIT_ATTENTION, Mark.OVERLAPPING_IO]),
        (
            [BUSY, {"do": "wait", "duration": "5ms"}, *CABLES, {"do": "wait", "duration": "6s"}],
            [Mark.TWO_PATHS_LOST, Mark.ALL_PATHS_LOST, Mark.DISK_REMOVED, Mark.UNKNOWN_WRITE],
        ),
    ],
)
def test_small_situations_hit_their_marks(steps: list[Tables], marks: list[Mark]) -> None:
    hit = run(two_paths(*LOGINS, *steps)).marks
    assert [mark.value for mark in marks if mark.value not in hit] == []


def result_with(*failures: Failure) -> Result:
    made = run(two_paths({"do": "discover"}))
    return replace(made, failures=failures)


def test_a_signature_has_checks_and_rules_and_no_evidence() -> None:
    late = Failure("drain", "5 I/Os did not end", {"count": 5}, kind="liveness")
    ghost = Failure("ghost writes", "write 7 landed again", {"rule": "landed again", "count": 1})
    result = result_with(late, ghost)
    assert signatures_of(result) == ("ghost writes: landed again", "drain")
    assert signature_of(result) == "drain + ghost writes: landed again"
    assert signature_of(result_with()) == ""
