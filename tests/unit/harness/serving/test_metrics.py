"""The metrics, as Prometheus' own parser reads them, and the little HTTP that gives them away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.serving import metrics_http
from harness.serving.metrics import CONTENT_TYPE, ArrayMetrics
from harness.serving.metrics_http import MAX_CLIENTS, MetricsServer

ADDRESS = "127.0.107.1"
NOTHING = {"reads": 0, "writes": 0, "received_bytes": 0, "sent_bytes": 0}

STATUS: dict[str, Any] = {
    "connections_in_login": 3,
    "faults": [{"name": "silent", "place": "portal 127.0.107.2"}],
    "sessions": [{"outstanding": 5}, {"outstanding": 2}],
    "portals": [
        {"address": "127.0.107.1", "state": "up", "connections": 0, "totals": NOTHING},
        {"address": "127.0.107.2", "state": "drained", "connections": 2, "totals": NOTHING | {"sent_bytes": 1 << 40}},
    ],
    "volumes": [
        {
            "name": 'quo"te\\new\nline',
            "sessions": 2,
            "luns": [
                {"lun": 0, "size_bytes": 1 << 41, "used_bytes": 4096, "reservation": {"type": "reserve"}},
                {"lun": 7, "size_bytes": 512, "used_bytes": None, "reservation": None},
            ],
        }
    ],
}
TALLIES = {"mpiolab_logins": {"admitted": 4, "0x0101 moved temporarily": 2}, "mpiolab_decisions": {"login": 6}}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: bytes) -> Samples:
    """Every sample by name and labels; each family must have its HELP and TYPE."""
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, "a sample twice"
            found[key] = sample.value
    return found


def test_the_metrics_say_what_the_status_says() -> None:
    found = parsed(ArrayMetrics(lambda: STATUS, lambda: TALLIES).text())
    volume = ("volume", 'quo"te\\new\nline')
    assert found["mpiolab_sessions", ()] == 2
    assert found["mpiolab_outstanding_commands", ()] == 7
    assert found["mpiolab_connections_in_login", ()] == 3
    assert found["mpiolab_faults", ()] == 1
    assert found["mpiolab_portal_connections", (("address", "127.0.107.2"),)] == 2
    assert found["mpiolab_portal_sent_bytes_total", (("address", "127.0.107.2"),)] == 1 << 40
    state = {
        labels[1][1]: value
        for (name, labels), value in found.items()
        if name == "mpiolab_portal_state" and labels[0][1] == "127.0.107.2"
    }
    assert state == {"up": 0, "drained": 1, "down": 0}
    assert found["mpiolab_volume_size_bytes", (("lun", "0"), volume)] == 1 << 41
    assert found["mpiolab_volume_used_bytes", (("lun", "0"), volume)] == 4096
    assert ("mpiolab_volume_used_bytes", (("lun", "7"), volume)) not in found
    assert found["mpiolab_volume_reserved", (("lun", "0"), volume)] == 1
    assert found["mpiolab_logins_total", (("answer", "0x0101 moved temporarily"),)] == 2
    assert found["mpiolab_decisions_total", (("kind", "login"),)] == 6


def test_every_family_is_announced_once() -> None:
    lines = ArrayMetrics(lambda: STATUS, lambda: TALLIES).text().decode().splitlines()
    for word in ("# HELP ", "# TYPE "):
        names = [line.removeprefix(word).split(" ")[0] for line in lines if line.startswith(word)]
        assert names == list(dict.fromkeys(names))
        assert len(names) > 12


# -- HTTP --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving() -> AsyncIterator[MetricsServer]:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port = probe.getsockname()[1]
    async with asyncio.timeout(20):
        server = MetricsServer(ADDRESS, port, lambda: b"mpiolab_up 1\n", CONTENT_TYPE)
        await server.start()
        try:
            yield server
        finally:
            server.close()


async def connect(server: MetricsServer) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (server.address, server.port))
    return client


async def answer(server: MetricsServer, *pieces: bytes) -> bytes:
    """Everything that comes back for a request."""
    loop = asyncio.get_running_loop()
    client = await connect(server)
    heard = b""
    try:
        for piece in pieces:
            await loop.sock_sendall(client, piece)
            await asyncio.sleep(0.01)
        while data := await loop.sock_recv(client, 65536):
            heard += data
    except ConnectionResetError:
        heard += b"[reset]"
    finally:
        client.close()
    return heard


def test_a_scrape_is_answered_as_prometheus_wants_it() -> None:
    async def main() -> None:
        async with serving() as server:
            heard = await answer(server, b"GET /metrics HTTP/1.1\r\nHost: x\r\n", b"Accept: */*\r\n\r\n")
            head, _, body = heard.partition(b"\r\n\r\n")
            assert head.splitlines() == [
                b"HTTP/1.1 200 OK",
                b"Content-Type: text/plain; version=0.0.4; charset=utf-8",
                b"Content-Length: 13",
                b"Connection: close",
            ]
            assert body == b"mpiolab_up 1\n"
            head = await answer(server, b"HEAD /metrics?a=b HTTP/1.0\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert head.endswith(b"\r\n\r\n")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /metrics\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics SPDY/3\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000, b"431 Request Header Fields Too Large"),
    ],
)
def test_anything_else_is_refused(request_bytes: bytes, status: bytes) -> None:
    async def main() -> None:
        async with serving() as server:
            assert (await answer(server, request_bytes)).startswith(b"HTTP/1.1 " + status)

    asyncio.run(main())


def test_a_client_that_takes_its_time_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_http, "REQUEST_S", 0.05)

    async def main() -> None:
        async with serving() as server:
            assert await answer(server, b"GET /met") in (b"", b"[reset]")
            assert server.clients == []

    asyncio.run(main())


def test_too_many_clients_are_not_waited_for() -> None:
    async def main() -> None:
        async with serving() as server:
            clients = [await connect(server) for _ in range(MAX_CLIENTS)]
            while len(server.clients) < MAX_CLIENTS:
                await asyncio.sleep(0.01)
            assert await answer(server, b"") in (b"", b"[reset]")
            for client in clients:
                client.close()

    asyncio.run(main())
