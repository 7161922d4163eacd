"""One connection's CmdSN and StatSN: order, window, duplicates, immediate PDUs (RFC 7143 4.2.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iscsi import scsi
from iscsi.pdu import (
    DataIn,
    LogoutRequest,
    NopIn,
    NopOut,
    Pdu,
    ScsiResponse,
    SnackRequest,
    TextRequest,
    TmfRequest,
)
from target.config import Limits
from tests.support.array import (
    BLOCK,
    Peer,
    logged_in,
    make_group,
)


def window(pdu: Pdu) -> tuple[int, int]:
    """ExpCmdSN and MaxCmdSN of an answer."""
    assert isinstance(pdu, ScsiResponse | NopIn | DataIn), pdu
    return pdu.exp_cmd_sn, pdu.max_cmd_sn


def test_the_first_command_bears_the_cmd_sn_of_the_login() -> None:
    peer = Peer(make_group())
    peer.login()
    assert (peer.exp_cmd_sn, peer.max_cmd_sn) == (100, 227)
    (answer,) = peer.send(peer.command(scsi.test_unit_ready()))
    assert window(answer) == (101, 228)


def test_commands_out_of_order_wait_for_their_turn() -> None:
    peer = logged_in(make_group())
    first, second, third = (peer.read_command(lba, 1) for lba in range(3))
    assert peer.send(third) == []
    assert peer.send(second) == []
    answers = peer.send(first)
    assert [answer.itt for answer in answers if isinstance(answer, DataIn)] == [first.itt, second.itt, third.itt]


def test_a_duplicate_is_ignored() -> None:
    peer = logged_in(make_group())
    command = peer.read_command(0, 1)
    assert len(peer.send(command)) == 1
    assert peer.send(command) == []


def test_a_duplicate_of_a_command_that_still_waits_is_ignored() -> None:
    peer = logged_in(make_group())
    first, second = peer.read_command(0, 1), peer.read_command(1, 1)
    assert peer.send(second, replace(second, itt=999)) == []
    assert [answer.itt for answer in peer.send(first)] == [first.itt, second.itt]  # type: ignore[attr-defined]


@pytest.mark.parametrize("distance", [128, 129, 1 << 20, -1, -100])
def test_a_cmd_sn_outside_the_window_is_ignored(distance: int) -> None:
    peer = logged_in(make_group())
    assert peer.send(peer.read_command(0, 1, cmd_sn=(peer.exp_cmd_sn + distance) & 0xFFFFFFFF)) == []
    assert not peer.connection.closing
    assert len(peer.send(replace(peer.read_command(0, 1), cmd_sn=peer.exp_cmd_sn))) == 1


def test_the_last_cmd_sn_of_the_window_is_taken() -> None:
    peer = logged_in(make_group(limits=Limits(command_window=4)))
    start = peer.cmd_sn
    commands = [peer.read_command(0, 1) for _ in range(4)]
    assert commands[-1].cmd_sn == peer.max_cmd_sn == start + 3
    assert peer.send(*reversed(commands[1:])) == []
    assert len(peer.send(commands[0])) == 4


def test_cmd_sn_runs_through_zero() -> None:
    peer = Peer(make_group())
    peer.cmd_sn = 0xFFFFFFFE
    peer.login()
    for exp in (0xFFFFFFFF, 0, 1):
        (answer,) = peer.send(peer.command(scsi.test_unit_ready()))
        assert window(answer) == (exp, (exp + 127) & 0xFFFFFFFF)


def test_the_window_closes_while_writes_wait_for_their_data() -> None:
    peer = logged_in(make_group(limits=Limits(command_window=2)), initial_r2t=True, immediate_data=False)
    writes = [peer.write_command(lba, 1) for lba in range(2)]
    first, second = peer.send(*writes)
    assert (first.max_cmd_sn, second.max_cmd_sn) == (peer.cmd_sn - 1, peer.cmd_sn - 1)  # type: ignore[attr-defined]
    (answer,) = peer.answer_r2t(second, b"x" * BLOCK)  # type: ignore[arg-type]
    assert isinstance(answer, ScsiResponse)
    assert answer.max_cmd_sn == peer.cmd_sn


def test_immediate_pdus_do_not_advance_exp_cmd_sn() -> None:
    """libiscsi spins for ever at a target that does, so this is worth a test of its own."""
    peer = logged_in(make_group())
    before = (peer.exp_cmd_sn, peer.max_cmd_sn)
    (ping,) = peer.send(NopOut(itt=7, cmd_sn=peer.cmd_sn))
    assert window(ping) == before
    (ready,) = peer.send(peer.command(scsi.test_unit_ready(), immediate=True))
    assert window(ready) == before
    assert len(peer.send(peer.read_command(0, 1))) == 1


def test_stat_sn_runs_through_all_kinds_of_answers() -> None:
    """`Peer` checks every number; here are all the kinds in one stretch, and an R2T that shows it without using it."""
    peer = logged_in(make_group(), initial_r2t=True, immediate_data=False, task_reporting=("FastAbort",))
    answers = peer.send(
        peer.read_command(0, 1),
        NopOut(itt=7, cmd_sn=peer.cmd_sn),
        SnackRequest(itt=8),
        peer.write_command(0, 1),
        TmfRequest(immediate=True, function=5, itt=9, cmd_sn=peer.cmd_sn),
        TextRequest(immediate=True, itt=10, cmd_sn=peer.cmd_sn),
        LogoutRequest(immediate=True, itt=11, cmd_sn=peer.cmd_sn),
    )
    assert [type(answer).__name__ for answer in answers] == [
        "DataIn",
        "NopIn",
        "Reject",
        "R2T",
        "TmfResponse",
        "TextResponse",
        "LogoutResponse",
    ]


def test_an_early_tgt_filled_in_no_numbers_in_its_r2ts() -> None:
    """The defect is the R2Ts' alone (tgt a0f9bb5)."""
    peer = logged_in(make_group(r2t_without_numbers=True), initial_r2t=True, immediate_data=False)
    r2t, response = (*peer.send(peer.write_command(0, 1)), *peer.send(peer.read_command(1, 1)))
    assert (type(r2t).__name__, r2t.exp_cmd_sn, r2t.max_cmd_sn) == ("R2T", 0, 0)
    assert response.exp_cmd_sn == peer.cmd_sn
