"""One fault-free scenario in both worlds: the same PDUs on each connection, and the same history of logical I/O.

What may differ is time, ports, and the addresses inside login and discovery texts; numbers, tags, flags, commands and
data may not. Random choices come from named streams of one seed, so even CmdSN and ISID agree.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.load import load_scenario, scenario_from
from harness.narration import QuietNarrator
from harness.result import Net
from harness.run import run_scenario
from initiator_model.commands import Commands
from initiator_model.disk import MpioDisk
from initiator_model.logical_io import Done, IoResult, LogicalIo
from iscsi.framer import Framer
from iscsi.pdu import Pdu
from tests.interop.support import free_port


class Recorder:
    """What every framer cut out of its stream, framer by framer, and what every logical I/O was and became."""

    def __init__(self) -> None:
        self.streams: list[tuple[Framer, list[Pdu]]] = []
        self.history: list[tuple[str, int, int, str, int]] = []

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        receive, submit_read, submit_write = Framer.receive, MpioDisk.submit_read, MpioDisk.submit_write

        def recorded_receive(framer: Framer, data: bytes, limit: int | None = None) -> Any:
            pdus = receive(framer, data, limit)
            stream = next((pdus for known, pdus in self.streams if known is framer), None)
            if stream is None:
                stream = []
                self.streams.append((framer, stream))
            stream += [_comparable(pdu) for pdu in pdus if isinstance(pdu, Pdu)]
            return pdus

        def recorded_read(disk: MpioDisk, lba: int, blocks: int, done: Done) -> LogicalIo:
            return submit_read(disk, lba, blocks, self._told("read", lba, blocks, done))

        def recorded_write(disk: MpioDisk, lba: int, data: bytes, done: Done) -> LogicalIo:
            return submit_write(disk, lba, data, self._told("write", lba, len(data), done))

        patch.setattr(Framer, "receive", recorded_receive)
        # What arrives whole both ends take past the framer, and whether it does is TCP's affair.
        for name in ("answer_plain_reads", "answer_plain_writes"):
            patch.setattr(f"target.connection.{name}", lambda connection, buffer, output: 0)
        patch.setattr(Commands, "take_plain_answers", lambda commands, data: 0)
        patch.setattr(MpioDisk, "submit_read", recorded_read)
        patch.setattr(MpioDisk, "submit_write", recorded_write)

    def _told(self, what: str, lba: int, size: int, done: Done) -> Done:
        def told(result: IoResult) -> None:
            path = -1 if result.path is None else result.path.path_id
            self.history.append((what, lba, size, result.outcome.value, path))
            done(result)

        return told


def _comparable(pdu: Pdu) -> Pdu:
    """Addresses out of texts: 192.168.51.2:3260 and 127.0.51.2:41234 are the same portal."""
    if b"TargetAddress=" not in pdu.data:
        return pdu
    text = re.sub(rb"TargetAddress=[0-9]+\.[0-9]+\.([0-9.]+):[0-9]+", rb"TargetAddress=\1", pdu.data)
    return replace(pdu, data=text)  # type: ignore[type-var]


def _run(net: Net) -> Recorder:
    scenario = load_scenario(Path("scenarios/ps100_round_robin.toml"))
    tables = scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)
    tables["array"]["port"] = free_port("127.0.51.1") if net == "tcp" else 3260
    kept = [step for step in tables["steps"] if step["do"] in ("discover", "login", "set_policy")]
    # One I/O at a time: with more, the order in which two paths answer is the network's affair.
    work = {"do": "workload", "volume": "mail-db", "op": "mixed", "depth": 1, "pattern": "random", "region": "4MiB"}
    small = {**work, "name": "small", "block": "4KiB", "ios": 60}
    large = {**work, "name": "large", "block": "512KiB", "ios": 8}
    tables["steps"] = [*kept, small, large]
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        recorder.watch(patch)
        result = run_scenario(scenario_from(tables), seed=7, net=net, pcap=None, narrator=QuietNarrator())
    assert result.verdict == "pass"
    assert result.io.ok == result.io.submitted == 68
    return recorder


def test_the_same_pdus_per_connection_and_the_same_history() -> None:
    simulated, real = _run("sim"), _run("tcp")

    assert real.history == simulated.history
    assert len(simulated.history) >= 68
    assert {path for *_, path in simulated.history} == {0x77030000, 0x77030001}
    assert len(real.streams) == len(simulated.streams) > 10
    for (_, over_tcp), (_, in_sim) in zip(real.streams, simulated.streams, strict=True):
        assert over_tcp == in_sim
