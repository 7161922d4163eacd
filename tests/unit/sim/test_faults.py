"""Faults: what each end notices, when, and that healing mends."""

import asyncio
import errno

import pytest

from sim.faults import (
    Blackhole,
    ClogFault,
    Corrupt,
    HostReboot,
    JitterFault,
    Latency,
    LinkDown,
    Loss,
    PortalDown,
    ProcessKill,
    Rate,
    Reorder,
    ShortQueue,
)
from sim.net import SegmentRecord
from sim.net.impairment import Direction
from sim.net.segment import RST
from tests.unit.sim.net.bench import GROUP, NIC_A, NIC_B, PORTAL_1, PORTAL_2, Bench, Peer


@pytest.fixture
def bench() -> Bench:
    return Bench()


def in_a_connection(bench: Bench, test) -> None:
    async def main() -> None:
        await bench.listen()
        await test(*await bench.pair())

    bench.run(main())


def test_a_lost_carrier_is_noticed_at_once_and_only_by_this_interface(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        second, _ = await bench.pair(source=NIC_B, portal=PORTAL_2)
        fault = LinkDown(bench.nic_a, carrier=True)
        before_ns = bench.loop.now_ns
        fault.apply()
        await asyncio.sleep(0)
        assert isinstance(peer.lost[0], ConnectionAbortedError)
        assert peer.lost_ns == before_ns
        assert second.lost == []
        assert other.lost == []  # no reset got out
        assert bench.host.source_for(GROUP) == NIC_B
        with pytest.raises(OSError, match="no carrier") as error:
            await bench.connect()
        assert error.value.errno == errno.ENETUNREACH
        fault.heal()
        assert bench.host.source_for(GROUP) == NIC_A
        await bench.connect()
        other.transport.write(b"anyone?")  # the host knows the old connection no more
        await asyncio.sleep(0.001)
        assert isinstance(other.lost[0], ConnectionResetError)

    in_a_connection(bench, test)


def test_without_carrier_loss_there_is_silence_until_tcp_gives_up(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        LinkDown(bench.nic_a, carrier=False).apply()
        before_ns = bench.loop.now_ns
        peer.transport.write(b"anyone?")
        await asyncio.sleep(60)
        assert isinstance(peer.lost[0], TimeoutError)
        assert 15 <= (peer.lost_ns - before_ns) / 1e9 <= 25
        assert other.lost == []

    in_a_connection(bench, test)


def test_an_arrays_cable_takes_its_frames_but_not_its_hosts_carrier(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        fault = LinkDown(bench.eth0, carrier=True)
        fault.apply()
        peer.transport.write(b"held up")
        await asyncio.sleep(1)
        assert peer.lost == other.lost == []
        assert other.received == b""
        fault.heal()
        await asyncio.sleep(2)
        assert other.received == b"held up"

    in_a_connection(bench, test)


@pytest.mark.parametrize(("nic", "after_s"), [("nic_a", 0.000_005), ("eth0", 0.000_015)])
def test_what_is_on_the_wire_when_the_cable_goes_is_lost(bench: Bench, nic: str, after_s: float) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        fault = Blackhole(getattr(bench, nic))
        peer.transport.write(b"under way")
        await asyncio.sleep(after_s)
        fault.apply()
        await asyncio.sleep(0.1)
        assert other.received == b""
        fault.heal()
        await asyncio.sleep(1)
        assert other.received == b"under way"

    in_a_connection(bench, test)


def test_a_host_without_power_sends_nothing_not_even_later(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        other.transport.write(b"never acknowledged")
        fault = HostReboot(bench.array)
        fault.apply()
        log: list[SegmentRecord] = []
        bench.network.observe(log.append)
        other.transport.write(b"a ghost's")
        await asyncio.sleep(20)
        fault.heal()
        await asyncio.sleep(20)
        assert [record for record in log if record.nic.startswith("PS100/") and not record.flags & RST] == []

    in_a_connection(bench, test)


def test_two_faults_at_one_place_hold_independently(bench: Bench) -> None:
    one, two, cable = Blackhole(bench.nic_a), Blackhole(bench.nic_a), LinkDown(bench.nic_a)
    for fault in (one, two, cable, one):
        fault.apply()
    for fault in (one, one, cable):
        fault.heal()
    assert not bench.nic_a.passing
    assert bench.nic_a.carrier
    two.heal()
    assert bench.nic_a.passing


@pytest.mark.parametrize("direction", list(Direction))
def test_a_blackhole_may_swallow_one_direction_only(bench: Bench, direction: Direction) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        fault = Blackhole(bench.nic_a, direction)
        fault.apply()
        peer.transport.write(b"question")
        other.transport.write(b"answer")
        await asyncio.sleep(0.1)
        heard = direction is Direction.IN
        assert (bytes(other.received), bytes(peer.received)) == ((b"question", b"") if heard else (b"", b"answer"))
        assert not bench.nic_a.passing
        fault.heal()
        await asyncio.sleep(5)
        assert (bytes(other.received), bytes(peer.received)) == (b"question", b"answer")
        assert bench.nic_a.passing

    in_a_connection(bench, test)


@pytest.mark.parametrize("direction", list(Direction))
def test_what_a_clog_holds_comes_at_once_and_in_order_when_it_ends(bench: Bench, direction: Direction) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        log: list[SegmentRecord] = []
        bench.network.observe(log.append)
        fault = ClogFault(bench.nic_a, direction)
        fault.apply()
        peer.transport.write(b"one, ")
        other.transport.write(b"1, ")
        await asyncio.sleep(0.01)
        peer.transport.write(b"two")
        other.transport.write(b"2")
        await asyncio.sleep(0.01)
        clogged, free = (peer, other) if direction is Direction.IN else (other, peer)
        assert clogged.received == b""
        assert free.received != b""
        before_ns = bench.loop.now_ns
        fault.heal()
        await asyncio.sleep(0.001)
        assert (bytes(other.received), bytes(peer.received)) == (b"one, two", b"1, 2")
        assert clogged.arrived_ns - before_ns < 100_000
        assert not [record for record in log if record.payload in (b"one, two", b"1, 2")]  # nothing was sent again

    in_a_connection(bench, test)


def test_after_a_fault_of_the_cable_a_nic_is_as_before(bench: Bench) -> None:
    nic = bench.nic_a
    faults = [
        Loss(nic, 0.5),
        Corrupt(nic, 0.5, Direction.IN),
        Reorder(nic, 0.5, 1_000, Direction.OUT),
        JitterFault(nic, 1_000),
        ShortQueue(nic, 10_000),
        ClogFault(nic),
        Blackhole(nic, Direction.OUT),
    ]
    for fault in (*faults, *faults):
        fault.apply()
    assert nic.inward is not None
    assert nic.outward is not None
    for fault in (*reversed(faults), *faults):
        fault.heal()
    assert nic.inward is nic.outward is None
    assert nic.passing


def test_half_of_the_frames_lost_delays_a_message_but_does_not_change_it(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        fault = Loss(bench.nic_a, 0.3)
        fault.apply()
        message = bytes(range(256)) * 200
        peer.transport.write(message)
        await asyncio.sleep(30)
        assert message.startswith(other.received)
        fault.heal()
        await asyncio.sleep(30)
        assert other.received == message

    in_a_connection(bench, test)


def test_corrupted_bytes_reach_the_application(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        Corrupt(bench.nic_a, 1.0, Direction.OUT).apply()
        message = bytes(20_000)
        peer.transport.write(message)
        await asyncio.sleep(0.1)
        assert len(other.received) == len(message)
        assert sum(byte != 0 for byte in other.received) == 14  # one byte of each frame

    in_a_connection(bench, test)


def test_latency_and_rate_come_and_go(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        async def one_way_ns() -> int:
            before_ns = bench.loop.now_ns
            peer.transport.write(bytes(1_460))
            await asyncio.sleep(0.1)
            return other.arrived_ns - before_ns

        quick = await one_way_ns()
        late, slow = Latency(bench.nic_a, 1_000_000), Rate(bench.eth0, 100_000_000)
        for fault in (late, late, slow, slow):
            fault.apply()
        assert await one_way_ns() == quick + 1_000_000 + 9 * 1_538 * 8
        for fault in (late, late, slow, slow):
            fault.heal()
        assert await one_way_ns() == quick

    in_a_connection(bench, test)


def test_a_portal_that_is_down_answers_nothing_and_comes_back(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        fault = PortalDown(bench.eth0, PORTAL_1)
        fault.apply()
        fault.apply()
        assert await bench.connect(portal=GROUP)  # its interface's other address stays
        connecting = bench.loop.create_task(bench.connect(portal=PORTAL_1))
        peer.transport.write(b"held up")
        await asyncio.sleep(2)
        assert not connecting.done()
        fault.heal()
        await connecting  # a repeated SYN got through
        await asyncio.sleep(5)
        assert other.received == b"held up"

    in_a_connection(bench, test)


def test_a_killed_process_resets_its_connections_and_refuses_new_ones(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        calls: list[str] = []
        fault = ProcessKill(
            bench.array, stopped=lambda: calls.append("stopped"), restarted=lambda: calls.append("restarted")
        )
        fault.apply()
        fault.apply()
        await asyncio.sleep(0.001)
        assert isinstance(peer.lost[0], ConnectionResetError)
        assert other.lost == []  # the dead are told nothing
        other.transport.write(b"ghost")
        with pytest.raises(ConnectionRefusedError):
            await bench.connect()
        fault.heal()
        fault.heal()
        assert calls == ["stopped", "restarted"]
        await bench.listen()
        await bench.connect()
        assert peer.received == b""

    in_a_connection(bench, test)


def test_a_process_that_vanishes_is_found_out_by_the_next_segment(bench: Bench) -> None:
    async def test(peer: Peer, _: Peer) -> None:
        ProcessKill(bench.array, reset=False).apply()
        await asyncio.sleep(10)
        assert peer.lost == []
        peer.transport.write(b"anyone?")
        await asyncio.sleep(0.001)
        assert isinstance(peer.lost[0], ConnectionResetError)

    in_a_connection(bench, test)


def test_a_rebooted_host_is_silent_first_and_resets_afterwards(bench: Bench) -> None:
    async def test(peer: Peer, other: Peer) -> None:
        fault = HostReboot(bench.array)
        fault.apply()
        peer.transport.write(b"anyone?")
        await asyncio.sleep(2)
        assert peer.lost == []
        with pytest.raises(OSError, match=r"has no 192.168.51.3 now") as error:
            await bench.listen(PORTAL_2)
        assert error.value.errno == errno.EADDRNOTAVAIL
        fault.heal()
        await asyncio.sleep(10)
        assert isinstance(peer.lost[0], ConnectionResetError)
        assert other.lost == []
        with pytest.raises(ConnectionRefusedError):
            await bench.connect()

    in_a_connection(bench, test)


def test_impossible_faults_are_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="w2k3/3A_iSCSI: extra latency"):
        Latency(bench.nic_a, -1)
    with pytest.raises(ValueError, match="w2k3/3A_iSCSI: a rate"):
        Rate(bench.nic_a, 0)
    for impossible in (0, -0.1, 1.1):
        with pytest.raises(ValueError, match="w2k3/3A_iSCSI: expected a share of the frames above 0 and at most 1"):
            Loss(bench.nic_a, impossible)
    with pytest.raises(ValueError, match="w2k3/3A_iSCSI: a frame that comes late"):
        Reorder(bench.nic_a, 0.5, 0)
    with pytest.raises(ValueError, match="w2k3/3A_iSCSI: jitter"):
        JitterFault(bench.nic_a, 0)
    with pytest.raises(ValueError, match="w2k3/3A_iSCSI: a queue"):
        ShortQueue(bench.nic_a, 0)
    with pytest.raises(ValueError, match=r"w2k3/3A_iSCSI has no address 1.2.3.4"):
        PortalDown(bench.nic_a, "1.2.3.4").apply()
