"""The data of a write at the target, example by example: what is asked for, what counts as lost, what as wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iscsi.constants import RESERVED_TAG
from iscsi.negotiation import SessionParameters
from iscsi.pdu import DataOut
from iscsi.sense import NOT_ENOUGH_UNSOLICITED_DATA, PROTOCOL_CRC_ERROR, UNEXPECTED_UNSOLICITED_DATA, Sense
from iscsi.write_buffer import MAX_RECOVERIES, WriteBuffer
from tests.support.parameters import parameters


def asked(buffer: WriteBuffer, ttt: int, params: SessionParameters) -> tuple[int, int, int, int] | None:
    """The next R2T: its tag, R2TSN, offset and length."""
    burst = buffer.next_burst(ttt, params)
    return burst and (burst.ttt, burst.r2t_sn, burst.offset, burst.length)


# -- as it should be ---------------------------------------------------------------------------------------------------


def test_a_write_that_fits_the_command() -> None:
    buffer = WriteBuffer(4, b"data", more_unsolicited=False, params=parameters())
    assert buffer.complete
    assert asked(buffer, 1, parameters()) is None
    assert buffer.content() == b"data"


def test_a_write_of_nothing() -> None:
    buffer = WriteBuffer(0, b"", more_unsolicited=False, params=parameters())
    assert buffer.complete
    assert not buffer.data_due
    assert buffer.content() == b""


def test_immediate_then_unsolicited_then_two_r2ts() -> None:
    params = parameters(initial_r2t=False, first_burst_length=6, max_burst_length=8, max_outstanding_r2t=2)
    buffer = WriteBuffer(20, b"0123", more_unsolicited=True, params=params)
    assert asked(buffer, 1, params) is None, "the announced data comes first"
    buffer.take(DataOut(buffer_offset=4, data=b"45"))
    assert not buffer.data_due
    assert asked(buffer, 1, params) == (1, 0, 6, 8)
    assert asked(buffer, 2, params) == (2, 1, 14, 6)
    assert asked(buffer, 3, params) is None, "everything has been asked for"
    buffer.take(DataOut(ttt=1, data_sn=0, buffer_offset=6, data=b"678", final=False))
    buffer.take(DataOut(ttt=1, data_sn=1, buffer_offset=9, data=b"9abcd"))
    assert not buffer.complete
    buffer.take(DataOut(ttt=2, data_sn=0, buffer_offset=14, data=b"efghij"))
    assert buffer.complete
    assert buffer.content() == b"0123456789abcdefghij"


def test_max_outstanding_r2t() -> None:
    params = parameters(max_burst_length=8, max_outstanding_r2t=1)
    buffer = WriteBuffer(16, b"", more_unsolicited=False, params=params)
    assert asked(buffer, 1, params) == (1, 0, 0, 8)
    assert asked(buffer, 2, params) is None
    buffer.take(DataOut(ttt=1, data=bytes(8)))
    assert asked(buffer, 2, params) == (2, 1, 8, 8)


def test_r2ts_ask_for_no_more_than_the_command_can_use() -> None:
    """A WRITE of 6 bytes in a command that expects to send 16: the other 10 are residual."""
    params = parameters(max_burst_length=4, max_outstanding_r2t=4)
    buffer = WriteBuffer(16, b"", more_unsolicited=False, params=params, wanted=6)
    assert [asked(buffer, ttt, params) for ttt in (5, 6, 7)] == [(5, 0, 0, 4), (6, 1, 4, 2), None]
    buffer.take(DataOut(ttt=5, buffer_offset=0, data=b"abcd"))
    buffer.take(DataOut(ttt=6, buffer_offset=4, data=b"ef"))
    assert buffer.complete
    assert buffer.content() == b"abcdef"


def test_announced_data_comes_even_where_nobody_wants_it() -> None:
    params = parameters(initial_r2t=False, first_burst_length=6)
    buffer = WriteBuffer(16, b"ab", more_unsolicited=True, params=params, wanted=0)
    assert not buffer.complete
    buffer.take(DataOut(buffer_offset=2, data=b"cdef"))
    assert buffer.complete
    assert asked(buffer, 1, params) is None


@pytest.mark.parametrize("wanted", [16, 17, 1 << 32])
def test_wanting_more_than_is_expected_asks_for_what_is_expected(wanted: int) -> None:
    buffer = WriteBuffer(16, b"", more_unsolicited=False, params=parameters(), wanted=wanted)
    assert asked(buffer, 1, parameters()) == (1, 0, 0, 16)


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "immediate", "more", "fault"),
    [
        ({"immediate_data": False}, b"x", False, UNEXPECTED_UNSOLICITED_DATA),
        ({"initial_r2t": True}, b"", True, UNEXPECTED_UNSOLICITED_DATA),
        ({"first_burst_length": 4}, b"12345", False, NOT_ENOUGH_UNSOLICITED_DATA),
        ({}, b"x" * 17, False, NOT_ENOUGH_UNSOLICITED_DATA),
    ],
)
def test_a_command_that_brings_what_it_may_not(
    changes: dict[str, object], immediate: bytes, more: bool, fault: Sense
) -> None:
    """What it announced beside that is waited for, nothing more is asked for."""
    params = parameters(**changes)
    buffer = WriteBuffer(16, immediate, more, params)
    assert buffer.fault == fault
    assert buffer.complete is not more
    assert buffer.next_burst(1, params) is None
    if more:
        buffer.take(DataOut(final=False, data=b"abc"))
        assert not buffer.complete
        buffer.take(DataOut(final=True, data_sn=1, buffer_offset=3, data=b"abc"))
    assert buffer.complete
    assert buffer.content() == b""


UNSOLICITED = DataOut(final=False, data_sn=0, buffer_offset=2, data=b"cd")
SOLICITED = DataOut(final=False, ttt=5, data_sn=0, buffer_offset=6, data=b"gh")


@pytest.mark.parametrize(
    ("pdu", "fault"),
    [
        (replace(UNSOLICITED, data_sn=1), PROTOCOL_CRC_ERROR),
        (replace(UNSOLICITED, data_sn=0xFFFFFFFF), PROTOCOL_CRC_ERROR),
        (replace(UNSOLICITED, buffer_offset=3), NOT_ENOUGH_UNSOLICITED_DATA),
        (replace(UNSOLICITED, buffer_offset=1), NOT_ENOUGH_UNSOLICITED_DATA),
        (replace(UNSOLICITED, data=b"cdefg"), NOT_ENOUGH_UNSOLICITED_DATA),
        (replace(UNSOLICITED, data=b"cdef"), NOT_ENOUGH_UNSOLICITED_DATA),
        (replace(UNSOLICITED, final=True), NOT_ENOUGH_UNSOLICITED_DATA),
    ],
)
def test_unsolicited_data_that_is_not_what_was_announced(pdu: DataOut, fault: Sense) -> None:
    """Announced: bytes 2 to 6 (FirstBurstLength) of 16. The F bit ends the wait."""
    params = parameters(initial_r2t=False, first_burst_length=6)
    buffer = WriteBuffer(16, b"ab", more_unsolicited=True, params=params)
    assert buffer.take(pdu)
    assert buffer.fault == fault
    if not pdu.final:
        assert not buffer.complete
        buffer.take(DataOut(final=True, data_sn=1, buffer_offset=4, data=b"ef"))
    assert buffer.complete


@pytest.mark.parametrize(
    ("pdu", "fault"),
    [
        (replace(SOLICITED, ttt=RESERVED_TAG), UNEXPECTED_UNSOLICITED_DATA),
        (replace(SOLICITED, ttt=6, buffer_offset=10, data=b"k"), NOT_ENOUGH_UNSOLICITED_DATA),
        (replace(SOLICITED, data_sn=1), PROTOCOL_CRC_ERROR),
        (replace(SOLICITED, buffer_offset=7), NOT_ENOUGH_UNSOLICITED_DATA),
        (replace(SOLICITED, data=b"ghijk"), NOT_ENOUGH_UNSOLICITED_DATA),
        (replace(SOLICITED, final=True), NOT_ENOUGH_UNSOLICITED_DATA),
    ],
)
def test_solicited_data_that_is_not_what_was_asked_for(pdu: DataOut, fault: Sense) -> None:
    """Asked for: bytes 6 to 10 with tag 5, then 10 to 12 with tag 6. All that is due is waited for."""
    params = parameters(max_burst_length=4, max_outstanding_r2t=2)
    buffer = WriteBuffer(12, b"abcdef", more_unsolicited=False, params=params)
    assert [asked(buffer, ttt, params) for ttt in (5, 6)] == [(5, 0, 6, 4), (6, 1, 10, 2)]
    assert buffer.take(pdu)
    assert buffer.fault == fault
    while buffer.open_bursts:
        assert not buffer.complete
        buffer.take(DataOut(ttt=buffer.open_bursts[0].ttt, data=b"??"))
    assert buffer.complete


def test_data_nobody_asked_for() -> None:
    buffer = WriteBuffer(16, b"", more_unsolicited=False, params=parameters())
    assert not buffer.take(DataOut(ttt=1, data=b"x")), "a tag that is not open says nothing about the task"
    assert buffer.fault is None
    assert buffer.take(DataOut(data=b"x"))
    assert buffer.fault == UNEXPECTED_UNSOLICITED_DATA
    assert buffer.complete


def test_data_nobody_asked_for_is_waited_for_to_its_end() -> None:
    buffer = WriteBuffer(16, b"", more_unsolicited=False, params=parameters())
    buffer.take(DataOut(final=False, data=b"x"))
    assert not buffer.complete
    buffer.take(DataOut(final=True, data_sn=1, data=b"x"))
    assert buffer.complete


def test_data_that_does_not_end_is_not_waited_for_for_ever() -> None:
    buffer = WriteBuffer(4, b"", more_unsolicited=False, params=parameters())
    buffer.next_burst(1, parameters())
    buffer.take(DataOut(final=False, ttt=1, data=b"ab"))
    buffer.end_stalled()
    assert (buffer.complete, buffer.fault) == (True, PROTOCOL_CRC_ERROR)


# -- other orders ------------------------------------------------------------------------------------------------------


def test_pdus_in_any_order_where_that_was_agreed_on() -> None:
    params = parameters(data_pdu_in_order=False)
    buffer = WriteBuffer(6, b"", more_unsolicited=False, params=params)
    buffer.next_burst(1, params)
    for data_sn, (offset, data) in enumerate([(4, b"ef"), (0, b"ab"), (2, b"cd")]):
        assert not buffer.complete
        buffer.take(DataOut(ttt=1, final=data_sn == 2, data_sn=data_sn, buffer_offset=offset, data=data))
    assert (buffer.complete, buffer.content()) == (True, b"abcdef")


def test_sequences_in_any_order_where_that_was_agreed_on() -> None:
    params = parameters(data_sequence_in_order=False, max_outstanding_r2t=3, max_burst_length=2)
    buffer = WriteBuffer(6, b"", more_unsolicited=False, params=params)
    for ttt in (1, 2, 3):
        buffer.next_burst(ttt, params)
    for ttt, data in ((3, b"ef"), (1, b"ab"), (2, b"cd")):
        buffer.take(DataOut(ttt=ttt, buffer_offset=2 * ttt - 2, data=data))
    assert (buffer.complete, buffer.content()) == (True, b"abcdef")


def test_a_sequence_in_any_order_has_to_be_whole_all_the_same() -> None:
    params = parameters(data_pdu_in_order=False)
    buffer = WriteBuffer(6, b"", more_unsolicited=False, params=params)
    buffer.next_burst(1, params)
    buffer.take(DataOut(ttt=1, final=False, buffer_offset=4, data=b"ef"))
    buffer.take(DataOut(ttt=1, final=True, data_sn=1, buffer_offset=0, data=b"ab"))
    assert buffer.fault == NOT_ENOUGH_UNSOLICITED_DATA


# -- recovery ----------------------------------------------------------------------------------------------------------

LEVEL_1 = parameters(error_recovery_level=1)


def recovering() -> WriteBuffer:
    """A write of ten bytes that has been asked for, at ErrorRecoveryLevel 1."""
    buffer = WriteBuffer(10, b"", more_unsolicited=False, params=LEVEL_1)
    assert asked(buffer, 1, LEVEL_1) == (1, 0, 0, 10)
    return buffer


def pieces(ttt: int, start: int, end: int) -> list[DataOut]:
    """The answer to an R2T for ``abcdefghij``, two bytes in a PDU."""
    return [
        DataOut(
            ttt=ttt,
            final=at + 2 >= end,
            data_sn=number,
            buffer_offset=at,
            data=b"abcdefghij"[at : min(at + 2, end)],
        )
        for number, at in enumerate(range(start, end, 2))
    ]


@pytest.mark.parametrize(
    ("lost", "again"), [([0], (0, 2)), ([1], (2, 4)), ([1, 2], (2, 6)), ([1, 3], (2, 8)), ([0, 1, 2, 3], (0, 8))]
)
@pytest.mark.parametrize("damaged", [False, True])
def test_what_was_lost_is_asked_for_again_in_one_piece(lost: list[int], again: tuple[int, int], damaged: bool) -> None:
    buffer = recovering()
    for number, pdu in enumerate(pieces(1, 0, 10)):
        if number not in lost:
            buffer.take(pdu)
        elif damaged:
            assert buffer.take_damaged(replace(pdu, data=b"??"))
    assert not buffer.complete
    assert asked(buffer, 2, LEVEL_1) == (2, 1, again[0], again[1] - again[0])
    for pdu in pieces(2, *again):
        buffer.take(pdu)
    assert (buffer.complete, buffer.content()) == (True, b"abcdefghij")


def test_a_damaged_last_pdu_still_ends_its_sequence() -> None:
    buffer = recovering()
    *most, last = pieces(1, 0, 10)
    for pdu in most:
        buffer.take(pdu)
    buffer.take_damaged(last)
    assert asked(buffer, 2, LEVEL_1) == (2, 1, 8, 2)


def test_a_last_pdu_that_never_came_is_asked_for_again_after_a_while() -> None:
    buffer = recovering()
    for pdu in pieces(1, 0, 10)[:-1]:
        buffer.take(pdu)
    buffer.end_stalled()
    assert asked(buffer, 2, LEVEL_1) == (2, 1, 8, 2)
    assert not buffer.take(pieces(1, 0, 10)[-1]), "late: its tag is no longer open"
    buffer.take(replace(pieces(1, 0, 10)[-1], ttt=2, data_sn=0))
    assert (buffer.complete, buffer.content()) == (True, b"abcdefghij")


def test_a_repeat_changes_nothing() -> None:
    buffer = recovering()
    run = pieces(1, 0, 10)
    for pdu in (*run[:3], run[1], *run[3:]):
        buffer.take(pdu)
    assert (buffer.complete, buffer.fault, buffer.content()) == (True, None, b"abcdefghij")


def test_numbers_that_skip_where_no_byte_does_are_not_a_loss() -> None:
    """Else an initiator that numbers wrongly would be asked the same again and again."""
    buffer = recovering()
    for pdu in pieces(1, 0, 10):
        buffer.take(replace(pdu, data_sn=pdu.data_sn + 1))
    assert (buffer.complete, buffer.fault) == (True, PROTOCOL_CRC_ERROR)


def test_a_link_that_loses_everything_is_given_up() -> None:
    buffer = recovering()
    rounds = 0
    while not buffer.complete:
        buffer.end_stalled()
        rounds += buffer.next_burst(2 + rounds, LEVEL_1) is not None
    assert (rounds, buffer.fault) == (MAX_RECOVERIES, PROTOCOL_CRC_ERROR)
