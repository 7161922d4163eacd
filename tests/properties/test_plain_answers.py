"""What the initiator takes without a PDU object completes as it would the long way, whatever comes in between."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from initiator_model.requests import Completion, ScsiRequest
from initiator_model.tasks import Task
from iscsi import scsi
from iscsi.constants import AsyncEvent, ScsiStatus
from iscsi.pdu import AsyncMessage, DataIn, NopIn, Pdu, ScsiCommand, encode
from tests.support.full_feature_target import FullFeatureTarget

LONGEST = 2048
Answer = tuple[str, int, dict[str, Any]]
"""What is answered, of which of the commands that are due an answer, and what is odd about it."""

ODD: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    (
        {"data_sn": 1},
        {"buffer_offset": 512},
        {"data": b"short"},
        {"data": bytes(511)},
        {"data": bytes(256)},
        {"data": bytes(LONGEST + 4)},
        {"has_status": False},
        {"underflow": True, "residual": 512},
        {"overflow": True, "residual": 4},
        {"status": int(ScsiStatus.BUSY)},
        {"response": 1},
        {"exp_data_sn": 1},
        {"stat_sn": 7},
        {"itt": 0x777},
        {"exp_cmd_sn": 0, "max_cmd_sn": 0},
        {"acknowledge": True},
    )
)
ANSWERS: st.SearchStrategy[Answer] = st.tuples(
    st.sampled_from(("whole", "whole", "whole", "whole", "whole", "halves", "half", "response", "ping", "logout")),
    st.integers(0, 7),
    st.just({}) | st.just({}) | ODD,
)
READS = st.tuples(st.just(True), st.sampled_from((512, 1024, LONGEST, 510, LONGEST + 4)))
WRITES = st.tuples(st.just(False), st.just(512))


class Host(FullFeatureTarget):
    """A host that asks for more from within a completion, or ends the connection, and notes all that came of it."""

    def __init__(self, plain: bool, commands: list[tuple[bool, int]], ends_after: int, digest: bool) -> None:
        super().__init__(window=len(commands), max_recv_data_segment_length=LONGEST, header_digest=digest)
        self.connection._plain = self.connection._plain and plain
        self.told: list[tuple[object, ...]] = []
        self.more = 3
        self.ends_after = ends_after
        for is_read, length in commands:
            self.ask(is_read, length)

    def ask(self, is_read: bool, length: int) -> None:
        request = ScsiRequest(scsi.read(0, 1), 0, length, b"")  # as long as it says, whatever the blocks
        if not is_read:
            request = ScsiRequest(scsi.write(0, length // 512), 0, 0, bytes(length))
        self.connection.start(Task(request, self.done))

    def done(self, end: Completion) -> None:
        self.told.append((end.kind, end.status, end.sense, bytes(end.data), end.residual))
        if len(self.told) == self.ends_after:
            self.connection.end("enough")
        elif self.more:
            self.more -= 1
            self.ask(True, 512)

    def state(self) -> tuple[object, ...]:
        connection = self.connection
        wire = connection.take_output()
        return self.told, self.events, connection.state, connection.outstanding, connection.waiting, b"".join(wire)


def answers_of(peer: FullFeatureTarget, commands: list[ScsiCommand], wanted: list[Answer]) -> list[Pdu]:
    pdus: list[Pdu] = []
    for kind, which, odd in wanted:
        if kind == "ping":
            pdus.append(peer.numbered(NopIn(ttt=1)))
            peer.stat_sn -= 1  # shown, not used up
        elif kind == "logout":
            pdus.append(peer.numbered(AsyncMessage(event=AsyncEvent.LOGOUT_REQUEST, param3=5)))
        elif commands:
            command = commands.pop(which % len(commands))
            peer.max_cmd_sn += 1
            pdus += answer_to(peer, command, kind, odd)
    return pdus


def answer_to(peer: FullFeatureTarget, command: ScsiCommand, kind: str, odd: dict[str, Any]) -> list[Pdu]:
    if not command.read or kind == "response":
        return [changed(peer.response(command), odd)]
    data = bytes((command.itt & 255,)) * command.edtl
    if kind == "whole":
        return [changed(peer.data_in(command, data), odd)]
    half = command.edtl // 2
    first = DataIn(itt=command.itt, data=data[:half], exp_cmd_sn=peer.exp_cmd_sn, max_cmd_sn=peer.max_cmd_sn)
    if kind == "halves":
        return [first, changed(peer.data_in(command, data[half:], buffer_offset=half, data_sn=1), odd)]
    return [first, changed(peer.data_in(command, data), odd)]


def changed(pdu: Pdu, odd: dict[str, Any]) -> Pdu:
    fitting: Any = {name: value for name, value in odd.items() if hasattr(pdu, name)}
    return replace(pdu, **fitting)  # type: ignore[type-var]


@settings(max_examples=600)
@given(
    commands=st.lists(READS | READS | WRITES, min_size=4, max_size=8),
    wanted=st.lists(ANSWERS, min_size=4, max_size=10),
    ends_after=st.sampled_from((0, 0, 0, 1, 2, 3)),
    apart=st.sets(st.integers(0, 12)),
    cuts=st.lists(st.integers(0, 9000), max_size=2),
    damage=st.none() | st.none() | st.none() | st.tuples(st.integers(0, 4000), st.integers(1, 255)),
    digest=st.sampled_from((False, False, False, True)),
)
def test_both_ways_come_to_the_same(
    commands: list[tuple[bool, int]],
    wanted: list[Answer],
    ends_after: int,
    apart: set[int],
    cuts: list[int],
    damage: tuple[int, int] | None,
    digest: bool,
) -> None:
    short, long = (Host(plain, commands, ends_after, digest) for plain in (True, False))
    sent = short.sent()
    assert sent == long.sent()
    pdus = answers_of(short, [pdu for pdu in sent if isinstance(pdu, ScsiCommand)], wanted)
    encoded = [encode(pdu, digest) for pdu in pdus]
    stream = bytearray(b"".join(encoded))
    if damage is not None and stream:
        stream[damage[0] % len(stream)] ^= damage[1]
    borders = [end for number, end in enumerate(accumulate(map(len, encoded))) if number in apart]
    edges = sorted({0, *borders, *(cut % (len(stream) + 1) for cut in cuts), len(stream)})
    for first, last in pairwise(edges):
        for host in (short, long):
            host.connection.receive(bytes(stream[first:last]))
        assert short.state() == long.state()
    event(f"{min(len(short.told), 4)} completions")
    event(str(short.connection.state))
