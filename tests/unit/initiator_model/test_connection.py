"""The initiator's connection against a target worked by hand: what goes out, what completes, what ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from initiator_model.connection_events import (
    ConnectionEnded,
    ConnectionState,
    LoggedOut,
    LogoutRequested,
    Noticed,
)
from initiator_model.requests import CompletionKind, ScsiRequest
from iscsi import scsi
from iscsi.constants import (
    RESERVED_TAG,
    AsyncEvent,
    LogoutResult,
    RejectReason,
    ScsiStatus,
    TmfFunction,
    TmfResult,
)
from iscsi.errors import LocalProtocolError
from iscsi.pdu import (
    R2T,
    AsyncMessage,
    DataIn,
    DataOut,
    LoginResponse,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Reject,
    ScsiCommand,
    SnackRequest,
    TmfRequest,
    TmfResponse,
    encode,
)
from iscsi.sense import POWER_ON_OR_RESET
from tests.support.full_feature_target import FIRST_CMD_SN, FIRST_STAT_SN, FullFeatureTarget

BLOCKS = bytes(range(256)) * 16  # 4096 bytes


def why(peer: FullFeatureTarget) -> str:
    """The reason of the one event there is, which must be the end."""
    (event,) = peer.events
    assert isinstance(event, ConnectionEnded)
    assert peer.connection.state is ConnectionState.CLEANUP_WAIT
    return event.reason


class TestReads:
    def test_a_read_is_one_command_and_one_data_in_with_its_status(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        assert command == ScsiCommand(
            itt=1, edtl=4096, cmd_sn=FIRST_CMD_SN, exp_stat_sn=FIRST_STAT_SN, cdb=scsi.read(0, 8), read=True
        )
        peer.say(peer.data_in(command, BLOCKS))
        (completion,) = peer.completions
        assert (completion.kind, completion.status) == (CompletionKind.COMPLETED, ScsiStatus.GOOD)
        assert completion.data == BLOCKS
        assert peer.connection.outstanding == 0

    def test_data_in_several_pdus_is_put_together_and_the_response_ends_it(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        peer.say(
            DataIn(itt=command.itt, final=False, data_sn=0, buffer_offset=0, data=BLOCKS[:1000], max_cmd_sn=200),
            DataIn(itt=command.itt, final=True, data_sn=1, buffer_offset=1000, data=BLOCKS[1000:], max_cmd_sn=200),
            peer.response(command, exp_data_sn=2),
        )
        assert peer.completions[0].data == BLOCKS

    def test_what_the_next_command_acknowledges_follows_the_target(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        peer.say(peer.data_in(command, BLOCKS))
        peer.read()
        assert peer.sent()[0].exp_stat_sn == FIRST_STAT_SN + 1

    def test_an_underflow_is_reported_as_bytes_that_did_not_come(self) -> None:
        peer = FullFeatureTarget()
        peer.submit(ScsiRequest(scsi.inquiry(), 0, 255, b""))
        (command,) = peer.sent()
        peer.say(peer.data_in(command, b"short", underflow=True, residual=250))
        assert (peer.completions[0].data, peer.completions[0].residual) == (b"short", 250)

    def test_an_overflow_is_a_torn_transfer(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        peer.say(peer.data_in(command, BLOCKS, overflow=True, residual=512))
        assert peer.completions[0].kind is CompletionKind.DATA_OVERRUN
        assert peer.completions[0].residual == -512

    @pytest.mark.parametrize(
        ("data", "changes", "complaint"),
        [
            (BLOCKS[:512], {}, "they must add up"),
            (BLOCKS[:512], {"underflow": True, "residual": 512}, "they must add up"),
            (BLOCKS[:512], {"underflow": True, "residual": 5000}, "of only 4096"),
            (BLOCKS, {"underflow": True, "residual": 512}, "they must add up"),
            (BLOCKS + b"more", {}, "reaches past"),
            (BLOCKS, {"data_sn": 1}, "DataSN 1 where 0 was due"),
            (BLOCKS[1:], {"buffer_offset": 1}, "offset 1 where 0 was due"),
            (BLOCKS, {"stat_sn": 999}, "StatSN 999"),
            (BLOCKS, {"itt": 77}, "nothing is under way"),
        ],
    )
    def test_data_that_does_not_add_up_ends_the_connection(
        self, data: bytes, changes: dict[str, Any], complaint: str
    ) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        peer.say(replace(peer.data_in(command, data), **changes))
        assert complaint in why(peer)
        assert peer.completions == []

    def test_sense_data_comes_out_without_its_length(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        sense = POWER_ON_OR_RESET.fixed()
        data = len(sense).to_bytes(2, "big") + sense
        peer.say(peer.response(command, status=ScsiStatus.CHECK_CONDITION, underflow=True, residual=4096, data=data))
        assert peer.completions[0].status == ScsiStatus.CHECK_CONDITION
        assert peer.completions[0].sense == sense

    def test_sense_data_shorter_than_it_says_ends_the_connection(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        peer.say(peer.response(command, status=ScsiStatus.CHECK_CONDITION, data=b"\x00\x12\x70"))
        assert "sense data of 18 bytes" in why(peer)

    def test_a_response_that_counts_data_nobody_saw_ends_the_connection(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        peer.say(peer.response(command, exp_data_sn=1, underflow=True, residual=4096))
        assert "counts 1 Data-In" in why(peer)

    def test_a_target_failure_is_no_scsi_status(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        peer.say(peer.response(command, response=1))
        assert peer.completions[0].kind is CompletionKind.ABORTED

    def test_data_in_for_a_write_ends_the_connection(self) -> None:
        peer = FullFeatureTarget()
        peer.write(BLOCKS)
        (command,) = peer.sent()
        peer.say(peer.data_in(command, b""))
        assert "reads nothing" in why(peer)

    def test_a_data_acknowledgement_is_given_when_the_level_of_recovery_has_it(self) -> None:
        peer = FullFeatureTarget(error_recovery_level=1)
        peer.read()
        (command,) = peer.sent()
        peer.say(DataIn(itt=command.itt, ttt=9, final=False, acknowledge=True, data=BLOCKS[:512], max_cmd_sn=200))
        (snack,) = peer.sent()
        assert isinstance(snack, SnackRequest)
        assert (snack.type, snack.itt, snack.ttt, snack.beg_run) == (2, command.itt, 9, 1)


class TestWrites:
    def test_a_small_write_carries_its_data(self) -> None:
        peer = FullFeatureTarget()
        peer.write(BLOCKS)
        (command,) = peer.sent()
        assert (command.write, command.final, command.edtl, command.data) == (True, True, 4096, BLOCKS)
        peer.say(peer.response(command))
        assert peer.completions[0].kind is CompletionKind.COMPLETED

    def test_without_immediate_data_the_first_burst_follows_the_command(self) -> None:
        peer = FullFeatureTarget(immediate_data=False, first_burst_length=2048, peer_max_recv_data_segment_length=1024)
        peer.write(BLOCKS)
        command, one, two = peer.sent()
        assert (command.final, command.data) == (False, b"")
        assert one.data + two.data == BLOCKS[:2048]
        assert [part.final for part in (one, two)] == [False, True]
        assert one.ttt == two.ttt == RESERVED_TAG

    def test_the_rest_goes_out_as_the_target_asks(self) -> None:
        peer = FullFeatureTarget(initial_r2t=True, immediate_data=False, peer_max_recv_data_segment_length=1024)
        peer.write(BLOCKS)
        (command,) = peer.sent()
        assert command.final
        r2t = R2T(itt=command.itt, ttt=7, stat_sn=peer.stat_sn, max_cmd_sn=200, exp_cmd_sn=101)
        peer.say(replace(r2t, r2t_sn=0, buffer_offset=0, desired_length=2048))
        peer.say(replace(r2t, r2t_sn=1, buffer_offset=2048, desired_length=2048, ttt=8))
        parts = peer.sent()
        assert all(isinstance(part, DataOut) for part in parts)
        assert b"".join(part.data for part in parts) == BLOCKS
        assert [(part.ttt, part.data_sn, part.final) for part in parts] == [
            (7, 0, False),
            (7, 1, True),
            (8, 0, False),
            (8, 1, True),
        ]

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"r2t_sn": 1}, "R2TSN 1 where 0 was due"),
            ({"desired_length": 0}, "asks for bytes"),
            ({"desired_length": 8192}, "asks for bytes 0 to 8192"),
            ({"buffer_offset": 1}, "asks for bytes 1 to 4097"),
            ({"ttt": RESERVED_TAG}, "reserved target transfer tag"),
            ({"itt": 99}, "nothing is under way"),
        ],
    )
    def test_an_r2t_that_cannot_be_meant_ends_the_connection(self, changes: dict[str, int], complaint: str) -> None:
        peer = FullFeatureTarget(initial_r2t=True, immediate_data=False)
        peer.write(BLOCKS)
        (command,) = peer.sent()
        r2t = R2T(itt=command.itt, ttt=7, stat_sn=peer.stat_sn, max_cmd_sn=200, desired_length=4096)
        peer.say(replace(r2t, **changes))
        assert complaint in why(peer)

    def test_a_command_that_needs_an_ahs_is_refused_here(self) -> None:
        peer = FullFeatureTarget()
        with pytest.raises(LocalProtocolError, match="AHS"):
            peer.submit(ScsiRequest(bytes(32), 0, 0, b""))
        with pytest.raises(LocalProtocolError, match="AHS"):
            peer.submit(ScsiRequest(bytes(16), 0, 512, bytes(512)))


class TestWindow:
    def test_commands_beyond_the_window_wait_in_order(self) -> None:
        peer = FullFeatureTarget(window=2)
        for lba in range(4):
            peer.read(lba=lba)
        commands = peer.sent()
        assert [command.cdb for command in commands] == [scsi.read(0, 8), scsi.read(1, 8)]
        assert peer.connection.waiting == 2
        peer.max_cmd_sn += 1
        peer.say(peer.data_in(commands[0], BLOCKS))
        assert [command.cdb for command in peer.sent()] == [scsi.read(2, 8)]

    def test_at_most_max_pending_are_outstanding(self) -> None:
        peer = FullFeatureTarget(max_pending=1)
        peer.read()
        peer.read()
        (command,) = peer.sent()
        assert (peer.connection.outstanding, peer.connection.waiting) == (1, 1)
        peer.say(peer.data_in(command, BLOCKS))
        assert len(peer.sent()) == 1

    def test_a_window_opened_by_a_nop_in_lets_commands_go(self) -> None:
        peer = FullFeatureTarget(window=0)
        peer.read()
        assert peer.sent() == []
        peer.say(NopIn(stat_sn=peer.stat_sn, exp_cmd_sn=FIRST_CMD_SN, max_cmd_sn=FIRST_CMD_SN))
        assert [pdu.cmd_sn for pdu in peer.sent()] == [FIRST_CMD_SN]

    def test_numbers_and_tags_are_not_used_twice(self) -> None:
        peer = FullFeatureTarget()
        for _ in range(5):
            peer.read()
        commands = peer.sent()
        assert [command.cmd_sn for command in commands] == [FIRST_CMD_SN + n for n in range(5)]
        assert len({command.itt for command in commands}) == 5

    def test_answers_to_what_arrives_together_leave_together(self) -> None:
        peer = FullFeatureTarget(window=2)
        for lba in range(4):
            peer.read(lba=lba)
        first, second = peer.sent()
        peer.max_cmd_sn += 2
        peer.say(peer.data_in(first, BLOCKS), peer.data_in(second, BLOCKS))
        assert len(peer.sent()) == 2

    def test_what_was_under_way_is_handed_over_in_order(self) -> None:
        peer = FullFeatureTarget(window=2)
        tasks = [peer.read(lba=lba) for lba in range(4)]
        peer.connection.end("enough")
        assert peer.connection.abandon() == tasks
        assert not any(task.sent for task in tasks)
        assert why(peer) == "enough"


class TestPings:
    def test_the_targets_ping_is_answered_with_its_tag(self) -> None:
        peer = FullFeatureTarget()
        peer.say(NopIn(lun=5, ttt=42, stat_sn=peer.stat_sn, exp_cmd_sn=FIRST_CMD_SN, max_cmd_sn=200))
        assert peer.sent() == [
            NopOut(lun=5, itt=RESERVED_TAG, ttt=42, cmd_sn=FIRST_CMD_SN, exp_stat_sn=FIRST_STAT_SN, immediate=True)
        ]

    def test_a_ping_of_ours_is_immediate_and_one_at_a_time(self) -> None:
        peer = FullFeatureTarget()
        peer.connection.ping()
        peer.connection.ping()
        (ping,) = peer.sent()
        assert (ping.immediate, ping.cmd_sn, ping.ttt) == (True, FIRST_CMD_SN, RESERVED_TAG)
        peer.say(peer.numbered(NopIn(itt=ping.itt)))
        peer.connection.ping()
        assert peer.sent()[0].exp_stat_sn == FIRST_STAT_SN + 1

    def test_after_the_logout_request_nothing_more_is_asked(self) -> None:
        peer = FullFeatureTarget()
        peer.connection.log_out()
        peer.connection.ping()
        assert [type(pdu) for pdu in peer.sent()] == [LogoutRequest]

    def test_an_answer_to_no_ping_ends_the_connection(self) -> None:
        peer = FullFeatureTarget()
        peer.say(peer.numbered(NopIn(itt=3)))
        assert "no ping is out" in why(peer)


class TestTaskManagement:
    def test_abort_task_names_the_task_and_completes_it_when_confirmed(self) -> None:
        peer = FullFeatureTarget()
        task = peer.read()
        (command,) = peer.sent()
        answers: list[TmfResult] = []
        peer.connection.abort(task, CompletionKind.TIMED_OUT, answers.append)
        (request,) = peer.sent()
        assert request == TmfRequest(
            function=TmfFunction.ABORT_TASK,
            itt=2,
            referenced_task_tag=command.itt,
            ref_cmd_sn=command.cmd_sn,
            cmd_sn=FIRST_CMD_SN + 1,
            exp_stat_sn=FIRST_STAT_SN,
        )
        assert peer.connection.oldest() is None
        peer.say(peer.numbered(TmfResponse(itt=request.itt)))
        assert answers == [TmfResult.FUNCTION_COMPLETE]
        assert [completion.kind for completion in peer.completions] == [CompletionKind.TIMED_OUT]

    def test_a_task_may_still_complete_before_its_abort_is_answered(self) -> None:
        peer = FullFeatureTarget()
        task = peer.read()
        (command,) = peer.sent()
        answers: list[TmfResult] = []
        peer.connection.abort(task, CompletionKind.TIMED_OUT, answers.append)
        (request,) = peer.sent()
        does_not_exist = TmfResponse(itt=request.itt, response=TmfResult.TASK_DOES_NOT_EXIST)
        peer.say(peer.data_in(command, BLOCKS), peer.numbered(does_not_exist))
        assert [completion.kind for completion in peer.completions] == [CompletionKind.COMPLETED]
        assert answers == [TmfResult.TASK_DOES_NOT_EXIST]

    def test_a_refused_abort_leaves_the_task_alone(self) -> None:
        peer = FullFeatureTarget()
        task = peer.read()
        peer.sent()
        answers: list[TmfResult] = []
        peer.connection.abort(task, CompletionKind.TIMED_OUT, answers.append)
        (request,) = peer.sent()
        peer.say(peer.numbered(TmfResponse(itt=request.itt, response=TmfResult.FUNCTION_NOT_SUPPORTED)))
        assert peer.completions == []
        assert peer.connection.oldest() is task

    def test_a_task_that_was_never_sent_needs_no_word_to_the_target(self) -> None:
        peer = FullFeatureTarget(window=0)
        task = peer.read()
        answers: list[TmfResult] = []
        peer.connection.abort(task, CompletionKind.ABORTED, answers.append)
        assert peer.sent() == []
        assert peer.completions[0].kind is CompletionKind.ABORTED
        assert len(answers) == 1

    def test_functions_go_out_one_at_a_time(self) -> None:
        peer = FullFeatureTarget()
        tasks = [peer.read(), peer.read()]
        peer.sent()
        for task in tasks:
            peer.connection.abort(task, CompletionKind.ABORTED, lambda result: None)
        (first,) = peer.sent()
        peer.say(peer.numbered(TmfResponse(itt=first.itt)))
        (second,) = peer.sent()
        assert second.referenced_task_tag == tasks[1].itt

    def test_a_reset_sweeps_away_what_was_sent_to_that_unit_before_it(self) -> None:
        peer = FullFeatureTarget()
        peer.submit(ScsiRequest(scsi.read(0, 1), 0, 512, b""))
        peer.submit(ScsiRequest(scsi.read(0, 1), 3, 512, b""))
        peer.sent()
        peer.connection.reset_lun(0, lambda result: None)
        peer.submit(ScsiRequest(scsi.read(0, 1), 0, 512, b""))
        request = peer.sent()[0]
        peer.say(peer.numbered(TmfResponse(itt=request.itt)))
        assert [completion.kind for completion in peer.completions] == [CompletionKind.BUS_RESET]
        assert peer.connection.outstanding == 2


class TestEnds:
    def test_logout_stops_commands_and_ends_with_its_answer(self) -> None:
        peer = FullFeatureTarget()
        peer.connection.log_out()
        peer.read()
        (request,) = peer.sent()
        assert isinstance(request, LogoutRequest)
        assert (request.reason, request.cmd_sn) == (0, FIRST_CMD_SN)
        peer.say(peer.numbered(LogoutResponse(itt=request.itt)))
        assert peer.events == [LoggedOut(LogoutResult.CLOSED)]
        assert peer.connection.clean

    def test_a_logout_request_of_the_target_is_passed_on_and_holds_commands_back(self) -> None:
        peer = FullFeatureTarget()
        peer.say(peer.numbered(AsyncMessage(event=AsyncEvent.LOGOUT_REQUEST, param3=10)))
        assert peer.events == [LogoutRequested(10)]
        peer.read()
        assert peer.sent() == []

    @pytest.mark.parametrize("event", [AsyncEvent.CONNECTION_DROP, AsyncEvent.SESSION_DROP])
    def test_an_announced_drop_ends_it_with_the_pause_asked_for(self, event: AsyncEvent) -> None:
        peer = FullFeatureTarget()
        peer.say(peer.numbered(AsyncMessage(event=event, param2=7)))
        (ended,) = peer.events
        assert isinstance(ended, ConnectionEnded)
        assert ended.wait_s == 7

    def test_news_of_the_device_is_only_noticed(self) -> None:
        peer = FullFeatureTarget()
        peer.say(peer.numbered(AsyncMessage(event=AsyncEvent.SCSI)), peer.numbered(AsyncMessage(event=250)))
        assert all(isinstance(event, Noticed) for event in peer.events)
        assert len(peer.events) == 2

    def test_a_command_refused_before_a_logout_waits_for_the_next_connection(self) -> None:
        peer = FullFeatureTarget()
        tasks = [peer.read(lba=0), peer.read(lba=1)]
        commands = peer.sent()
        peer.say(peer.numbered(AsyncMessage(event=AsyncEvent.LOGOUT_REQUEST, param3=10)))
        tasks.append(peer.read(lba=2))
        for command in commands:
            header = encode(command)[:48]
            peer.say(peer.numbered(Reject(reason=RejectReason.WAITING_FOR_LOGOUT, data=header)))
        assert peer.connection.outstanding == 0
        assert peer.connection.abandon() == tasks

    def test_any_other_reject_ends_it(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        peer.say(peer.numbered(Reject(reason=RejectReason.INVALID_PDU_FIELD, data=encode(command)[:48])))
        assert why(peer) == "the target rejected a SCSI_COMMAND of this initiator: invalid pdu field"

    def test_a_login_response_has_no_place_here(self) -> None:
        peer = FullFeatureTarget()
        peer.say(LoginResponse())
        assert "LOGIN_RESPONSE has no place" in why(peer)

    def test_a_damaged_data_segment_ends_it(self) -> None:
        peer = FullFeatureTarget(data_digest=True, header_digest=True)
        peer.read()
        (command,) = peer.sent()
        wire = bytearray(encode(peer.data_in(command, BLOCKS), True, True))
        wire[100] ^= 1
        peer.connection.receive(bytes(wire))
        assert "data digest error" in why(peer)

    def test_a_fin_between_two_pdus_and_one_inside_a_pdu(self) -> None:
        peer = FullFeatureTarget()
        peer.connection.receive_eof()
        assert why(peer) == "the target closed the connection"
        peer = FullFeatureTarget()
        peer.connection.receive(bytes(20))
        peer.connection.receive_eof()
        assert "ended inside a PDU" in why(peer)

    def test_nothing_is_heard_after_the_end(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        answer = encode(peer.data_in(command, BLOCKS))
        peer.connection.end("first")
        peer.connection.end("second")
        peer.connection.receive(answer)
        assert why(peer) == "first"
        assert peer.completions == []

    def test_an_end_in_the_middle_of_a_batch_stops_the_rest(self) -> None:
        peer = FullFeatureTarget()
        peer.read()
        (command,) = peer.sent()
        drop = peer.numbered(AsyncMessage(event=AsyncEvent.CONNECTION_DROP))
        peer.say(drop, peer.data_in(command, BLOCKS))
        assert peer.completions == []
