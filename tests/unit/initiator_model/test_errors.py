"""The DSM's classification of errors, row by row."""

import pytest

from initiator_model.errors import Action, ErrorTable, may_have_run, words
from initiator_model.errors.esxi import ESXI
from initiator_model.errors.linux import LINUX
from initiator_model.errors.msdsm import MSDSM
from initiator_model.requests import Completion, CompletionKind
from iscsi.constants import ScsiStatus, SenseKey
from iscsi.sense import Sense


def check_condition(key: int, asc: int, ascq: int, *, descriptor: bool = False) -> Completion:
    sense = Sense(SenseKey(key), asc, ascq).encode(descriptor=descriptor)
    return Completion(CompletionKind.COMPLETED, ScsiStatus.CHECK_CONDITION, sense)


def with_status(status: int) -> Completion:
    return Completion(CompletionKind.COMPLETED, status)


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (CompletionKind.DEVICE_NOT_CONNECTED, Action.FAILOVER),
        (CompletionKind.DEVICE_DOES_NOT_EXIST, Action.FAILOVER),
        (CompletionKind.NO_SUCH_DEVICE, Action.FAILOVER),
        (CompletionKind.DELETE_PENDING, Action.FAILOVER),
        (CompletionKind.SELECTION_TIMEOUT, Action.FAILOVER),
        (CompletionKind.INVALID_LUN, Action.FAILOVER),
        (CompletionKind.INVALID_TARGET_ID, Action.FAILOVER),
        (CompletionKind.NO_DEVICE, Action.FAILOVER),
        (CompletionKind.NO_HBA, Action.FAILOVER),
        (CompletionKind.INVALID_PATH_ID, Action.FAILOVER),
        (CompletionKind.BUS_RESET, Action.FAIL_UP),
        (CompletionKind.TIMED_OUT, Action.FAIL_UP),
        (CompletionKind.DATA_OVERRUN, Action.RETRY),
    ],
)
def test_completions_without_a_status(kind: CompletionKind, action: Action) -> None:
    assert MSDSM.interpret(Completion(kind)) is action


def test_every_kind_but_completed_has_an_action() -> None:
    assert set(MSDSM.kinds) == set(CompletionKind) - {CompletionKind.COMPLETED}


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (ScsiStatus.GOOD, Action.COMPLETE),
        (ScsiStatus.CONDITION_MET, Action.COMPLETE),
        (ScsiStatus.BUSY, Action.FAIL_UP),
        (ScsiStatus.RESERVATION_CONFLICT, Action.FAIL_UP),
        (ScsiStatus.TASK_SET_FULL, Action.FAIL_UP),
        (0x99, Action.FAIL_UP),
    ],
)
def test_scsi_statuses(status: int, action: Action) -> None:
    assert MSDSM.interpret(with_status(status)) is action


