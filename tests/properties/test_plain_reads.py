"""The short way for plain reads gives the answers of the long way, byte for byte, whatever is said in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from iscsi import scsi
from iscsi.constants import RESERVED_TAG
from iscsi.lun import encode_lun
from iscsi.pdu import Pdu, ScsiCommand
from target.config import Limits
from tests.support.array import BLOCK, fill_disk, make_group
from tests.support.conversations import Step, Talker, steps

LIMITS = Limits(command_window=8, max_recv_data_segment_length=1024, output_high_bytes=8 << 10)

LOGINS = st.fixed_dictionaries(
    {
        "initial_r2t": st.booleans(),
        "immediate_data": st.booleans(),
        "max_recv_data_segment_length": st.sampled_from((512, 514, 1536, 8192)),
        "max_burst_length": st.sampled_from((512, 1024, 2050, 16384)),
        "first_burst_length": st.just(512),
    }
)

Twist = tuple[str, Any]
TWISTS: st.SearchStrategy[Twist] = st.one_of(
    st.just(("", None)),
    st.just(("", None)),
    st.just(("", None)),
    st.tuples(st.just("edtl"), st.integers(0, 20 * BLOCK)),
    st.tuples(st.just("cmd_sn"), st.integers(-9, 9)),
    st.tuples(st.just("itt"), st.sampled_from((RESERVED_TAG, 0x777, 1))),
    st.tuples(st.just("immediate"), st.just(True)),
    st.tuples(st.just("attr"), st.integers(0, 7)),
    st.tuples(st.just("cdb"), st.integers(0, 127)),
)
"""What is odd about a read: a field of its PDU, and what to put there; nothing about most."""

READS = st.tuples(
    st.sampled_from((6, 10, 12, 16)),
    st.integers(0, 40) | st.integers(32740, 32770),
    st.integers(0, 20),
    st.sampled_from((0, 0, 0, 1, 2)),
    TWISTS,
)
CONVERSATIONS = st.lists(st.lists(READS, min_size=1, max_size=10) | steps(), min_size=1, max_size=12)


def read_pdu(talker: Talker, width: int, lba: int, blocks: int, lun: int, twist: Twist) -> ScsiCommand:
    """A read, with what is odd about it."""
    name, value = twist
    count = 256 if width == 6 and not blocks else blocks
    command = talker.command(
        scsi.read(lba, count, width=width),
        read=True,
        edtl=count * BLOCK,
        lun=encode_lun(lun),
        immediate=name == "immediate",
    )
    if name == "cmd_sn":
        value += command.cmd_sn
    elif name == "cdb":  # one bit of it is another
        value = (int.from_bytes(command.cdb) ^ 1 << value).to_bytes(16)
    return replace(command, **{name: value}) if name else command


def talker(plainly: bool, login: dict[str, Any]) -> Talker:
    group = make_group(luns=2, limits=LIMITS)
    fill_disk(group, 0, bytes(range(1, 255)) * 100)
    peer = Talker(group).enter(**login)
    peer.connection.reads_plainly = plainly
    return peer


@settings(deadline=None)
@given(LOGINS, CONVERSATIONS)
def test_the_short_way_and_the_long_way_lead_to_the_same_answers(
    login: dict[str, Any], conversation: list[Step | list[tuple[int, int, int, int, Twist]]]
) -> None:
    short, long = talker(True, login), talker(False, login)
    for turn in conversation:
        said: list[list[Pdu]] = []
        for peer in (short, long):
            pdus = peer.pdus_for(turn) if isinstance(turn, Step) else [read_pdu(peer, *each) for each in turn]
            said.append(peer.send(*pdus))
        assert said[0] == said[1]
    one, other = short.connection, long.connection
    event(f"plain reads: {min(one.reads, 3)}")
    assert (one.reads, one.writes, one.stat_sn) == (other.reads, other.writes, other.stat_sn)
    assert (one.closing, one.why_closed) == (other.closing, other.why_closed)
    windows = [
        (each.exp_cmd_sn, each.max_cmd_sn, each.in_use, sorted(each.held)) for each in (one.window, other.window)
    ]
    assert windows[0] == windows[1]
