"""Moving data, example by example: what a write sends unasked, what R2Ts ask for, which deviations are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iscsi.constants import RESERVED_TAG
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.pdu import DataIn, DataOut
from iscsi.transfer import (
    Burst,
    DataOutPlan,
    ReadBuffer,
    Residual,
    Segment,
    Unsolicited,
    WriteBuffer,
    data_out_run,
    residual,
    segments,
)
from tests.support.parameters import parameters


class TestSegments:
    @pytest.mark.parametrize(
        ("offset", "length", "max_segment", "max_burst", "cut"),
        [
            (0, 0, 4, 8, []),
            (0, 3, 4, 8, [(0, 3, True)]),
            (0, 8, 4, 8, [(0, 4, False), (4, 4, True)]),
            (0, 9, 4, 8, [(0, 4, False), (4, 4, True), (8, 1, True)]),
            (100, 7, 4, 6, [(100, 4, False), (104, 2, True), (106, 1, True)]),
            (0, 5, 8, 2, [(0, 2, True), (2, 2, True), (4, 1, True)]),
        ],
    )
    def test_cutting(
        self, offset: int, length: int, max_segment: int, max_burst: int, cut: list[tuple[int, int, bool]]
    ) -> None:
        assert list(segments(offset, length, max_segment, max_burst)) == [Segment(*part) for part in cut]

    @pytest.mark.parametrize(("max_segment", "max_burst"), [(0, 8), (4, 0), (-1, 8)])
    def test_a_limit_that_would_never_end(self, max_segment: int, max_burst: int) -> None:
        with pytest.raises(LocalProtocolError, match="cannot move in segments of"):
            list(segments(0, 1, max_segment, max_burst))


@pytest.mark.parametrize(
    ("expected", "actual", "result"),
    [
        (512, 512, Residual(overflow=False, underflow=False, count=0)),
        (512, 500, Residual(overflow=False, underflow=True, count=12)),
        (512, 0, Residual(overflow=False, underflow=True, count=512)),
        (500, 512, Residual(overflow=True, underflow=False, count=12)),
        (0, 0, Residual(overflow=False, underflow=False, count=0)),
    ],
)
def test_residual(expected: int, actual: int, result: Residual) -> None:
    assert residual(expected, actual) == result


class TestWhatAWriteSendsUnasked:
    """The table of 4.2.5.2, with FirstBurstLength 1000 and a target that takes 600 bytes in a PDU."""

    @pytest.mark.parametrize(
        ("initial_r2t", "immediate_data", "row", "length", "immediate", "unsolicited"),
        [
            (True, False, Unsolicited.NONE, 2000, 0, 0),
            (True, True, Unsolicited.IMMEDIATE, 2000, 600, 0),
            (False, False, Unsolicited.DATA_OUT, 2000, 0, 1000),
            (False, True, Unsolicited.BOTH, 2000, 600, 400),
            (False, True, Unsolicited.BOTH, 700, 600, 100),
            (False, True, Unsolicited.BOTH, 600, 600, 0),
            (False, True, Unsolicited.BOTH, 0, 0, 0),
            (True, True, Unsolicited.IMMEDIATE, 10, 10, 0),
            (False, False, Unsolicited.DATA_OUT, 10, 0, 10),
        ],
    )
    def test_plan(
        self, initial_r2t: bool, immediate_data: bool, row: Unsolicited, length: int, immediate: int, unsolicited: int
    ) -> None:
        params = parameters(
            initial_r2t=initial_r2t,
            immediate_data=immediate_data,
            first_burst_length=1000,
            peer_max_recv_data_segment_length=600,
        )
        plan = DataOutPlan.of(length, params)
        assert Unsolicited.of(params) is row
        assert (plan.immediate, plan.unsolicited) == (immediate, unsolicited)
        assert plan.final is (unsolicited == 0), "F on the command says that no unsolicited Data-Out follows"


class TestDataOutRun:
    def test_the_answer_to_an_r2t(self) -> None:
        data = bytes(range(200))
        params = parameters(peer_max_recv_data_segment_length=60)
        run = list(data_out_run(data, 40, 130, params=params, lun=1 << 48, itt=7, ttt=9, exp_stat_sn=3))
        common = {"lun": 1 << 48, "itt": 7, "ttt": 9, "exp_stat_sn": 3}
        assert run == [
            DataOut(final=False, data_sn=0, buffer_offset=40, data=data[40:100], **common),
            DataOut(final=False, data_sn=1, buffer_offset=100, data=data[100:160], **common),
            DataOut(final=True, data_sn=2, buffer_offset=160, data=data[160:170], **common),
        ]

    def test_unsolicited_data_names_no_lun(self) -> None:
        """11.7.2: the LUN is there for the target transfer tag's sake."""
        [pdu] = data_out_run(b"data", 0, 4, params=parameters(), lun=1 << 48, itt=7, ttt=RESERVED_TAG, exp_stat_sn=3)
        assert (pdu.lun, pdu.ttt, pdu.final) == (0, RESERVED_TAG, True)

    @pytest.mark.parametrize(("offset", "length"), [(0, 5), (4, 1), (-1, 2)])
    def test_bytes_the_write_does_not_have(self, offset: int, length: int) -> None:
        with pytest.raises(LocalProtocolError, match="not all in a write of 4"):
            list(data_out_run(b"data", offset, length, params=parameters(), lun=0, itt=7, ttt=9, exp_stat_sn=3))


