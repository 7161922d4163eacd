"""Hosts: addresses, sources, ports, and what netstat shows."""

import asyncio
import errno
from collections.abc import Callable

import pytest

from sim.net import SocketRow
from tests.unit.sim.net.bench import GROUP, NIC_A, NIC_B, PORT, PORTAL_1, PORTAL_2, Bench


def test_the_default_source_is_the_first_interface_on_the_subnet() -> None:
    bench = Bench()
    assert bench.host.source_for(GROUP) == NIC_A
    with pytest.raises(OSError, match=r"no interface towards 10.1.1.1") as error:
        bench.host.source_for("10.1.1.1")
    assert error.value.errno == errno.ENETUNREACH


def test_ephemeral_ports_are_taken_in_sequence_past_those_in_use() -> None:
    bench = Bench()
    host = bench.network.add_host("other", "windows-2003", next_port=2_815)
    host.add_nic("nic", "192.168.50.1", 22)

    async def main() -> None:
        await bench.listen()
        peers = [await bench.connect(source="192.168.50.1", portal=portal) for portal in (GROUP, PORTAL_1, PORTAL_2)]
        assert [peer.transport.get_extra_info("sockname")[1] for peer in peers] == [2_815, 2_816, 2_817]
        host._next_port = 2_816
        peer = await bench.connect(source="192.168.50.1")
        assert peer.transport.get_extra_info("sockname") == ("192.168.50.1", 2_818)

    bench.run(main())


def test_ports_start_over_and_can_run_out() -> None:
    bench = Bench()
    host = bench.network.add_host("other", "windows-2003", next_port=5_000)
    assert [host.take_port("any") for _ in range(2)] == [5_000, 1_025]
    with pytest.raises(ValueError, match="outside windows-2003's ephemeral ports, 1025 to 5000"):
        bench.network.add_host("third", "windows-2003", next_port=50_000)


def test_netstat_shows_listeners_connections_and_offload() -> None:
    bench = Bench()

    async def main() -> None:
        await bench.listen(PORTAL_1)
        await bench.pair(NIC_A)
        await bench.pair(NIC_B)
        assert bench.host.connections() == [
            SocketRow((NIC_A, 1_025), (PORTAL_1, PORT), "ESTABLISHED", offload=True),
            SocketRow((NIC_B, 1_026), (PORTAL_1, PORT), "ESTABLISHED", offload=False),
        ]
        assert bench.array.connections()[0] == SocketRow((PORTAL_1, PORT), None, "LISTENING", offload=False)

    bench.run(main())


def test_time_wait_holds_the_port_of_who_closed_first() -> None:
    bench = Bench()

    async def main() -> None:
        await bench.listen()
        peer, _ = await bench.pair()
        peer.transport.close()
        await asyncio.sleep(1)
        assert bench.states(bench.host) == ["TIME_WAIT"]
        assert bench.states(bench.array) == []
        bench.host._next_port = 1_025
        assert bench.host.take_port(NIC_A) == 1_026
        await asyncio.sleep(240)
        assert bench.states(bench.host) == []

    bench.run(main())


def test_a_connect_names_what_is_wrong_with_its_source() -> None:
    bench = Bench()

    async def main() -> None:
        with pytest.raises(OSError, match=r"no host has 192.168.50.9") as error:
            await bench.connect(source="192.168.50.9")
        assert error.value.errno == errno.EADDRNOTAVAIL
        with pytest.raises(OSError, match=r"does not reach 10.1.1.1") as error:
            await bench.connect(portal="10.1.1.1")
        assert error.value.errno == errno.ENETUNREACH
        with pytest.raises(ValueError, match="IPv4 literals, not 'ps100'"):
            await bench.connect(portal="ps100")
        with pytest.raises(ValueError, match="local_addr is wanted"):
            await bench.loop.create_connection(asyncio.Protocol, PORTAL_1, PORT)

    bench.run(main())


def test_a_connect_to_an_address_nobody_has_times_out_as_windows_does() -> None:
    bench = Bench()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await bench.connect(portal="192.168.51.99")
        assert bench.loop.now_ns == 21_000_000_000
        assert bench.states(bench.host) == []

    bench.run(main())


def test_a_cancelled_connect_leaves_nothing_behind() -> None:
    bench = Bench()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await bench.connect(portal="192.168.51.99")
        assert bench.states(bench.host) == []

    bench.run(main())


def test_a_portals_address_can_move_to_another_interface() -> None:
    bench = Bench()

    async def main() -> None:
        await bench.listen()
        peer, other = await bench.pair(portal=PORTAL_1)
        bench.eth0.remove_address(PORTAL_1)
        bench.eth1.add_address(PORTAL_1)
        peer.transport.write(b"to eth1")
        await asyncio.sleep(0.01)
        assert other.received == b"to eth1"

    bench.run(main())


def test_a_host_can_connect_to_itself() -> None:
    bench = Bench()

    async def main() -> None:
        await bench.listen(PORTAL_1)
        peer = await bench.connect(source=PORTAL_2, portal=PORTAL_1)
        peer.transport.write(b"hello me")
        await asyncio.sleep(0.001)
        assert bench.accepted[0].received == b"hello me"

    bench.run(main())


def test_a_backlog_bounds_the_half_open() -> None:
    bench = Bench()

    async def main() -> None:
        await bench.loop.create_server(asyncio.Protocol, PORTAL_1, PORT, backlog=2)
        bench.eth0.from_switch.latency_ns = 1_000
        bench.eth0.to_switch.latency_ns = 1_000_000_000  # answers take a second: everyone is half open till then
        attempts = [bench.loop.create_task(bench.connect()) for _ in range(5)]
        await asyncio.sleep(0.5)
        assert bench.states(bench.array) == ["SYN_RECEIVED"] * 2
        await asyncio.gather(*attempts)  # the others' SYNs are sent again

    bench.run(main())


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda bench: bench.host.add_nic("3A_iSCSI", "192.168.50.3", 22), "w2k3 has an interface 3A_iSCSI already"),
        (lambda bench: bench.nic_a.add_address(PORTAL_1), "192.168.51.2 belongs to PS100/eth0"),
        (lambda bench: bench.network.add_host("w2k3", "linux"), "the network has a host w2k3 already"),
        (lambda bench: bench.host.add_nic("x", "192.168.50.3", 33), "w2k3/x: prefix 0 to 32"),
        (lambda bench: bench.network.add_host("warp", "os2"), "no TCP profile 'os2'; there are windows-2003,"),
    ],
)
def test_mistakes_in_the_layout_are_named(make: Callable[[Bench], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make(Bench())
