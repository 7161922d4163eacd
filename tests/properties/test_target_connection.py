"""Whatever an initiator sends, the array's connection stays in order.

It never raises, what it says can be decoded and counts its StatSN without a gap, the command window never turns
negative nor runs backwards, and what it holds stays within its bounds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iscsi import serial
from iscsi.constants import RESERVED_TAG, Opcode
from iscsi.pdu import (
    DataIn,
    DataOut,
    LogoutRequest,
    NopOut,
    Pdu,
    ScsiCommand,
    ScsiResponse,
    SnackRequest,
    TextRequest,
    TmfRequest,
    TmfResponse,
    encode,
    encode_lun,
)
from iscsi.text import encode_keys
from target.config import Limits
from target.connection import TargetConnection
from tests.support.array import VOLUME, Peer, discovering, isid, logged_in, make_group
from tests.support.logins import NAMES, request
from tests.support.pdus import pdus

LIMITS = Limits(
    command_window=8,
    max_recv_data_segment_length=1024,
    max_burst_length=2048,
    first_burst_length=1024,
    output_high_bytes=16 << 10,
    write_buffer_bytes=8 << 10,
)
FIRST = 100
TAGS = st.integers(0x20, 0x2F) | st.just(RESERVED_TAG)
CDBS = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.builds(
        lambda opcode, lba, blocks: bytes((opcode, 0)) + lba.to_bytes(4, "big") + bytes((0, 0, blocks)) + bytes(7),
        st.sampled_from((0x28, 0x2A, 0x2E, 0x41, 0x42, 0x89)),
        st.integers(0, 40000),
        st.integers(0, 20),
    ),
    st.sampled_from((0x00, 0x12, 0x16, 0x17, 0x1A, 0x25, 0xA0)).map(lambda opcode: bytes((opcode,)) + bytes(15)),
)


@st.composite
def plausible_pdus(draw: st.DrawFn) -> Pdu:
    """A PDU of the full-feature phase whose numbers and tags lie near those in use, so that it gets somewhere."""
    numbered: dict[str, Any] = {
        "itt": draw(TAGS),
        "cmd_sn": (FIRST + draw(st.integers(-2, 20))) & 0xFFFFFFFF,
        "immediate": draw(st.booleans()),
    }
    kind = draw(st.sampled_from((ScsiCommand,) * 4 + (DataOut,) * 4 + (NopOut, TmfRequest, TextRequest, LogoutRequest)))
    data = draw(st.sampled_from((b"", bytes(512), bytes(1024), b"odd")))
    lun = encode_lun(draw(st.integers(0, 1)))
    if kind is DataOut:
        return DataOut(
            itt=numbered["itt"],
            ttt=draw(st.integers(0, 6) | st.just(RESERVED_TAG)),
            data_sn=draw(st.integers(0, 2)),
            buffer_offset=draw(st.sampled_from((0, 512, 1024, 2048))),
            final=draw(st.booleans()),
            data=data,
        )
    if kind is ScsiCommand:
        return ScsiCommand(
            lun=lun,
            cdb=draw(CDBS),
            edtl=draw(st.sampled_from((0, 512, 1024, 4096, 10240, 0xFFFFFFFF))),
            read=draw(st.booleans()),
            write=draw(st.booleans()),
            final=draw(st.booleans()),
            data=data,
            **numbered,
        )
    if kind is TmfRequest:
        return TmfRequest(
            function=draw(st.integers(0, 13)),
            lun=lun,
            referenced_task_tag=draw(TAGS),
            ref_cmd_sn=FIRST + draw(st.integers(0, 20)),
            **numbered,
        )
    if kind is TextRequest:
        text = draw(st.sampled_from((b"", b"SendTar", b"gets=All\0", b"SendTargets=\0", b"\0", b"\xff=\0")))
        final, cont = draw(st.sampled_from(((True, False), (False, False), (False, True), (True, True))))
        return TextRequest(
            ttt=draw(st.integers(0, 3) | st.just(RESERVED_TAG)), final=final, cont=cont, data=text, **numbered
        )
    if kind is LogoutRequest:
        return LogoutRequest(reason=draw(st.integers(0, 4)), cid=draw(st.integers(0, 1)), **numbered)
    return NopOut(data=data, **numbered)


CONVERSATIONS = st.lists(plausible_pdus() | pdus(max_data=600), max_size=30)
LOGINS = st.fixed_dictionaries(
    {
        "initial_r2t": st.booleans(),
        "immediate_data": st.booleans(),
        "header_digest": st.sampled_from((("None",), ("CRC32C",))),
        "data_digest": st.sampled_from((("None",), ("CRC32C",))),
        "max_recv_data_segment_length": st.sampled_from((512, 8192)),
    }
)


class Watched(Peer):
    """`Peer` checks encoding and StatSN of every answer; this one the command window as well."""

    def _check_numbers(self, pdu: Pdu) -> None:
        before = self.exp_cmd_sn, self.max_cmd_sn
        super()._check_numbers(pdu)
        if self.params is not None:
            assert not serial.lt(self.exp_cmd_sn, before[0]), "ExpCmdSN went back"
            assert not serial.lt(self.max_cmd_sn, before[1]), "MaxCmdSN went back"
        assert not serial.lt(self.max_cmd_sn, serial.add(self.exp_cmd_sn, -1)), "the window is negative"
        assert serial.distance(self.exp_cmd_sn, serial.add(self.max_cmd_sn, 1)) <= LIMITS.command_window


def in_session(discovery: bool, login: dict[str, Any]) -> Watched:
    """A peer in the full-feature phase, of an array with LUNs 0 and 1."""
    peer = Watched(make_group(luns=2, limits=LIMITS))
    peer.login(None if discovery else VOLUME, **login)
    return peer


def check_bounds(connection: TargetConnection) -> None:
    """Nothing the connection holds depends on how much it was sent."""
    assert connection.output_bytes < LIMITS.output_high_bytes + (16 << 20) + 4096, "output"
    tasks = connection._tasks
    if tasks is not None:
        assert tasks.waiting <= 8 + LIMITS.command_window
        assert tasks._admitted_bytes == sum(tasks._admitted.values())
        assert set(tasks._waiting) == set(tasks._admitted) | set(tasks._queued)
        assert tasks._admitted_bytes <= LIMITS.write_buffer_bytes or len(tasks._admitted) == 1
    assert connection.window.in_use <= LIMITS.command_window


@settings(deadline=None)
@given(discovery=st.booleans(), login=LOGINS, conversation=CONVERSATIONS)
def test_no_pdu_disturbs_a_session(discovery: bool, login: dict[str, Any], conversation: list[Pdu]) -> None:
    peer = in_session(discovery, login)
    for pdu in conversation:
        assert not (peer.send(pdu) and peer.connection.choked)
        check_bounds(peer.connection)
    if peer.connection.closing:
        assert peer.connection.why_closed
        assert peer.send(NopOut(itt=1, cmd_sn=peer.cmd_sn)) == []
    peer.hang_up()
    assert peer.connection.group.sessions.all() == []


@settings(deadline=None)
@given(login=LOGINS, conversation=CONVERSATIONS, cuts=st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_how_tcp_cuts_the_bytes_makes_no_difference(
    login: dict[str, Any], conversation: list[Pdu], cuts: list[int]
) -> None:
    """Bytes of PDUs behind one that ends the connection are left out: in one stretch they go down with it."""
    whole, cut = in_session(False, login), in_session(False, login)
    said: list[Pdu] = []
    stream = b""
    for pdu in conversation:
        stream += whole.bytes_of(pdu)
        said += whole.send(pdu)
        if whole.connection.closing:
            break
    again: list[Pdu] = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        again += cut.send_bytes(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert again == said
    assert (cut.connection.closing, cut.connection.why_closed) == (
        whole.connection.closing,
        whole.connection.why_closed,
    )


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8), st.booleans())
def test_no_bytes_disturb_the_connection(chunks: list[bytes], logged: bool) -> None:
    peer = in_session(False, {}) if logged else Watched(make_group(limits=LIMITS))
    for chunk in chunks:
        peer.send_bytes(chunk)
    peer.connection.eof()
    peer.hang_up()


_LOGIN_TEXT = st.sampled_from(
    (
        NAMES,
        (*NAMES, ("AuthMethod", "None")),
        (*NAMES, ("SessionType", "Discovery")),
        (("InitialR2T", "No"), ("MaxBurstLength", "4096"), ("FirstBurstLength", "512")),
        (("HeaderDigest", "CRC32C,None"), ("X-key", "1"), ("IFMarker", "Yes")),
        (("TargetName", VOLUME),),
        (),
    )
)
_LOGIN_REQUESTS = st.builds(
    lambda pairs, header, itt, cont: replace(
        request(*pairs), csg=header[0], nsg=header[1], transit=header[2] and not cont, itt=itt, cont=cont
    ),
    _LOGIN_TEXT,
    st.tuples(st.sampled_from((0, 1, 2, 3)), st.sampled_from((0, 1, 3)), st.booleans()),
    st.sampled_from((1, 1, 1, 2)),
    st.sampled_from((False, False, False, True)),
)


@settings(deadline=None)
@given(st.lists(_LOGIN_REQUESTS | pdus(max_data=100), max_size=8))
def test_no_login_disturbs_the_array(conversation: list[Pdu]) -> None:
    group = make_group(limits=LIMITS)
    healthy = logged_in(group, isid=isid(77))
    peer = Watched(group)
    for pdu in conversation:
        peer.send_bytes(encode(pdu))
    assert len(group.sessions) <= 2
    peer.hang_up()
    assert healthy.test_unit_ready() is None


@settings(deadline=None)
@given(st.lists(plausible_pdus(), max_size=30), st.lists(st.integers(0, 2), min_size=30, max_size=30))
def test_two_sessions_on_one_volume_stay_apart(conversation: list[Pdu], speakers: list[int]) -> None:
    """Task management of one reaches into the tasks of the other; neither may lose count of its window."""
    group = make_group(luns=2, limits=LIMITS)
    peers = []
    for number in (1, 2):
        peer = Watched(group)
        peer.login(isid=isid(number), immediate_data=False)
        peers.append(peer)
    for pdu, speaker in zip(conversation, speakers, strict=False):
        peer = peers[speaker % 2]
        if not peer.connection.closing:
            peer.send(pdu)
        for each in peers:
            each.hear()
            check_bounds(each.connection)


@settings(deadline=None)
@given(CONVERSATIONS)
def test_every_task_is_answered_at_most_once(conversation: list[Pdu]) -> None:
    peer = in_session(False, {"immediate_data": False})
    started: dict[int, int] = {}
    for pdu in conversation:
        if isinstance(pdu, ScsiCommand | TmfRequest):
            started[pdu.itt] = started.get(pdu.itt, 0) + 1
        for answer in peer.send(pdu):
            if isinstance(answer, ScsiResponse | TmfResponse) or (isinstance(answer, DataIn) and answer.has_status):
                started[answer.itt] -= 1
                assert started[answer.itt] >= 0, f"task 0x{answer.itt:x} was answered twice"


def test_the_conversations_reach_what_they_are_meant_to_reach() -> None:
    """A property that only ever meets closed doors proves nothing: here is one of its PDUs of each kind, answered."""
    peer = logged_in(make_group(luns=2, limits=LIMITS))
    assert peer.send(SnackRequest(itt=3))[0].OPCODE is Opcode.REJECT
    text = peer.send(TextRequest(itt=4, immediate=True, cmd_sn=peer.cmd_sn, data=encode_keys([("SendTargets", "")])))
    assert text[0].OPCODE is Opcode.TEXT_RESPONSE
    assert discovering(make_group(limits=LIMITS)).connection.session is not None
