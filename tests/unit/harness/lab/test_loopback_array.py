"""The array in a thread: it serves, shows what it holds, breaks when told to, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from harness.lab import LoopbackArray
from harness.lab.machines import ARRAY
from harness.mistakes import ScenarioError


@pytest.fixture
def array() -> Iterator[LoopbackArray]:
    made = LoopbackArray()
    made.start()
    yield made
    made.stop()


def connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_group_address_and_portals_are_distinct_and_on_loopback(array: LoopbackArray) -> None:
    address, port = array.address

    assert (address, array.portals) == ("127.0.51.1", ("127.0.51.2", "127.0.51.3", "127.0.51.4"))
    assert all(connects(one, port) for one in (address, *array.portals))
    assert array.url("disk") == f"iscsi://127.0.51.1:{port}/{array.targets['disk']}/0"


def test_two_of_them_go_side_by_side(array: LoopbackArray) -> None:
    other = LoopbackArray()
    other.start()
    try:
        assert other.address != array.address
    finally:
        other.stop()


def test_stopping_leaves_no_thread_and_no_listener() -> None:
    before = threading.active_count()
    array = LoopbackArray()
    array.start()
    hanging = socket.create_connection(array.address)
    array.stop()

    assert threading.active_count() == before
    assert not connects(*array.address)
    with hanging:
        hanging.settimeout(5)
        assert hanging.recv(1) == b""


def test_a_portal_goes_down_and_comes_back(array: LoopbackArray) -> None:
    portal, port = array.portals[1], array.address[1]
    with array.fault("portal_down", portal=portal):
        assert not connects(portal, port)
        assert connects(array.portals[0], port)
    assert connects(portal, port)


def test_a_dead_array_is_back_at_the_same_port(array: LoopbackArray) -> None:
    with array.fault("array_kill"):
        assert not connects(*array.address)
        assert array.connections() == ()
        assert array.drop_connections() == 0
    assert connects(*array.address)


def test_the_arrays_own_faults_are_told(array: LoopbackArray) -> None:
    with array.fault("medium_error", volume="disk", lba=0, blocks=8), array.fault("busy"):
        pass

    assert [line.partition(" (")[0] for line in array.log] == [
        "fault medium-error on",
        "fault busy on",
        "fault busy off",
        "fault medium-error off",
    ]


@pytest.mark.parametrize(
    ("kind", "place", "expected"),
    [
        ("link_down", {"portal": "127.0.51.2"}, "has no meaning on real TCP"),
        ("portal_down", {"portal": "192.168.51.2"}, "no portal"),
        ("medium_error", {"volume": "dsk", "lba": 0, "blocks": 1}, 'did you mean "disk"'),
        ("melted", {}, "kind"),
    ],
)
def test_a_fault_it_cannot_have_is_refused(
    array: LoopbackArray, kind: str, place: dict[str, str], expected: str
) -> None:
    with pytest.raises(ScenarioError, match=expected), array.fault(kind, **place):
        raise AssertionError("not refused")


def test_connections_can_be_dropped_at_one_portal(array: LoopbackArray) -> None:
    port = array.address[1]
    first, second, _ = array.portals
    with socket.create_connection((first, port)) as one, socket.create_connection((second, port)) as other:
        assert array.drop_connections(first) == 1
        assert one.recv(1) == b""
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.recv(1)


def test_a_mistake_in_its_tables_is_told_with_the_key() -> None:
    with pytest.raises(ScenarioError, match=r"array.placement.fixed: no portal"):
        LoopbackArray({**ARRAY, "placement": {"fixed": "192.168.51.9"}})


def test_an_error_in_its_thread_fails_the_test_that_caused_it() -> None:
    array = LoopbackArray()
    array.start()

    async def fail_later() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)

    array._ask(fail_later())
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        array.stop()


def test_an_address_this_machine_has_not_is_named() -> None:
    array = LoopbackArray()
    array._model = array._model.model_copy(update={"group": "198.51.100.1/24"})
    with pytest.raises(OSError, match=r"198\.51\.100\.1 cannot be had on this machine"):
        array.start()
