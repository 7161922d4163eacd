"""Mistakes one makes in data transfer, recovery and task management, planted one at a time: each is caught by a test.

The catcher is a test of the suite, called on one example; it passes without the plant and fails with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from iscsi.framer import Framer, LostPdu
from iscsi.pdu import DataOut
from iscsi.write_buffer import Burst, WriteBuffer
from target.retained import Retained
from target.task_barrier import Barrier
from target.tasks import TaskSet
from tests.properties import test_data_recovery
from tests.properties.test_data_recovery import Fate
from tests.unit.iscsi import test_framer
from tests.unit.target import test_management, test_snack, test_tasks

Plant = Callable[[pytest.MonkeyPatch], None]

IN_ORDER: dict[str, Any] = {
    "initial_r2t": True,
    "immediate_data": False,
    "data_pdu_in_order": True,
    "data_sequence_in_order": True,
    "max_outstanding_r2t": 1,
}


def a_bad_link(*fates: Fate) -> Callable[[], None]:
    """A write of 24 blocks whose first PDUs meet these fates."""

    def write() -> None:
        example: Any = test_data_recovery.test_a_write_over_a_bad_link
        example.hypothesis.inner_test(blocks=24, fates=list(fates), login=IN_ORDER, data=None)

    return write


def a_lost_pdu_that_nobody_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteBuffer, "_holes", lambda buffer, burst: [])


def a_recovery_that_asks_for_the_first_hole_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = WriteBuffer._holes

    def first(buffer: WriteBuffer, burst: Burst) -> list[tuple[int, int]]:
        return honest(buffer, burst)[:1]

    monkeypatch.setattr(WriteBuffer, "_holes", first)
    monkeypatch.setattr(WriteBuffer, "complete", property(lambda buffer: not buffer.open_bursts))


def a_damaged_pdu_whose_header_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def ignore(buffer: WriteBuffer, pdu: DataOut) -> bool:
        return False

    monkeypatch.setattr(WriteBuffer, "take_damaged", ignore)


def damaged_data_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteBuffer, "take_damaged", WriteBuffer.take)


def a_lost_end_that_is_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskSet, "lost", lambda tasks, connection: None)


def a_length_in_a_damaged_header_that_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(framer: Framer, buffer: bytes, position: int, pdu_end: int, whole: bool) -> tuple[LostPdu, int]:
        return LostPdu(pdu_end - position), pdu_end - position

    monkeypatch.setattr(Framer, "_pass_over", believe)


def a_status_that_is_forgotten_one_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Retained.acknowledge
    monkeypatch.setattr(Retained, "acknowledge", lambda retained, exp_stat_sn: honest(retained, exp_stat_sn + 1))


def data_that_is_kept_though_it_was_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retained, "acknowledge_data", lambda retained, tag, data_sn: True)


def a_function_that_does_not_wait_for_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Barrier, "covers", lambda barrier, command: False)


def a_function_that_does_not_wait_for_data(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = TaskSet.end_tasks

    def at_once(tasks: TaskSet, *arguments: Any, wait_for_data: bool) -> None:
        honest(tasks, *arguments, wait_for_data=False)

    monkeypatch.setattr(TaskSet, "end_tasks", at_once)


def a_fault_that_is_answered_before_all_data_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = WriteBuffer._fail

    def fail(buffer: WriteBuffer, fault: Any) -> None:
        honest(buffer, fault)
        buffer.open_bursts.clear()

    monkeypatch.setattr(WriteBuffer, "_fail", fail)
    monkeypatch.setattr(WriteBuffer, "_end", lambda buffer, burst: None)


class Case(NamedTuple):
    """A mistake and the test that is there for it."""

    plant: Plant
    catcher: Callable[[], None]


SOUND, DATA, HEADER = Fate.SOUND, Fate.DATA_DAMAGED, Fate.HEADER_DAMAGED

CASES = [
    Case(a_lost_pdu_that_nobody_misses, a_bad_link(SOUND, HEADER)),
    Case(a_recovery_that_asks_for_the_first_hole_alone, a_bad_link(HEADER, SOUND, HEADER)),
    Case(a_damaged_pdu_whose_header_is_ignored, a_bad_link(*[SOUND] * 5, DATA)),
    Case(damaged_data_that_is_taken, a_bad_link(DATA)),
    Case(a_lost_end_that_is_waited_for_for_ever, a_bad_link(*[SOUND] * 5, HEADER)),
    Case(
        a_length_in_a_damaged_header_that_is_believed,
        lambda: test_framer.TestResynchronising().test_a_damaged_length_ends_the_connection(6),
    ),
    Case(a_status_that_is_forgotten_one_too_early, test_snack.test_both_zero_means_all_that_is_not_acknowledged),
    Case(data_that_is_kept_though_it_was_acknowledged, test_snack.test_acknowledged_data_is_let_go),
    Case(
        a_function_that_does_not_wait_for_commands,
        lambda: test_management.test_commands_sent_ahead_that_have_not_arrived_are_waited_for_and_ended(
            test_management.TmfFunction.ABORT_TASK_SET
        ),
    ),
    Case(
        a_function_that_does_not_wait_for_data,
        test_management.test_data_on_its_way_is_waited_for_and_no_more_is_asked_for,
    ),
    Case(
        a_fault_that_is_answered_before_all_data_has_come,
        test_tasks.test_data_announced_where_none_may_be_is_waited_for_and_refused,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.plant.__name__)
def test_a_planted_mistake_is_caught(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.catcher()
    case.plant(monkeypatch)
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        case.catcher()
