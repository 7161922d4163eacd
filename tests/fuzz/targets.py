"""What is fuzzed: functions of bytes that may not raise, whatever the bytes are.

Each reads its input as a small program (settings first, then steps), drives the real code with it and checks what must
always hold: nothing but the documented errors comes out, every answer is one that `tests.support.answers` allows, and
what is held stays within its bounds. `tests/fuzz/run.py` lets atheris look for inputs that break that; what it found
is kept in crashes/ and replayed by test_fuzz.py, as are the seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.errors import RemoteProtocolError
from iscsi.framer import Framer
from iscsi.lun import encode_lun
from iscsi.pdu import NopOut, decode, encode
from iscsi.text import TextAssembler, decode_keys
from target.access_config import AccessConfig, PortGroupConfig
from target.config import Limits
from target.connection import TargetConnection
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.port_groups import PortGroups
from target.store import MemoryStore
from tests.fuzz.reader import Reader
from tests.support.answers import Conversation
from tests.support.array import HOST, VOLUME, Peer, make_group
from tests.support.conversations import Act, Step, Talker

LIMITS: Final = Limits(
    command_window=8,
    max_recv_data_segment_length=1024,
    max_burst_length=2048,
    first_burst_length=1024,
    output_high_bytes=8 << 10,
    write_buffer_bytes=8 << 10,
)
LONGEST_ANSWER: Final = 1 << 20
MAX_STEPS: Final = 60
"""A longer input says nothing that a shorter one could not."""


def framer(data: bytes) -> None:
    """A byte stream, cut anywhere: PDUs or a documented error, and never more held than one PDU and one chunk."""
    reader = Reader(data)
    settings = reader.byte()
    limit = 1 << (settings >> 4)
    subject = Framer(limit)
    subject.header_digest, subject.data_digest, subject.resynchronise = (bool(settings & bit) for bit in (1, 2, 4))
    largest = 48 + 255 * 4 + limit + 12 + 48 + 255 * 4 + 4
    while chunk := reader.take(1 + reader.byte()):
        try:
            for received in subject.receive(chunk):
                assert received is not None
        except RemoteProtocolError:
            return
        assert subject.buffered <= largest + len(chunk), f"{subject.buffered} bytes held"


def text(data: bytes) -> None:
    """Key=value pairs in pieces: pairs or a documented error, the same whether they come whole or cut."""
    try:
        whole = decode_keys(data)
    except RemoteProtocolError:
        whole = None
    assembler = TextAssembler()
    half = len(data) // 2
    try:
        assert assembler.feed(data[:half], True) is None
        again = assembler.feed(data[half:], False)
    except RemoteProtocolError:
        again = None
    assert again == whole, f"{again} in two pieces, {whole} in one"


def login(data: bytes) -> None:
    """Bytes from a stranger: a login with headers and texts as the input wants them, or no login at all."""
    reader = Reader(data)
    group = make_group(limits=LIMITS)
    peer = Peer(group)
    conversation = Conversation()
    for _ in range(MAX_STEPS):
        if reader.empty or peer.connection.closing:
            break
        if reader.byte() & 7:
            header = bytearray(reader.take(48).ljust(48, b"\0"))
            header[0] = 0x43
            body = _login_text(reader)
            header[4:8] = len(body).to_bytes(4, "big")
            raw = bytes(header) + body + bytes(-len(body) % 4)
        else:
            raw = reader.take(1 + reader.byte())
        conversation.sends(raw)
        conversation.hears(peer.send_bytes(raw))
    _check(peer.connection)
    assert len(group.sessions) <= 1
    peer.connection.eof()
    peer.hang_up()


_PAIRS: Final = (
    b"InitiatorName=" + HOST.encode() + b"\0",
    b"TargetName=" + VOLUME.encode() + b"\0",
    b"SessionType=Discovery\0",
    b"SessionType=Normal\0",
    b"AuthMethod=CHAP,None\0",
    b"AuthMethod=None\0",
    b"CHAP_A=7,5\0",
    b"CHAP_N=w2k3\0CHAP_R=0x00112233445566778899aabbccddeeff\0",
    b"HeaderDigest=CRC32C,None\0DataDigest=None\0",
    b"MaxRecvDataSegmentLength=512\0",
    b"MaxBurstLength=16777215\0FirstBurstLength=512\0",
    b"InitialR2T=No\0ImmediateData=Yes\0",
    b"ErrorRecoveryLevel=2\0MaxConnections=8\0MaxOutstandingR2T=8\0",
    b"DataPDUInOrder=No\0DataSequenceInOrder=No\0",
    b"TaskReporting=FastAbort,RFC3720\0iSCSIProtocolLevel=2\0",
)


def _login_text(reader: Reader) -> bytes:
    """Known pairs and raw bytes, mixed."""
    body = b""
    for _ in range(reader.byte() % 6):
        choice = reader.byte()
        body += _PAIRS[choice] if choice < len(_PAIRS) else reader.take(choice)
    return body


def session(data: bytes) -> None:
    """A conversation in full-feature phase: steps that fit the session, raw PDUs and raw bytes between them."""
    reader = Reader(data)
    settings = reader.byte()
    wishes = {
        "initial_r2t": bool(settings & 1),
        "immediate_data": bool(settings & 2),
        "header_digest": ("CRC32C",) if settings & 4 else ("None",),
        "data_digest": ("CRC32C",) if settings & 8 else ("None",),
        "error_recovery_level": (settings >> 4) % 3,
        "max_recv_data_segment_length": 512,
    }
    peer = Talker(make_group(luns=2, limits=LIMITS)).enter(discovery=settings & 0xC0 == 0xC0, **wishes)
    conversation = _conversation_of(peer)
    for _ in range(MAX_STEPS):
        if reader.empty or peer.connection.closing:
            break
        raw = _next_bytes(peer, reader)
        conversation.sends(raw)
        conversation.hears(peer.send_bytes(raw))
        _check(peer.connection)
    if peer.connection.closing:
        assert peer.connection.why_closed
        assert peer.send(NopOut(itt=1, cmd_sn=peer.cmd_sn)) == []
    peer.hang_up()
    peer.pass_time(30)
    assert peer.connection.group.sessions.all() == []


def _conversation_of(peer: Talker) -> Conversation:
    """A conversation that knows the tags its peer has used to get where it is; a SNACK may have them answered again."""
    conversation = Conversation()
    for tag in range(peer.counters.itt + 1):
        conversation.sends(tag.to_bytes(4, "big"))
    return conversation


_ACTS: Final = [act for act in Act if act is not Act.ANY_PDU]


def _next_bytes(peer: Talker, reader: Reader) -> bytes:
    kind = reader.byte()
    if kind == 0xFF:
        return reader.take(1 + reader.byte())
    if kind >= 0xC0:
        header = reader.take(48).ljust(48, b"\0")
        header = header[:4] + b"\0\0\0" + bytes((reader.byte() & 0x3F,)) + header[8:]
        try:
            pdu = decode(header, b"", reader.take(header[7]))
        except RemoteProtocolError:
            return header + reader.take(header[7])
        return peer.bytes_of(pdu)
    act, number = _ACTS[kind % len(_ACTS)], reader.byte()
    if act is Act.LOGOUT:
        number &= 0x7F  # the reason has seven bits
    step = Step(act, number, reader.byte(), bool(kind & 0x40 and reader.byte() & 1))
    return b"".join(map(peer.bytes_of, peer.pdus_for(step)))


def _check(connection: TargetConnection) -> None:
    assert connection.output_bytes < LIMITS.output_high_bytes + LONGEST_ANSWER
    if connection.login is None and not connection.closing:
        assert connection.window.in_use <= LIMITS.command_window


def cdb(data: bytes) -> None:
    """Commands at a disk: every one ends with a status, sense where it needs some, and no more data than was asked."""
    reader = Reader(data)
    settings = reader.byte()
    block = 4096 if settings & 1 else 512
    access = AccessConfig((PortGroupConfig(1, ("one",)), PortGroupConfig(2, ("two",))), explicit=True)
    port_groups = PortGroups(access, ("one", "two"), "exchange-logs") if settings & 16 else None
    unit = LogicalUnit.over(
        MemoryStore(1 << 20),
        volume_identity("ps100", "exchange-logs"),
        block_size=block,
        read_only=bool(settings & 2),
        thin=bool(settings & 4),
        removable=bool(settings & 8),
        port_groups=port_groups,
    )
    nexuses = [Nexus(f"{HOST},i,0x{number:012x}", f"{VOLUME},t,0x0001", number, 1) for number in (1, 2)]
    for nexus in nexuses:
        unit.execute(bytes(16), b"", nexus)
    for _ in range(MAX_STEPS):
        if reader.empty:
            break
        which = reader.byte()
        command = reader.take(16).ljust(16, b"\0")
        direction = unit.transfer_length(command)
        wanted = direction[1] if direction is not None else 0
        data_out = reader.take(min(wanted, which & 0x7E)).ljust(min(wanted, 1 << 16), b"\0")
        result = unit.execute(command, data_out, nexuses[which & 1])
        assert result.status in list(ScsiStatus)
        assert bool(result.sense) is (result.status is ScsiStatus.CHECK_CONDITION)
        assert len(result.data) <= max(wanted, 0)
        assert len(result.sense) <= 252


def raw_session(data: bytes) -> None:
    """Nothing but bytes, straight into a session without digests."""
    peer = Talker(make_group(luns=2, limits=LIMITS)).enter()
    conversation = _conversation_of(peer)
    conversation.sends(data)
    conversation.hears(peer.send_bytes(data))
    peer.connection.eof()
    peer.hang_up()


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "framer": framer,
    "text": text,
    "login": login,
    "session": session,
    "raw_session": raw_session,
    "cdb": cdb,
}
"""By the names the command line and the directories of seeds and crashes use."""


def seeds(name: str) -> list[bytes]:
    """Where the search begins: inputs that get somewhere."""
    steps = bytes(number for step in range(40) for number in (step % len(_ACTS), 7 * step % 256, 3 * step % 256))
    reads = b"".join(bytes((0, 0x28, 0, 0, 0, 0, number, 0, 0, 1)) + bytes(7) for number in range(3))
    nops = encode(NopOut(itt=1, cmd_sn=102, immediate=True, lun=encode_lun(1), data=b"ping"))
    return {
        "framer": [b"\xa0\x7f" + nops * 3, b"\xa7\x05" + nops * 3],
        "text": [b"".join(_PAIRS), b"SendTargets=All\0"],
        "login": [
            b"\x01\x43\x87" + bytes(46) + b"\x03\x00\x01\x05",
            b"\x01\x43\x81" + bytes(46) + b"\x02\x00\x01\x01\x43\x87" + bytes(46) + b"\x02\x0a\x0b",
        ],
        "session": [bytes((settings,)) + steps for settings in (0, 2, 3, 12, 34, 255)],
        "raw_session": [nops, nops * 2],
        "cdb": [bytes((settings,)) + reads for settings in (0, 1, 4, 8)],
    }[name]
