"""Observers see what a capture at each NIC would, and change nothing."""

import asyncio

from sim.net import SegmentRecord
from sim.net.segment import ACK, PSH, SYN
from tests.unit.sim.net.bench import NIC_A, PORT, PORTAL_1, Bench


def conversation(
    seed: int = 1, *, observed: bool = True, profile: str = "windows-2003"
) -> tuple[list[SegmentRecord], int]:
    bench, log = Bench(profile, seed), []
    if observed:
        bench.network.observe(log.append)

    async def main() -> None:
        await bench.listen()
        peer, other = await bench.pair()
        peer.transport.write(b"question")
        await asyncio.sleep(0.01)
        other.transport.write(bytes(20_000))
        await asyncio.sleep(0.01)
        peer.transport.close()
        await asyncio.sleep(1)

    bench.run(main())
    return log, bench.loop.now_ns


def test_a_record_has_what_a_frame_is_made_of() -> None:
    log, _ = conversation()
    syn, answer, ack, question = log[:4]
    assert [record.flags for record in log[:4]] == [SYN, SYN | ACK, ACK, ACK | PSH]
    assert (syn.nic, syn.src, syn.dst) == ("w2k3/3A_iSCSI", (NIC_A, 1_025), (PORTAL_1, PORT))
    assert (syn.src_mac, syn.dst_mac) == ("02:00:00:00:00:01", "02:00:00:00:00:03")
    assert answer.nic == "PS100/eth0"
    assert syn.options is not None
    assert syn.options.mss == 1_460
    assert ack.options is None
    assert answer.ack == (syn.seq + 1) & 0xFFFFFFFF
    assert (ack.seq, ack.ack) == (answer.ack, (answer.seq + 1) & 0xFFFFFFFF)
    assert question.payload == b"question"
    big = next(record for record in log if len(record.payload) > 10_000)
    assert (big.frames, big.mss) == (-(-len(big.payload) // 1_460), 1_460)
    assert [record.time_ns for record in log] == sorted(record.time_ns for record in log)


def test_timestamps_are_there_when_both_ends_use_them() -> None:
    assert all(record.timestamps is None for record in conversation()[0])
    log, _ = conversation(profile="linux")
    values = {
        nic: [record.timestamps[0] for record in log if record.nic == nic] for nic in ("w2k3/3A_iSCSI", "PS100/eth0")
    }
    assert all(each == sorted(each) for each in values.values())
    assert log[-1].timestamps[1] in values[next(nic for nic in values if nic != log[-1].nic)]


def test_initial_sequence_numbers_depend_on_the_seed_alone() -> None:
    first = conversation()[0]
    assert conversation()[0] == first
    assert conversation(seed=2)[0][0].seq != first[0].seq


def test_watching_changes_nothing() -> None:
    assert conversation(observed=False)[1] == conversation()[1]
