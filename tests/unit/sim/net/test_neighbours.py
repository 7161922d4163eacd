"""Address resolution that fails ends an attempt to connect, where the operating system does that."""

from __future__ import annotations

import asyncio
import errno

import pytest

from sim.loop import SimLoop
from sim.net.network import Network


def connecting(profile: str, *, cut: bool) -> tuple[int | None, float]:
    """The errno an attempt to connect ends with and after how many seconds; None for a refusal by nobody."""
    loop = SimLoop()
    network = Network(loop, 1, 5_000)
    client, server = network.add_host("client", profile), network.add_host("server", "linux")
    client.add_nic("eth0", "10.0.0.1", 24, 10**9, 10_000)
    nic = server.add_nic("eth0", "10.0.0.2", 24, 10**9, 10_000)
    if cut:
        nic.swallow()

    async def attempt() -> tuple[int | None, float]:
        began_s = loop.time()
        try:
            async with asyncio.timeout(15):
                await loop.create_connection(asyncio.Protocol, "10.0.0.2", 3260, local_addr=("10.0.0.1", 0))
        except OSError as error:
            return error.errno, loop.time() - began_s
        return None, loop.time() - began_s

    try:
        return loop.run_coroutine(attempt())
    finally:
        loop.close()


def test_linux_gives_up_after_three_probes_of_a_second() -> None:
    assert connecting("linux", cut=True) == (errno.EHOSTUNREACH, 3.0)


def test_where_somebody_answers_for_the_address_tcp_says_what_is_wrong() -> None:
    code, took_s = connecting("linux", cut=False)
    assert (code, took_s < 0.01) == (errno.ECONNREFUSED, True)


def test_windows_sends_syns_until_the_application_gives_up() -> None:
    code, took_s = connecting("windows-2003", cut=True)
    assert code != errno.EHOSTUNREACH
    assert took_s == pytest.approx(15, abs=0.1)