@pytest.mark.parametrize("descriptor", [False, True], ids=["fixed", "descriptor"])
@pytest.mark.parametrize(
    ("triple", "action"),
    [
        ((0x0, 0x00, 0x00), Action.FAILOVER),
        ((0x5, 0x25, 0x00), Action.FAILOVER),
        ((0x4, 0x67, 0x0A), Action.FAILOVER),
        ((0x6, 0x2A, 0x06), Action.RETRY_UNCOUNTED),
        ((0x6, 0x2A, 0x07), Action.RETRY_UNCOUNTED),
        ((0x6, 0x2A, 0x04), Action.RETRY_SAME_PATH),
        ((0x6, 0x2A, 0x01), Action.FAIL_UP),
        ((0x6, 0x2A, 0x03), Action.FAIL_UP),
        ((0x6, 0x2A, 0x05), Action.FAIL_UP),
        ((0x6, 0x2A, 0x09), Action.FAIL_UP),
        ((0x6, 0x2F, 0x00), Action.FAIL_UP),
        ((0x6, 0x3F, 0x0E), Action.FAIL_UP),
        ((0x6, 0x3F, 0x03), Action.FAIL_UP),
        ((0x6, 0x29, 0x00), Action.RETRY),
        ((0x6, 0x29, 0x07), Action.RETRY),
        ((0x6, 0x47, 0x7F), Action.RETRY),
        ((0x6, 0x2A, 0x02), Action.RETRY),
        ((0x2, 0x04, 0x0A), Action.RETRY_UNCOUNTED),
        ((0x2, 0x04, 0x0B), Action.RETRY_UNCOUNTED),
        ((0x2, 0x04, 0x0C), Action.RETRY_UNCOUNTED),
        ((0x2, 0x04, 0x03), Action.RETRY),
        ((0x2, 0x04, 0x01), Action.FAIL_UP),
        ((0x4, 0x3E, 0x02), Action.RETRY),
        ((0x4, 0x4B, 0x06), Action.RETRY),
        ((0x2, 0x04, 0x14), Action.FAIL_UP),
        ((0x7, 0x27, 0x07), Action.FAIL_UP),
        ((0x6, 0x38, 0x07), Action.FAIL_UP),
        ((0x3, 0x11, 0x00), Action.FAIL_UP),
        ((0x5, 0x21, 0x00), Action.FAIL_UP),
    ],
    ids=lambda value: "/".join(f"{part:02X}" for part in value) if isinstance(value, tuple) else value.name,
)
def test_check_conditions(triple: tuple[int, int, int], action: Action, descriptor: bool) -> None:
    assert MSDSM.interpret(check_condition(*triple, descriptor=descriptor)) is action


def test_standby_port_counts_once_no_path_is_active() -> None:
    completion = check_condition(0x2, 0x04, 0x0B)
    assert MSDSM.interpret(completion, active_left=True) is Action.RETRY_UNCOUNTED
    assert MSDSM.interpret(completion, active_left=False) is Action.RETRY
    assert MSDSM.interpret(check_condition(0x2, 0x04, 0x0C), active_left=False) is Action.RETRY_UNCOUNTED


def test_check_condition_without_readable_sense_is_a_path_failure() -> None:
    assert MSDSM.interpret(Completion(CompletionKind.COMPLETED, ScsiStatus.CHECK_CONDITION, b"")) is Action.FAILOVER
    assert (
        MSDSM.interpret(Completion(CompletionKind.COMPLETED, ScsiStatus.CHECK_CONDITION, b"\xff" * 18))
        is Action.FAILOVER
    )


def test_class_driver_repeats_what_is_nobodys_fault() -> None:
    assert MSDSM.class_driver_retries(Completion(CompletionKind.BUS_RESET))
    assert MSDSM.class_driver_retries(Completion(CompletionKind.TIMED_OUT))
    assert MSDSM.class_driver_retries(with_status(ScsiStatus.BUSY))
    assert MSDSM.class_driver_retries(check_condition(0x6, 0x2A, 0x09))
    assert not MSDSM.class_driver_retries(with_status(ScsiStatus.RESERVATION_CONFLICT))
    assert not MSDSM.class_driver_retries(check_condition(0x3, 0x11, 0x00))


def test_a_write_refused_before_it_ran_had_no_effect() -> None:
    assert not may_have_run(check_condition(0x5, 0x21, 0x00))
    assert not may_have_run(check_condition(0x6, 0x29, 0x00))
    assert not may_have_run(with_status(ScsiStatus.RESERVATION_CONFLICT))
    assert not may_have_run(Completion(CompletionKind.BUSY))


def test_a_write_whose_session_died_may_have_had_one() -> None:
    assert may_have_run(Completion(CompletionKind.DEVICE_NOT_CONNECTED))
    assert may_have_run(Completion(CompletionKind.TIMED_OUT))
    assert may_have_run(check_condition(0x3, 0x0C, 0x00))


def test_words_name_the_condition() -> None:
    assert words(check_condition(0x6, 0x29, 0x00)) == "CHECK_CONDITION 6/29/00 unit attention"
    assert words(Completion(CompletionKind.DEVICE_NOT_CONNECTED)) == "STATUS_DEVICE_NOT_CONNECTED"
    assert words(with_status(ScsiStatus.BUSY)) == "BUSY"
    assert words(with_status(0x99)) == "SCSI status 0x99"
    assert words(with_status(ScsiStatus.CHECK_CONDITION)) == "CHECK_CONDITION without usable sense data"


