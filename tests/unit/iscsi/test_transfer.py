"""Moving data, example by example: what a write sends unasked, what R2Ts ask for, which deviations are refused."""

from __future__ import annotations

import pytest

from iscsi.constants import RESERVED_TAG
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.pdu import DataIn, DataOut
from iscsi.transfer import (
    DataOutPlan,
    ReadBuffer,
    Residual,
    Segment,
    Unsolicited,
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
        (0, 1 << 41, Residual(overflow=True, underflow=False, count=0xFFFFFFFF)),
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