class TestWriteBuffer:
    def test_a_write_that_fits_the_command(self) -> None:
        buffer = WriteBuffer(4, b"data", more_unsolicited=False, params=parameters())
        assert buffer.complete
        assert buffer.next_burst(1, parameters()) is None
        assert buffer.content() == b"data"

    def test_a_write_of_nothing(self) -> None:
        buffer = WriteBuffer(0, b"", more_unsolicited=False, params=parameters())
        assert buffer.complete
        assert not buffer.data_due
        assert buffer.content() == b""

    def test_immediate_then_unsolicited_then_two_r2ts(self) -> None:
        params = parameters(initial_r2t=False, first_burst_length=6, max_burst_length=8, max_outstanding_r2t=2)
        buffer = WriteBuffer(20, b"0123", more_unsolicited=True, params=params)
        assert buffer.next_burst(1, params) is None, "the announced data comes first"
        buffer.take(DataOut(buffer_offset=4, data=b"45"))
        assert not buffer.data_due
        assert buffer.next_burst(1, params) == Burst(ttt=1, r2t_sn=0, offset=6, length=8)
        assert buffer.next_burst(2, params) == Burst(ttt=2, r2t_sn=1, offset=14, length=6)
        assert buffer.next_burst(3, params) is None, "everything has been asked for"
        buffer.take(DataOut(ttt=1, data_sn=0, buffer_offset=6, data=b"678", final=False))
        buffer.take(DataOut(ttt=1, data_sn=1, buffer_offset=9, data=b"9abcd"))
        assert not buffer.complete
        buffer.take(DataOut(ttt=2, data_sn=0, buffer_offset=14, data=b"efghij"))
        assert buffer.complete
        assert buffer.content() == b"0123456789abcdefghij"

    def test_max_outstanding_r2t(self) -> None:
        params = parameters(max_burst_length=8, max_outstanding_r2t=1)
        buffer = WriteBuffer(16, b"", more_unsolicited=False, params=params)
        assert buffer.next_burst(1, params) == Burst(1, 0, 0, 8)
        assert buffer.next_burst(2, params) is None
        buffer.take(DataOut(ttt=1, data=bytes(8)))
        assert buffer.next_burst(2, params) == Burst(2, 1, 8, 8)

    def test_r2ts_ask_for_no_more_than_the_command_can_use(self) -> None:
        """A WRITE of 6 bytes in a command that expects to send 16: the other 10 are residual."""
        params = parameters(max_burst_length=4, max_outstanding_r2t=4)
        buffer = WriteBuffer(16, b"", more_unsolicited=False, params=params, wanted=6)
        assert [buffer.next_burst(ttt, params) for ttt in (5, 6, 7)] == [Burst(5, 0, 0, 4), Burst(6, 1, 4, 2), None]
        buffer.take(DataOut(ttt=5, buffer_offset=0, data=b"abcd"))
        buffer.take(DataOut(ttt=6, buffer_offset=4, data=b"ef"))
        assert buffer.complete
        assert buffer.content() == b"abcdef"

    def test_announced_data_comes_even_where_nobody_wants_it(self) -> None:
        params = parameters(initial_r2t=False, first_burst_length=6)
        buffer = WriteBuffer(16, b"ab", more_unsolicited=True, params=params, wanted=0)
        assert not buffer.complete
        buffer.take(DataOut(buffer_offset=2, data=b"cdef"))
        assert buffer.complete
        assert buffer.next_burst(1, params) is None

    @pytest.mark.parametrize("wanted", [16, 17, 1 << 32])
    def test_wanting_more_than_is_expected_asks_for_what_is_expected(self, wanted: int) -> None:
        buffer = WriteBuffer(16, b"", more_unsolicited=False, params=parameters(), wanted=wanted)
        assert buffer.next_burst(1, parameters()) == Burst(1, 0, 0, 16)

    @pytest.mark.parametrize(
        ("changes", "immediate", "more", "words"),
        [
            ({"immediate_data": False}, b"x", False, "ImmediateData=No"),
            ({"initial_r2t": True}, b"", True, "InitialR2T=Yes"),
            ({"first_burst_length": 4}, b"12345", False, "5 bytes of immediate data; .*FirstBurstLength 4"),
            ({}, b"x" * 17, False, "17 bytes of immediate data; .* expected length 16"),
        ],
    )
    def test_a_command_that_brings_what_it_may_not(
        self, changes: dict[str, object], immediate: bytes, more: bool, words: str
    ) -> None:
        with pytest.raises(RemoteProtocolError, match=words):
            WriteBuffer(16, immediate, more, parameters(**changes))

    UNSOLICITED = DataOut(final=False, data_sn=0, buffer_offset=2, data=b"cd")
    SOLICITED = DataOut(final=False, ttt=5, data_sn=0, buffer_offset=6, data=b"gh")

    @pytest.mark.parametrize(
        ("pdu", "words"),
        [
            (replace(UNSOLICITED, ttt=5), "tag 0x00000005, which is not the one due"),
            (replace(UNSOLICITED, data_sn=1), "DataSN 1 where 0 was due"),
            (replace(UNSOLICITED, buffer_offset=3), "bytes 3 to 5; due is what follows byte 2 up to 6"),
            (replace(UNSOLICITED, buffer_offset=1), "bytes 1 to 3"),
            (replace(UNSOLICITED, data=b"cdefg"), "bytes 2 to 7"),
            (replace(UNSOLICITED, data=b"cdef"), "does not end its sequence at byte 6; it should at 6"),
            (replace(UNSOLICITED, final=True), "ends its sequence at byte 4; it should at 6"),
        ],
    )
    def test_unsolicited_data_that_is_not_what_was_announced(self, pdu: DataOut, words: str) -> None:
        """Announced: bytes 2 to 6 (FirstBurstLength) of 16; a refused PDU leaves the buffer as it was."""
        params = parameters(initial_r2t=False, first_burst_length=6)
        buffer = WriteBuffer(16, b"ab", more_unsolicited=True, params=params)
        with pytest.raises(RemoteProtocolError, match=words):
            buffer.take(pdu)
        buffer.take(self.UNSOLICITED)
        buffer.take(DataOut(data_sn=1, buffer_offset=4, data=b"ef"))
        assert buffer.content() == b"abcdef"

    @pytest.mark.parametrize(
        ("pdu", "words"),
        [
            (replace(SOLICITED, ttt=RESERVED_TAG), "unexpected unsolicited data"),
            (replace(SOLICITED, ttt=6), "tag 0x00000006, which is not the one due"),
            (replace(SOLICITED, data_sn=1), "DataSN 1 where 0 was due"),
            (replace(SOLICITED, buffer_offset=7), "bytes 7 to 9; due is what follows byte 6 up to 10"),
            (replace(SOLICITED, data=b"ghijk"), "bytes 6 to 11"),
            (replace(SOLICITED, final=True), "ends its sequence at byte 8; it should at 10"),
        ],
    )
    def test_solicited_data_that_is_not_what_was_asked_for(self, pdu: DataOut, words: str) -> None:
        """Asked for: bytes 6 to 10 with tag 5, then bytes 10 to 12 with tag 6."""
        params = parameters(max_burst_length=4, max_outstanding_r2t=2)
        buffer = WriteBuffer(12, b"abcdef", more_unsolicited=False, params=params)
        assert [buffer.next_burst(ttt, params) for ttt in (5, 6)] == [Burst(5, 0, 6, 4), Burst(6, 1, 10, 2)]
        with pytest.raises(RemoteProtocolError, match=words):
            buffer.take(pdu)
        buffer.take(self.SOLICITED)
        buffer.take(DataOut(ttt=5, data_sn=1, buffer_offset=8, data=b"ij"))
        buffer.take(DataOut(ttt=6, data_sn=0, buffer_offset=10, data=b"kl"))
        assert buffer.content() == b"abcdefghijkl"

    def test_data_nobody_asked_for(self) -> None:
        buffer = WriteBuffer(16, b"", more_unsolicited=False, params=parameters())
        with pytest.raises(RemoteProtocolError, match="unexpected unsolicited data: none was announced"):
            buffer.take(DataOut(data=b"x"))
        with pytest.raises(RemoteProtocolError, match="not the one due"):
            buffer.take(DataOut(ttt=1, data=b"x"))


