"""Recovery within a command: whatever the link does to its data, it ends whole, and is written once (7.1.4.1, 7.8).

The write's Data-Out PDUs are damaged in the data (the digest says so), in the header (nothing of the PDU counts), or
left alone; the initiator answers each R2T and otherwise only lets time pass. The read's Data-In PDUs are lost on the
way and asked for by SNACK.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iscsi.constants import RESERVED_TAG, RejectReason, ScsiStatus
from iscsi.pdu import R2T, DataIn, DataOut, Pdu, Reject, ScsiResponse, SnackRequest
from iscsi.transfer import DataOutPlan, data_out_run
from target.config import Limits
from target.snack import SnackType
from tests.support.array import BLOCK, Peer, disk_bytes, fill_disk, logged_in, make_group

LIMITS = Limits(max_burst_length=3072, first_burst_length=2048, max_recv_data_segment_length=512)


class Fate(Enum):
    """What becomes of one PDU."""

    SOUND = auto()
    DATA_DAMAGED = auto()
    HEADER_DAMAGED = auto()


FATES = st.lists(st.sampled_from((Fate.SOUND, Fate.SOUND, Fate.DATA_DAMAGED, Fate.HEADER_DAMAGED)), max_size=30)
"""Of the first PDUs; those after them arrive."""


def on_the_wire(peer: Peer, pdu: DataOut, fate: Fate) -> bytes:
    wire = bytearray(peer.bytes_of(pdu))
    if fate is Fate.DATA_DAMAGED:
        wire[60] ^= 0x40
    elif fate is Fate.HEADER_DAMAGED:
        wire[38] ^= 0x01  # DataSN
    return bytes(wire)


@settings(deadline=None, max_examples=80)
@given(
    blocks=st.integers(1, 24),
    fates=FATES,
    login=st.fixed_dictionaries(
        {
            "initial_r2t": st.booleans(),
            "immediate_data": st.booleans(),
            "data_pdu_in_order": st.booleans(),
            "data_sequence_in_order": st.booleans(),
            "max_outstanding_r2t": st.integers(1, 3),
        }
    ),
    data=st.data(),
)
def test_a_write_over_a_bad_link(blocks: int, fates: list[Fate], login: dict[str, Any], data: st.DataObject) -> None:
    group = make_group(limits=LIMITS)
    peer = logged_in(
        group,
        error_recovery_level=1,
        header_digest=("CRC32C",),
        data_digest=("CRC32C",),
        max_burst_length=3072,
        first_burst_length=2048,
        **login,
    )
    params = peer.params
    assert params is not None
    content = bytes(range(256)) * (blocks * BLOCK // 256)
    plan = DataOutPlan.of(len(content), params)
    command = peer.write_command(0, blocks, final=plan.final, data=content[: plan.immediate])
    left, rejected = deque(fates), 0

    def send(run: list[DataOut]) -> list[Pdu]:
        nonlocal rejected
        if not params.data_pdu_in_order and len(run) > 1:
            run = [
                # the F bit goes with the last to leave, DataSN with the order of leaving
                DataOut(**{**_fields(pdu), "data_sn": number, "final": number == len(run) - 1})
                for number, pdu in enumerate(data.draw(st.permutations(run)))
            ]
        fated = [(pdu, left.popleft() if left else Fate.SOUND) for pdu in run]
        rejected += sum(fate is Fate.DATA_DAMAGED for _, fate in fated)
        return peer.send_bytes(b"".join(on_the_wire(peer, pdu, fate) for pdu, fate in fated))

    def sequence(offset: int, length: int, ttt: int) -> list[DataOut]:
        return list(
            data_out_run(content, offset, length, params=params, lun=0, itt=command.itt, ttt=ttt, exp_stat_sn=0)
        )

    answers = deque(peer.send(command))
    if plan.unsolicited:
        answers += send(sequence(plan.immediate, plan.unsolicited, RESERVED_TAG))
    responses: list[ScsiResponse] = []
    for _ in range(400):
        if not answers:
            if responses:
                break
            answers += peer.pass_time(6)
            continue
        answer = answers.popleft()
        if isinstance(answer, R2T):
            answers += send(sequence(answer.buffer_offset, answer.desired_length, answer.ttt))
        elif isinstance(answer, Reject):
            assert answer.reason == RejectReason.DATA_DIGEST_ERROR
            rejected -= 1
        else:
            assert isinstance(answer, ScsiResponse), answer
            responses.append(answer)
    (response,) = responses
    assert response.status == ScsiStatus.GOOD
    assert rejected == 0, "each PDU with damaged data is rejected, none other is"
    assert disk_bytes(group, 0, len(content)) == content
    assert peer.connection.writes == 1
    assert not peer.connection.closing


def _fields(pdu: DataOut) -> dict[str, Any]:
    return {field.name: getattr(pdu, field.name) for field in DataOut.TABLE} | {"data": pdu.data}


@settings(deadline=None, max_examples=60)
@given(blocks=st.integers(1, 24), lost=st.sets(st.integers(0, 30)), second=st.sets(st.integers(0, 30)))
def test_a_read_over_a_bad_link(blocks: int, lost: set[int], second: set[int]) -> None:
    """SNACK by SNACK, one for each hole; the status comes again with the PDU that carried it."""
    group = make_group(limits=LIMITS)
    content = bytes(range(256)) * (blocks * BLOCK // 256)
    fill_disk(group, 0, content)
    peer = logged_in(
        group, error_recovery_level=1, max_recv_data_segment_length=512, max_burst_length=3072, first_burst_length=2048
    )
    command = peer.read_command(0, blocks)
    sent = [pdu for pdu in peer.send(command) if isinstance(pdu, DataIn)]
    had = {pdu.data_sn: pdu for pdu in sent if pdu.data_sn not in lost}
    for missing in sorted(lost & {pdu.data_sn for pdu in sent}):
        request = SnackRequest(type=SnackType.DATA_OR_R2T, itt=command.itt, beg_run=missing, run_length=1)
        if missing in second:
            peer.send(request)  # and the replica is lost as well
        (again,) = peer.send(request)
        assert isinstance(again, DataIn)
        had[again.data_sn] = again
    assert b"".join(had[number].data for number in range(len(sent))) == content
    assert [had[number] for number in range(len(sent))] == sent
