"""Debian's tshark reads the capture of the walkthrough: real frames, every PDU an iSCSI PDU, nothing malformed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from harness.load import load_scenario
from harness.narration import QuietNarrator
from harness.run import run_scenario
from iscsi.framer import Framer
from sim.net.segment import SegmentRecord
from tests.interop import support

pytestmark = pytest.mark.interop

CHECKSUMS = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")


class PduCounter:
    """Counts, per direction of each connection, the PDUs in the bytes that arrive in order."""

    def __init__(self) -> None:
        self.opcodes: Counter[int] = Counter()
        self._framers: dict[tuple[object, object], Framer] = {}
        self._next: dict[tuple[object, object], int] = {}

    def __call__(self, record: SegmentRecord) -> None:
        flow = (record.src, record.dst)
        if record.flags & 0x02:
            self._next[flow] = record.seq + 1 & 0xFFFFFFFF
            self._framers[flow] = Framer(1 << 24)
        elif record.payload and record.seq == self._next.get(flow):
            self._next[flow] = record.seq + len(record.payload) & 0xFFFFFFFF
            for pdu in self._framers[flow].receive(record.payload):
                self.opcodes[int(pdu.OPCODE)] += 1  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PduCounter]:
    support.require("tshark")
    path = tmp_path_factory.mktemp("capture") / "walkthrough.pcapng"
    counter = PduCounter()
    import harness.sim_world as sim_world

    class Counting(sim_world.SimWorld):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            self.network.observe(counter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.run.SimWorld", Counting)
        result = run_scenario(
            load_scenario(Path("scenarios/ps100_round_robin.toml")),
            seed=1,
            net="sim",
            pcap=path,
            narrator=QuietNarrator(),
        )
    assert result.verdict == "pass"
    return path, counter


def _fields(path: Path, display_filter: str, *fields: str) -> list[list[str]]:
    options = [option for field in fields for option in ("-e", field)]
    done = support.run(
        support.require("tshark"), "-r", path, *CHECKSUMS, "-Y", display_filter, "-T", "fields", *options, limit_s=90
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_nothing_is_malformed_and_every_checksum_is_right(capture: tuple[Path, PduCounter]) -> None:
    bad = "_ws.malformed or ip.checksum.status == 0 or tcp.checksum.status == 0"
    assert _fields(capture[0], bad, "frame.number") == []


def test_tshark_sees_every_pdu_as_iscsi(capture: tuple[Path, PduCounter]) -> None:
    path, counter = capture
    seen: Counter[int] = Counter()
    for (opcodes,) in _fields(path, "iscsi", "iscsi.opcode"):
        seen.update(int(opcode, 0) for opcode in opcodes.split(","))
    assert seen == counter.opcodes


def test_the_redirects_are_there_with_their_address(capture: tuple[Path, PduCounter]) -> None:
    redirects = _fields(capture[0], "iscsi.login.status == 0x0101", "ip.src", "ip.dst", "iscsi.keyvalue")
    assert redirects[:2] == [
        ["192.168.51.1", "192.168.50.105", "TargetAddress=192.168.51.2:3260"],
        ["192.168.51.1", "192.168.50.125", "TargetAddress=192.168.51.4:3260"],
    ]


def test_tcp_has_no_trouble_but_the_pulled_cable(capture: tuple[Path, PduCounter]) -> None:
    """What tshark finds wrong lies on the one connection whose cable is pulled, and after that moment."""
    ((pulled,),) = _fields(
        capture[0], "tcp.flags.syn == 1 and tcp.flags.ack == 0 and tcp.srcport == 2817", "tcp.stream"
    )
    trouble = _fields(capture[0], "tcp.analysis.flags", "tcp.stream", "frame.time_relative")
    assert {stream for stream, _ in trouble} <= {pulled}
    assert all(float(time) > 1.0 for _, time in trouble)
