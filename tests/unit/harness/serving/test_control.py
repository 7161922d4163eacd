"""The control socket, both ends: requests in order, bounded, and clients that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.serving import control_server
from harness.serving.control_client import ControlError, connected
from harness.serving.control_server import MAX_CLIENTS, ControlServer
from harness.serving.control_wire import (
    MAX_REQUEST_BYTES,
    Answer,
    Refusal,
    Request,
    WireError,
    decode_answer,
    decode_request,
)
from harness.serving.socket_place import claim


async def echo(request: Request) -> Answer | Refusal:
    if request.command == "no":
        return Refusal("no")
    if request.command == "slow":
        await asyncio.sleep(0.05)
    return Answer((request.command,), dict(request.arguments))


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[ControlServer]:
    """A control server over `echo`; everything must be over within 20 s."""
    async with asyncio.timeout(20):
        server = ControlServer(claim(path), echo)
        await server.start()
        try:
            yield server
        finally:
            server.close()


def list_of(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def in_thread(call: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, call)


class Raw:
    """A client on a bare socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setblocking(False)
        self._path = path

    async def connect(self) -> Raw:
        await asyncio.get_running_loop().sock_connect(self.socket, str(self._path))
        return self

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def line(self) -> dict[str, Any] | None:
        """The next answer, None at the end."""
        data = b""
        while not data.endswith(b"\n"):
            byte = await asyncio.get_running_loop().sock_recv(self.socket, 1)
            if not byte:
                return None
            data += byte
        answer: dict[str, Any] = json.loads(data)
        return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.sock"


# -- the wire ----------------------------------------------------------------------------------------------------------


def test_a_line_is_read_as_it_was_written() -> None:
    request = Request("drain", {"address": "127.0.51.2", "within_s": 5})
    assert decode_request(request.encode()) == request
    answer = Answer(("drained",), {"decisions": []})
    assert decode_answer(answer.encode()) == answer
    assert decode_answer(Refusal("no").encode()) == Refusal("no")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"5",
        b"{",
        b"\xff",
        b"[" * 60000,
        b'{"command": "status"}',
        b'{"v": 2, "command": "status"}',
        b'{"v": 1, "command": 5}',
        b'{"v": 1, "command": "status", "arguments": []}',
        b'{"v": 1}',
    ],
)
def test_what_is_no_request_is_refused_in_words(line: bytes) -> None:
    with pytest.raises(WireError, match="expected"):
        decode_request(line)


@pytest.mark.parametrize("line", [b"{}", b'{"v": 1}', b'{"v": 1, "ok": true}', b'{"v": 1, "ok": false, "error": 5}'])
def test_what_is_no_answer_is_an_error(line: bytes) -> None:
    with pytest.raises(WireError):
        decode_answer(line)


# -- the server --------------------------------------------------------------------------------------------------------


def test_requests_are_answered_one_after_the_other(path: Path) -> None:
    async def main() -> None:
        async with serving(path):
            client = await Raw(path).connect()
            await client.send(b"".join(Request(name).encode() for name in ("slow", "quick", "no")))
            assert [await client.line() for _ in range(3)] == [
                {"v": 1, "ok": True, "said": ["slow"], "result": {}},
                {"v": 1, "ok": True, "said": ["quick"], "result": {}},
                {"v": 1, "ok": False, "error": "no"},
            ]
            await client.send(b"nonsense\n" + Request("again").encode())
            assert (await client.line() or {})["ok"] is False
            assert (await client.line() or {})["said"] == ["again"]
            client.socket.close()

    asyncio.run(main())


def test_a_request_that_does_not_end_is_refused(path: Path) -> None:
    async def main() -> None:
        async with serving(path):
            client = await Raw(path).connect()
            await client.send(b"x" * (MAX_REQUEST_BYTES + 1))
            assert await client.line() == {"v": 1, "ok": False, "error": "a request has at most 65536 bytes"}
            assert await client.line() is None
            client.socket.close()

    asyncio.run(main())


def test_too_many_clients_are_sent_away(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as server:
            clients = [await Raw(path).connect() for _ in range(MAX_CLIENTS)]
            while len(server.clients) < MAX_CLIENTS:
                await asyncio.sleep(0.01)
            late = await Raw(path).connect()
            assert await late.line() == {"v": 1, "ok": False, "error": "more than 16 clients at once"}
            clients[0].socket.close()
            while len(server.clients) == MAX_CLIENTS:
                await asyncio.sleep(0.01)
            again = await Raw(path).connect()
            await again.send(Request("hello").encode())
            assert (await again.line() or {})["said"] == ["hello"]
            for client in [*clients, late, again]:
                client.socket.close()

    asyncio.run(main())


def test_a_client_that_says_nothing_is_let_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "IDLE_S", 0.05)

    async def main() -> None:
        async with serving(path) as server:
            client = await Raw(path).connect()
            with pytest.raises((ConnectionResetError, AssertionError)):
                assert await client.line() is not None
            assert server.clients == []
            client.socket.close()

    asyncio.run(main())


def test_a_client_that_does_not_read_costs_one_answer(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as server:
            asked: list[str] = []

            async def large(request: Request) -> Answer:
                asked.append(request.command)
                return Answer(("x" * (4 << 20),))

            server.handle = large
            client = await Raw(path).connect()
            await client.send(Request("a").encode() * 100)
            await asyncio.sleep(0.2)
            assert len(asked) == 1
            client.socket.close()

    asyncio.run(main())


def test_closing_takes_the_socket_away_and_hangs_up(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as server:
            client = await Raw(path).connect()
            await client.send(Request("hello").encode())
            await client.line()
            server.close()
            assert list_of(path.parent) == []
            assert await client.line() is None
            client.socket.close()

    asyncio.run(main())


# -- the client --------------------------------------------------------------------------------------------------------


def test_the_client_asks_and_is_answered(path: Path) -> None:
    def ask() -> tuple[Answer, str]:
        with connected(path) as client:
            answer = client.ask(Request("hello", {"a": "ü"}))
            with pytest.raises(ControlError) as refused:
                client.ask(Request("no"))
            return answer, str(refused.value)

    async def main() -> None:
        async with serving(path):
            assert await in_thread(ask) == (Answer(("hello",), {"a": "ü"}), "no")

    asyncio.run(main())


def test_nobody_there_is_a_sentence(path: Path) -> None:
    with pytest.raises(ControlError, match=r"a\.sock: no array is served there"), connected(path):
        pass
    claim(path).listener.close()
    with pytest.raises(ControlError, match=r"a\.sock: no array is served there"), connected(path):
        pass


def test_an_array_that_hangs_up_or_talks_nonsense_is_a_sentence(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as server:

            async def gone(request: Request) -> Answer:
                server.close()
                await asyncio.sleep(1)
                return Answer()

            server.handle = gone

            def ask() -> str:
                with connected(path) as client, pytest.raises(ControlError) as error:
                    client.ask(Request("hello"))
                return str(error.value)

            assert await in_thread(ask) == f"{path}: the array hung up"

    asyncio.run(main())
