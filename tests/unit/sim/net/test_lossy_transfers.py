"""Transfers over cables that ail: what a loss costs by stack, and what reordering and jitter do not cost."""

import asyncio
from dataclasses import replace

import pytest

from sim.env import us
from sim.faults import Fault, JitterFault, Loss, Reorder
from sim.net import SegmentRecord
from sim.net.impairment import Direction
from sim.net.tcp_profiles import LINUX, WINDOWS_2003, WINDOWS_2012, TcpProfile
from tests.unit.sim.net.measure import PORT, Path

BLOCK = 65_536
STACKS = [LINUX, WINDOWS_2012, WINDOWS_2003, replace(LINUX, sack=False), replace(WINDOWS_2012, sack=False)]


def name(profile: TcpProfile) -> str:
    return profile.name + ("" if profile.sack else " without SACK")


@pytest.mark.parametrize("profile", STACKS, ids=name)
def test_a_loss_in_a_stream_does_not_cost_a_time_out(profile: TcpProfile) -> None:
    # 1000 x 64 KiB over 10 Gbit/s with 0.1 % of the frames lost: some 45 losses. Were each found by time-out, as
    # without fast retransmit, that would take 9 s and more. The receiver acknowledges bursts, so that even without
    # SACK several holes in one round trip are rare.
    path = Path(profile, us(60))
    rate = path.goodput(BLOCK, 1_000 * BLOCK, [Loss(path.near, 0.001)])
    assert 1_000 * BLOCK / rate < 0.25


class Answers(asyncio.Protocol):
    """64 KiB for every byte."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in data:
            self.transport.write(bytes(BLOCK))


class Asks(asyncio.Protocol):
    """One question at a time, so many."""

    def __init__(self, count: int) -> None:
        self.left, self.missing = count, BLOCK
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.transport.write(b"?")

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if not self.missing:
            self.left, self.missing = self.left - 1, BLOCK
            if self.left:
                self.transport.write(b"?")
            else:
                self.done.set_result(None)


def seconds(profile: TcpProfile, questions: int, loss: float) -> float:
    path = Path(profile, us(60))

    async def run() -> float:
        await path.loop.create_server(Answers, "10.0.0.2", PORT)
        _, client = await path.loop.create_connection(
            lambda: Asks(questions), "10.0.0.2", PORT, local_addr=("10.0.0.1", 0)
        )
        Loss(path.far, loss, Direction.OUT).apply()
        began_ns = path.loop.now_ns
        await client.done
        return (path.loop.now_ns - began_ns) / 1e9

    return path.loop.run_coroutine(run())


def test_lost_tails_cost_a_time_out_each_where_the_stack_has_no_rack() -> None:
    # 1000 answers of 45 frames at 0.5 %: of some fifteen one of the last three frames is lost, and behind these come
    # too few to tell of it. With RACK only the very last one, which is alone then, needs the time-out.
    with_rack, without = (seconds(profile, 1_000, 0.005) for profile in (LINUX, replace(LINUX, probe_slack_ns=None)))
    assert without > 8 * 0.2
    assert with_rack < 0.8 * without


def resent(path: Path, faults: list[Fault]) -> int:
    """How many segments of 8 MB are sent more than once."""
    highest, again = 0, 0

    def watch(record: SegmentRecord) -> None:
        nonlocal highest, again
        if record.payload and record.nic == "near/nic":
            again += record.seq < highest
            highest = max(highest, record.seq + len(record.payload))

    path.network.observe(watch)
    path.goodput(BLOCK, 8_000_000, faults)
    return again


@pytest.mark.parametrize("profile", STACKS, ids=name)
def test_frames_that_come_late_by_less_than_the_threshold_are_not_sent_again(profile: TcpProfile) -> None:
    path = Path(profile, us(200), 1_000_000_000)
    one_frame_ns = 1_538 * 8
    assert resent(path, [Reorder(path.near, 0.02, one_frame_ns + 1)]) == 0


@pytest.mark.parametrize("profile", STACKS, ids=name)
def test_frames_that_come_late_by_more_are_sent_again_and_nothing_breaks(profile: TcpProfile) -> None:
    path = Path(profile, us(200), 1_000_000_000)
    assert resent(path, [Reorder(path.near, 0.02, us(150))]) > 0


@pytest.mark.parametrize("profile", STACKS, ids=name)
def test_jitter_alone_causes_no_retransmission(profile: TcpProfile) -> None:
    path = Path(profile, us(200), 1_000_000_000)
    assert resent(path, [JitterFault(path.near, us(500)), JitterFault(path.far, us(500))]) == 0
