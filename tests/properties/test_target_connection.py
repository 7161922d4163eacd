"""Whatever an initiator sends, the array's connection stays in order.

It never raises, what it says can be decoded and counts its StatSN without a gap, the command window never turns
negative nor runs backwards, and what it holds stays within its bounds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iscsi.pdu import DataIn, NopOut, Pdu, ScsiCommand, ScsiResponse, TmfRequest, TmfResponse, encode
from target.config import Limits
from target.connection import TargetConnection
from tests.support.array import VOLUME, Peer, isid, logged_in, make_group
from tests.support.conversations import Step, Talker, steps
from tests.support.logins import NAMES, request
from tests.support.pdus import pdus

LIMITS = Limits(
    command_window=8,
    max_recv_data_segment_length=1024,
    max_burst_length=2048,
    first_burst_length=1024,
    output_high_bytes=8 << 10,
    write_buffer_bytes=8 << 10,
)
LONGEST_ANSWER = 1 << 20
"""More than any one command of a conversation returns."""

LOGINS = st.fixed_dictionaries(
    {
        "initial_r2t": st.booleans(),
        "immediate_data": st.booleans(),
        "header_digest": st.sampled_from((("None",), ("CRC32C",))),
        "data_digest": st.sampled_from((("None",), ("CRC32C",))),
        "max_recv_data_segment_length": st.sampled_from((512, 8192)),
    }
)
CONVERSATIONS = st.lists(steps(), min_size=5, max_size=40)


def talker(number: int = 1, *, discovery: bool = False, **wishes: Any) -> Talker:
    """A peer in the full-feature phase, of an array with LUNs 0 and 1."""
    return Talker(make_group(luns=2, limits=LIMITS)).enter(number, discovery=discovery, **wishes)


def check_bounds(connection: TargetConnection) -> None:
    """Nothing the connection holds depends on how much it was sent."""
    assert connection.output_bytes < LIMITS.output_high_bytes + LONGEST_ANSWER
    assert connection.window.in_use <= LIMITS.command_window
    tasks = connection.session.tasks
    if tasks is not None:
        assert tasks.waiting <= 8 + LIMITS.command_window
        waiting = tasks._waiting
        assert sorted(waiting._tasks) == sorted([*waiting._admitted, *waiting._queued])
        assert waiting._admitted_bytes == sum(waiting._admitted.values())
        assert waiting._admitted_bytes <= LIMITS.write_buffer_bytes or len(waiting._admitted) == 1


@settings(deadline=None)
@given(discovery=st.booleans(), login=LOGINS, conversation=CONVERSATIONS)
def test_no_pdu_disturbs_a_session(discovery: bool, login: dict[str, Any], conversation: list[Step]) -> None:
    peer = talker(discovery=discovery, **login)
    for step in conversation:
        peer.act(step)
        check_bounds(peer.connection)
    if peer.connection.closing:
        assert peer.connection.why_closed
        assert peer.send(NopOut(itt=1, cmd_sn=peer.cmd_sn)) == []
    peer.hang_up()
    peer.pass_time(22)
    assert peer.connection.group.sessions.all() == []


@settings(deadline=None)
@given(login=LOGINS, conversation=st.lists(steps(rude=False), min_size=5, max_size=40))
def test_who_keeps_the_rules_is_not_cut_off_and_loses_no_number(
    login: dict[str, Any], conversation: list[Step]
) -> None:
    """When the gaps are filled and the writes that still wait are taken away, the window is as wide as at first."""
    peer = talker(**login)
    for step in conversation:
        peer.act(step)
        if peer.connection.closing:
            assert peer.connection.why_closed == "target cold reset"
            return
    for missing in peer.missing:
        peer.send(NopOut(itt=peer.next_itt(), immediate=False, cmd_sn=missing))
        if peer.connection.closing:  # a reset had waited for that number
            assert peer.connection.why_closed == "target cold reset"
            return
    peer.connection.session.abort_tasks()
    assert not peer.connection.choked
    window = peer.connection.window
    assert (window.in_use, window.exp_cmd_sn, window.max_cmd_sn) == (0, peer.cmd_sn, peer.cmd_sn + 7)


@settings(deadline=None)
@given(login=LOGINS, conversation=CONVERSATIONS, cuts=st.lists(st.integers(1, 900), min_size=1, max_size=20))
def test_how_tcp_cuts_the_bytes_makes_no_difference(
    login: dict[str, Any], conversation: list[Step], cuts: list[int]
) -> None:
    """Nor that its buffer is used again. PDUs behind one that ends the connection are left out: in one stretch of bytes
    they go down with it.
    """
    whole, cut = talker(**login), talker(**login)
    said: list[Pdu] = []
    stream = b""
    for step in conversation:
        for pdu in whole.pdus_for(step):
            if not whole.connection.closing:
                stream += whole.bytes_of(pdu)
                said += whole.send(pdu)
    again: list[Pdu] = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        again += send_by_view(cut, stream[:size])
        stream, turn = stream[size:], turn + 1
    assert again == said
    assert cut.connection.why_closed == whole.connection.why_closed


def send_by_view(peer: Talker, data: bytes) -> list[Pdu]:
    """Send bytes from a buffer that is used for something else as soon as they were taken."""
    buffer = bytearray(data)
    peer.connection.receive(memoryview(buffer), peer.now_ns)
    buffer[:] = b"\x5a" * len(buffer)
    return peer.hear() + peer.send_bytes(b"")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8), st.booleans())
def test_no_bytes_disturb_the_connection(chunks: list[bytes], in_session: bool) -> None:
    peer = talker() if in_session else Peer(make_group(limits=LIMITS))
    for chunk in chunks:
        peer.send_bytes(chunk)
    peer.connection.eof()
    peer.hang_up()


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), steps()), max_size=40))
def test_two_sessions_on_one_volume_keep_count_each_of_its_own(conversation: list[tuple[bool, Step]]) -> None:
    """Task management of one reaches into the tasks of the other."""
    group = make_group(luns=2, limits=LIMITS)
    one, two = (Talker(group).enter(number, immediate_data=False) for number in (1, 2))
    for first, step in conversation:
        peer = one if first else two
        if not peer.connection.closing:
            peer.act(step)
        for each in (one, two):
            each.hear()
            check_bounds(each.connection)


@settings(deadline=None)
@given(LOGINS, CONVERSATIONS)
def test_every_task_is_answered_at_most_once(login: dict[str, Any], conversation: list[Step]) -> None:
    peer = talker(**login)
    due: dict[int, int] = {}
    for step in conversation:
        sent = peer.pdus_for(step)
        for pdu in sent:
            if isinstance(pdu, ScsiCommand | TmfRequest):
                due[pdu.itt] = due.get(pdu.itt, 0) + 1
        for answer in peer.send(*sent):
            if isinstance(answer, ScsiResponse | TmfResponse) or (isinstance(answer, DataIn) and answer.has_status):
                due[answer.itt] -= 1
                assert due[answer.itt] >= 0, f"task 0x{answer.itt:x} was answered twice"


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
    peer = Peer(group)
    for pdu in conversation:
        peer.send_bytes(encode(pdu))
    assert len(group.sessions) <= 2
    peer.hang_up()
    assert healthy.test_unit_ready() is None
