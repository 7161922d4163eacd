"""How the initiator's end of a TCP connection writes: small runs at once, large ones in portions, none while paused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from initiator_model.link import Link, endpoint


class SlowTransport(asyncio.Transport):
    """Takes everything and, when told to, asks for a pause after each write."""

    def __init__(self, link: Link, *, pauses: bool = False) -> None:
        super().__init__()
        self.runs: list[list[bytes]] = []
        self.pauses = pauses
        self.aborted = False
        self._link = link
        link.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("192.168.50.105", 2817), "peername": ("192.168.51.2", 3260)}[name]

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.runs.append(list(list_of_data))
        if self.pauses:
            self._link.pause_writing()

    def abort(self) -> None:
        self.aborted = True


MEGABYTE = [bytes([n]) * 65536 for n in range(16)]


def test_a_small_run_of_buffers_is_one_write() -> None:
    link = Link()
    transport = SlowTransport(link)
    link.write([b"one", b"two"])
    assert transport.runs == [[b"one", b"two"]]
    assert (link.local, link.remote) == ("192.168.50.105:2817", "192.168.51.2:3260")


def test_a_large_run_goes_out_in_portions_and_stops_when_the_transport_is_full() -> None:
    link = Link()
    transport = SlowTransport(link, pauses=True)
    link.write(MEGABYTE)
    assert sum(map(len, transport.runs)) == 2
    link.write([b"last"])
    transport.pauses = False
    link.resume_writing()
    written = b"".join(b"".join(run) for run in transport.runs)
    assert written == b"".join(MEGABYTE) + b"last"


def test_nothing_is_written_after_the_end() -> None:
    link = Link()
    transport = SlowTransport(link, pauses=True)
    link.write(MEGABYTE)
    link.abort("enough")
    link.resume_writing()
    link.write([b"more"])
    assert len(transport.runs) == 1
    assert transport.aborted


def test_the_end_is_heard_once_and_bytes_after_it_by_nobody() -> None:
    link = Link()
    SlowTransport(link)
    heard: list[str] = []
    link.hand_over(lambda data: heard.append(f"data {data!r}"), heard.append)
    link.eof_received()
    link.connection_lost(None)
    assert heard == ["data b''", "the target closed the connection"]


def test_a_peer_that_floods_an_unread_connection_is_cut_off() -> None:
    link = Link()
    transport = SlowTransport(link)
    for _ in range(17):
        link.data_received(bytes(65536))
    assert transport.aborted


def test_an_ipv6_endpoint_stands_in_brackets() -> None:
    assert endpoint(("fe80::1", 3260, 0, 0)) == "[fe80::1]:3260"
