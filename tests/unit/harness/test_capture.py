"""Captures: real frames with handshakes, options and checksums, which tshark reads without a complaint."""

import asyncio
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from harness.capture import Capture, CaptureError
from harness.frames import FrameMaker, tcp_options
from iscsi.pdu import LoginRequest, LoginResponse, NopIn, NopOut, encode
from iscsi.text import encode_keys
from sim.loop import SimLoop
from sim.net.network import Network
from sim.net.segment import ACK, FIN, PSH, SYN, Address, SegmentRecord, SynOptions

HOST: Address = ("192.168.50.105", 2816)
PORTAL: Address = ("192.168.51.2", 3260)
HOST_NIC, PORTAL_NIC = "w2k3/3A_iSCSI", "PS100/eth0"
GIGABIT = {HOST_NIC: 10**9, PORTAL_NIC: 10**9}


class Conversation:
    """Both ends of one connection, with sequence numbers as TCP would count them."""

    def __init__(self, *, timestamps: bool = False) -> None:
        self.timestamps = timestamps
        self.seq = {HOST: 0xFFFFFF00, PORTAL: 5000}  # the host's wraps around soon
        self.options = SynOptions(mss=1460, window_scale=8, sack_permitted=True, timestamps=timestamps)

    def send(
        self, time_ns: int, src: Address, flags: int, payload: bytes = b"", sack: tuple[tuple[int, int], ...] = ()
    ) -> SegmentRecord:
        dst = PORTAL if src == HOST else HOST
        macs = ("02:00:00:00:00:01", "02:00:00:00:00:02")
        mss = 1448 if self.timestamps else 1460
        record = SegmentRecord(
            time_ns=time_ns,
            nic=HOST_NIC if src == HOST else PORTAL_NIC,
            src_mac=macs[src != HOST],
            dst_mac=macs[src == HOST],
            src=src,
            dst=dst,
            flags=flags,
            seq=self.seq[src] & 0xFFFFFFFF,
            ack=self.seq[dst] & 0xFFFFFFFF if flags & ACK else 0,
            window=65535,
            payload=payload,
            frames=-(-len(payload) // mss) or 1,
            mss=mss,
            sack=sack,
            options=self.options if flags & SYN else None,
            timestamps=(time_ns // 1000, 0) if self.timestamps else None,
        )
        self.seq[src] += len(payload) + bool(flags & (SYN | FIN))
        return record

    def whole(self) -> Iterator[SegmentRecord]:
        """Handshake, login, an 8,000 byte ping each way, and the end."""
        isid = bytes.fromhex("400001370001")
        keys = encode_keys([("InitiatorName", "iqn.1991-05.com.microsoft:w2k3"), ("SessionType", "Discovery")])
        login = LoginRequest(transit=True, csg=1, nsg=3, isid=isid, itt=1, data=keys)
        answer = LoginResponse(
            transit=True, csg=1, nsg=3, isid=isid, tsih=1, itt=1, stat_sn=1, exp_cmd_sn=1, max_cmd_sn=9,
            data=encode_keys([("TargetPortalGroupTag", "1")]),
        )  # fmt: skip
        ping = NopOut(immediate=False, itt=2, ttt=0xFFFFFFFF, cmd_sn=1, exp_stat_sn=2, data=bytes(range(256)) * 31)
        pong = NopIn(itt=2, ttt=0xFFFFFFFF, stat_sn=2, exp_cmd_sn=2, max_cmd_sn=9, data=ping.data)
        yield self.send(0, HOST, SYN)
        yield self.send(20_000, PORTAL, SYN | ACK)
        yield self.send(40_000, HOST, ACK)
        yield self.send(41_000, HOST, ACK | PSH, encode(login))
        yield self.send(80_000, PORTAL, ACK | PSH, encode(answer))
        yield self.send(120_000, HOST, ACK | PSH, encode(ping))
        yield self.send(260_000, PORTAL, ACK | PSH, encode(pong))
        yield self.send(400_000, HOST, ACK | FIN)
        yield self.send(430_000, PORTAL, ACK | FIN)
        yield self.send(460_000, HOST, ACK)


def capture(path: Path, records: Iterator[SegmentRecord], rates: dict[str, int] = GIGABIT) -> Path:
    writer = Capture(path, rates)
    for record in records:
        writer(record)
    writer.close()
    return path


def ones_complement(data: bytes) -> int:
    """The plain loop of RFC 1071, to hold the fast one against."""
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("length", [0, 1, 2, 1459, 1460])
def test_checksums_are_those_of_the_rfc(length: int) -> None:
    [frame] = FrameMaker().frames(Conversation().send(0, HOST, ACK | PSH, b"\xa5" * length))
    ip, tcp = frame[14:34], frame[34:]
    assert ones_complement(ip) == 0xFFFF
    assert ones_complement(ip[12:20] + struct.pack(">HH", 6, len(tcp)) + tcp) == 0xFFFF


def test_a_burst_is_cut_into_frames_with_the_push_on_the_last() -> None:
    payload = bytes(range(256)) * 16
    frames = list(FrameMaker().frames(Conversation().send(0, PORTAL, ACK | PSH, payload)))
    assert [len(frame) - 54 for frame in frames] == [1460, 1460, 1176]
    assert [struct.unpack(">I", frame[38:42])[0] for frame in frames] == [5000, 6460, 7920]
    assert [frame[47] for frame in frames] == [ACK, ACK, ACK | PSH]
    assert b"".join(frame[54:] for frame in frames) == payload


def test_options_are_what_the_segment_says() -> None:
    plain, stamped = Conversation(), Conversation(timestamps=True)
    assert tcp_options(plain.send(0, HOST, SYN)).hex(" ") == "02 04 05 b4 01 03 03 08 01 01 04 02"
    assert (
        tcp_options(stamped.send(0, HOST, SYN)).hex(" ")
        == "02 04 05 b4 01 03 03 08 04 02 08 0a 00 00 00 00 00 00 00 00"
    )
    assert tcp_options(stamped.send(7_000, HOST, ACK)).hex(" ") == "01 01 08 0a 00 00 00 07 00 00 00 00"
    assert tcp_options(plain.send(0, HOST, ACK, sack=((1, 2),))).hex(" ") == "01 01 05 0a 00 00 00 01 00 00 00 02"
    assert tcp_options(plain.send(0, HOST, ACK)) == b""


def test_equal_runs_write_equal_bytes(tmp_path: Path) -> None:
    one = capture(tmp_path / "one.pcapng", Conversation().whole())
    two = capture(tmp_path / "two.pcapng", Conversation().whole())
    assert one.read_bytes() == two.read_bytes()


def test_without_scapy_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scapy.utils", None)
    monkeypatch.delitem(sys.modules, "harness.pcapng", raising=False)
    with pytest.raises(CaptureError, match=r"pip install 'mpiolab\[pcap\]'"):
        Capture(tmp_path / "x.pcapng", {})


class Flood(asyncio.Protocol):
    """Sends 800,000 bytes and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(bytes(800_000))
        transport.close()


class Sink(asyncio.Protocol):
    """Takes what comes until the other end hangs up."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self.ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


def bulk_transfers(path: Path, tcp: str) -> None:
    """A capture of two portals sending to one NIC of a host, each at its own full rate."""
    loop = SimLoop()
    network = Network(loop, 1)
    network.add_host("w2k3", tcp).add_nic("3A_iSCSI", HOST[0], 22, 10**9, 10_000, True)
    array = network.add_host("array", tcp)
    portals = [PORTAL, ("192.168.51.3", 3999)]
    for number, (ip, _) in enumerate(portals):
        array.add_nic(f"eth{number}", ip, 22, 10**9, 10_000, False)
    writer = Capture(path, {HOST_NIC: 10**9, "array/eth0": 10**9, "array/eth1": 10**9})
    network.observe(writer)

    async def transfer() -> None:
        ends = [loop.create_future() for _ in portals]
        for (ip, _), ended in zip(portals, ends, strict=True):
            await loop.create_server(Flood, ip, 3999)
            await loop.create_connection(lambda ended=ended: Sink(ended), ip, 3999, local_addr=(HOST[0], 0))
        for ended in ends:
            await ended
        await asyncio.sleep(1)

    loop.run_coroutine(transfer())
    loop.close()
    writer.close()


def tshark(path: Path, *options: str) -> list[str]:
    """What tshark says, line by line."""
    program = shutil.which("tshark")
    assert program is not None
    ran = subprocess.run([program, "-r", str(path), *options], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
class TestTshark:
    """An independent reader: Wireshark's dissectors."""

    @pytest.mark.parametrize("timestamps", [False, True])
    def test_nothing_is_malformed_badly_summed_or_out_of_order(self, tmp_path: Path, timestamps: bool) -> None:
        path = capture(tmp_path / "x.pcapng", Conversation(timestamps=timestamps).whole())
        checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
        good = "tcp.checksum.status == 1 && ip.checksum.status == 1"
        assert len(tshark(path, *checks, "-Y", good)) == len(tshark(path)) == 20
        assert tshark(path, *checks, "-Y", "_ws.malformed || tcp.analysis.flags") == []

    @pytest.mark.parametrize("tcp", ["windows-2003", "linux"])
    def test_the_simulated_tcp_under_load_looks_right(self, tmp_path: Path, tcp: str) -> None:
        """Two bulk transfers over one host NIC: nothing retransmitted, unseen, out of order or over the window."""
        path = tmp_path / "x.pcapng"
        bulk_transfers(path, tcp)
        assert len(tshark(path, "-Y", "tcp.flags.fin == 1")) == 4
        assert len(tshark(path, "-Y", "tcp.len == 1460 || tcp.len == 1448")) > 2 * 500
        assert tshark(path, "-Y", "_ws.malformed || tcp.analysis.flags") == []

    def test_every_pdu_is_recognised(self, tmp_path: Path) -> None:
        path = capture(tmp_path / "x.pcapng", Conversation().whole())
        opcodes = tshark(path, "-Y", "iscsi", "-T", "fields", "-e", "iscsi.opcode")
        assert opcodes == ["0x03", "0x23", "0x00", "0x20"]

    def test_frames_follow_each_other_at_line_rate_to_the_nanosecond(self, tmp_path: Path) -> None:
        """A full frame takes 1538 byte times: 12,304 ns at a gigabit, 1,230 (and .4) at ten."""
        for rate, gaps in ((10**9, [12_304, 12_304]), (10**10, [1_230, 1_230])):
            records = iter([Conversation().send(1_000_000_007, PORTAL, ACK, bytes(4096))])
            path = capture(tmp_path / "x.pcapng", records, {PORTAL_NIC: rate})
            fields = tshark(path, "-T", "fields", "-e", "frame.time_epoch")
            times = [int(text.replace(".", "")) for text in fields]
            assert times[0] == 1_000_000_007
            assert [later - earlier for earlier, later in pairwise(times)] == gaps

    def test_each_nic_is_an_interface_and_overlapping_bursts_are_in_order(self, tmp_path: Path) -> None:
        talk = Conversation()
        records = iter([talk.send(0, HOST, ACK, bytes(14600)), talk.send(30_000, PORTAL, ACK, bytes(14600))])
        path = capture(tmp_path / "x.pcapng", records)
        rows = [
            row.split("\t")
            for row in tshark(path, "-T", "fields", "-e", "frame.interface_name", "-e", "frame.time_epoch")
        ]
        assert sorted({name for name, _ in rows}) == [PORTAL_NIC, HOST_NIC]
        times = [time for _, time in rows]
        assert times == sorted(times)
        assert [name for name, _ in rows[:5]] == [HOST_NIC] * 3 + [PORTAL_NIC, HOST_NIC]