class TestReadBuffer:
    def test_in_order(self) -> None:
        buffer = ReadBuffer(8)
        buffer.take(DataIn(final=False, data_sn=0, buffer_offset=0, data=b"0123"))
        buffer.take(DataIn(data_sn=1, buffer_offset=4, data=b"45"))
        assert buffer.content() == b"012345"
        assert (buffer.received, buffer.data_sn) == (6, 2)

    @pytest.mark.parametrize(
        ("pdu", "words"),
        [
            (DataIn(data_sn=0, buffer_offset=4, data=b"4"), "DataSN 0 where 1 was due"),
            (DataIn(data_sn=2, buffer_offset=4, data=b"4"), "DataSN 2 where 1 was due"),
            (DataIn(data_sn=1, buffer_offset=3, data=b"4"), "offset 3 where 4 was due"),
            (DataIn(data_sn=1, buffer_offset=5, data=b"5"), "offset 5 where 4 was due"),
            (DataIn(data_sn=1, buffer_offset=4, data=b"45678"), "past the 8 bytes"),
        ],
    )
    def test_gaps_repeats_and_too_much(self, pdu: DataIn, words: str) -> None:
        buffer = ReadBuffer(8)
        buffer.take(DataIn(final=False, data_sn=0, buffer_offset=0, data=b"0123"))
        with pytest.raises(RemoteProtocolError, match=words):
            buffer.take(pdu)
        assert buffer.content() == b"0123"
