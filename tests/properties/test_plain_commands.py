"""The short way for plain reads and writes gives the answers of the long way, byte for byte, and leaves the same disk,
whatever is said in between.
"""

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
from tests.support.array import BLOCK, VOLUME, fill_disk, make_group
from tests.support.conversations import Step, Talker, steps

LIMITS = Limits(command_window=8, max_recv_data_segment_length=4096, first_burst_length=4096, output_high_bytes=8 << 10)

BURSTS = st.sampled_from(((512, 512), (1024, 512), (2050, 2048), (16384, 2048)))
LOGINS = st.fixed_dictionaries(
    {
        "initial_r2t": st.booleans(),
        "immediate_data": st.booleans(),
        "header_digest": st.sampled_from((("None",), ("CRC32C",))),
        "data_digest": st.sampled_from((("None",), ("CRC32C",))),
        "max_recv_data_segment_length": st.sampled_from((512, 514, 1536, 8192)),
    }
).flatmap(
    lambda keys: BURSTS.map(lambda lengths: keys | {"max_burst_length": lengths[0], "first_burst_length": lengths[1]})
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
    st.tuples(st.just("data"), st.integers(0, 2050).map(bytes)),
)
"""What is odd about a command: a field of its PDU, and what to put there; nothing about most."""

Command = tuple[bool, int, int, int, int, Twist]
COMMANDS: st.SearchStrategy[Command] = st.tuples(
    st.booleans(),
    st.sampled_from((6, 10, 12, 16)),
    st.integers(0, 40) | st.integers(32740, 32770),
    st.integers(0, 20),
    st.sampled_from((0, 0, 0, 1, 2)),
    TWISTS,
)
Damage = tuple[int, int] | None
DAMAGE: st.SearchStrategy[Damage] = st.none() | st.none() | st.tuples(st.integers(0, 4000), st.integers(1, 255))
"""A byte of a stretch, and how it changes on its way."""

CONVERSATIONS = st.lists(
    st.tuples(st.lists(COMMANDS, min_size=1, max_size=10), DAMAGE) | steps(), min_size=1, max_size=12
)


def pdu_of(talker: Talker, write: bool, width: int, lba: int, blocks: int, lun: int, twist: Twist) -> ScsiCommand:
    """A read, or a write with its data, with what is odd about it."""
    name, value = twist
    count = blocks % 5 if write else blocks
    if width == 6 and not count:
        count = 1 if write else 256  # 0 says 256
    command = talker.command(
        (scsi.write if write else scsi.read)(lba, count, width=width),
        read=not write,
        write=write,
        data=(bytes((lba & 255, blocks)) * (count * BLOCK // 2))[:4096] if write else b"",
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
    peer.connection.answers_plainly = plainly
    return peer


@settings(deadline=None)
@given(LOGINS, CONVERSATIONS)
def test_the_short_way_and_the_long_way_lead_to_the_same_answers(
    login: dict[str, Any], conversation: list[Step | tuple[list[Command], Damage]]
) -> None:
    short, long = talker(True, login), talker(False, login)
    disks: list[list[bytes]] = []
    for turn in conversation:
        said: list[list[Pdu]] = []
        for peer in (short, long):
            pdus = peer.pdus_for(turn) if isinstance(turn, Step) else [pdu_of(peer, *each) for each in turn[0]]
            stream = bytearray(b"".join(map(peer.bytes_of, pdus)))
            if not isinstance(turn, Step) and turn[1] is not None:
                stream[turn[1][0] % len(stream)] ^= turn[1][1]
            said.append(peer.send_bytes(bytes(stream)))
        assert said[0] == said[1]
    one, other = short.connection, long.connection
    event(f"reads: {min(one.reads, 3)}, writes: {min(one.writes, 3)}")
    for group in (one.group, other.group):
        disks.append([unit.disk.store.read(0, 16 << 20) for unit in group.volumes[VOLUME.lower()].luns.units()])
    assert disks[0] == disks[1]
    assert (one.reads, one.writes, one.stat_sn) == (other.reads, other.writes, other.stat_sn)
    assert (one.closing, one.why_closed) == (other.closing, other.why_closed)
    windows = [
        (each.exp_cmd_sn, each.max_cmd_sn, each.in_use, sorted(each.held)) for each in (one.window, other.window)
    ]
    assert windows[0] == windows[1]