# -- Linux and ESXi ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [MSDSM, LINUX, ESXI], ids=lambda table: table.name)
def test_every_table_knows_every_way_a_request_can_end_without_a_status(table: ErrorTable) -> None:
    assert set(table.kinds) == set(CompletionKind) - {CompletionKind.COMPLETED}


@pytest.mark.parametrize(
    ("completion", "msdsm", "linux", "esxi"),
    [
        # a lost session is a path's everywhere
        (Completion(CompletionKind.DEVICE_NOT_CONNECTED), Action.FAILOVER, Action.FAILOVER, Action.FAILOVER),
        (Completion(CompletionKind.TIMED_OUT), Action.FAIL_UP, Action.RETRY_HERE, Action.FAIL_UP),
        (Completion(CompletionKind.BUS_RESET), Action.FAIL_UP, Action.RETRY_HERE, Action.RETRY_HERE),
        (with_status(ScsiStatus.BUSY), Action.FAIL_UP, Action.REQUEUE, Action.REQUEUE),
        (with_status(ScsiStatus.TASK_SET_FULL), Action.FAIL_UP, Action.REQUEUE, Action.REQUEUE),
        (with_status(ScsiStatus.RESERVATION_CONFLICT), Action.FAIL_UP, Action.FAIL_UP, Action.FAIL_UP),
        # unit attentions: Windows counts, Linux does not
        (check_condition(6, 0x29, 0x00), Action.RETRY, Action.RETRY_SAME_PATH, Action.RETRY_SAME_PATH),
        (check_condition(6, 0x2A, 0x06), Action.RETRY_UNCOUNTED, Action.RETRY_SAME_PATH, Action.RETRY_SAME_PATH),
        (check_condition(6, 0x2A, 0x09), Action.FAIL_UP, Action.RETRY_SAME_PATH, Action.RETRY_SAME_PATH),
        # asymmetric access
        (check_condition(2, 0x04, 0x0A), Action.RETRY_UNCOUNTED, Action.REQUEUE, Action.REQUEUE),
        (check_condition(2, 0x04, 0x0B), Action.RETRY_UNCOUNTED, Action.FAILOVER, Action.FAILOVER),
        (check_condition(2, 0x04, 0x0C), Action.RETRY_UNCOUNTED, Action.FAILOVER, Action.FAILOVER),
        (check_condition(2, 0x04, 0x01), Action.FAIL_UP, Action.RETRY_HERE, Action.RETRY_HERE),
        # the device's own errors
        (check_condition(3, 0x11, 0x00), Action.FAIL_UP, Action.FAIL_UP, Action.FAIL_UP),
        (check_condition(4, 0x44, 0x00), Action.FAIL_UP, Action.FAIL_UP, Action.FAIL_UP),
        (check_condition(4, 0x3E, 0x02), Action.RETRY, Action.FAIL_UP, Action.FAIL_UP),
        (check_condition(5, 0x24, 0x00), Action.FAIL_UP, Action.FAIL_UP, Action.FAIL_UP),
        (check_condition(7, 0x27, 0x00), Action.FAIL_UP, Action.FAIL_UP, Action.FAIL_UP),
        (check_condition(0xB, 0x00, 0x00), Action.FAIL_UP, Action.RETRY_HERE, Action.RETRY_HERE),
        # the one about which the stacks differ most: the path's, the path's, and for good
        (check_condition(5, 0x25, 0x00), Action.FAILOVER, Action.FAILOVER, Action.FAIL_UP),
    ],
)
def test_the_three_stacks_side_by_side(completion: Completion, msdsm: Action, linux: Action, esxi: Action) -> None:
    assert [table.interpret(completion) for table in (MSDSM, LINUX, ESXI)] == [msdsm, linux, esxi]


def test_only_windows_has_a_layer_above_that_tries_again() -> None:
    reset = Completion(CompletionKind.BUS_RESET)
    assert [table.class_driver_retries(reset) for table in (MSDSM, LINUX, ESXI)] == [True, False, False]
