"""`mpiolab status` and `mpiolab ctl`: what each asks of the array, what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from harness import cli
from harness.serving.control_server import ControlServer
from harness.serving.control_wire import Answer, Refusal, Request
from harness.serving.desk import COMMANDS
from harness.serving.socket_place import claim

STATUS: dict[str, Any] = {
    "array": "PS100",
    "state": "serving",
    "at": "2026-11-23T00:17:58Z",
    "connections": 0,
    "connections_in_login": 0,
    "sessions": [],
    "portals": [],
    "volumes": [],
    "faults": [],
}


class Array:
    """Stands for a served array: remembers what it was asked, and answers as told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[Request] = []
        self.answer: Answer | Refusal = Answer(("done: ü",), {"decisions": []})
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._main()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _main(self) -> None:
        server = ControlServer(claim(self.path), self._handle)
        await server.start()
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _handle(self, request: Request) -> Answer | Refusal:
        self.asked.append(request)
        return Answer(result=STATUS) if request.command == "status" else self.answer

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Array]:
    served = Array(tmp_path / "a.sock")
    yield served
    served.close()


def mpiolab(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("portal down 127.0.51.2", "portal-down", {"address": "127.0.51.2"}),
    ("portal up 127.0.51.2", "portal-up", {"address": "127.0.51.2"}),
    ("drain 127.0.51.2", "drain", {"address": "127.0.51.2"}),
    ("drain 127.0.51.2 --within 30", "drain", {"address": "127.0.51.2", "within_s": 30}),
    ("undrain 127.0.51.2", "undrain", {"address": "127.0.51.2"}),
    ("rebalance", "rebalance", {}),
    ("rebalance --within 5", "rebalance", {"within_s": 5}),
    ("controller-failover", "controller-failover", {"how": "rst"}),
    ("controller-failover --gap 0.5 --how silent", "controller-failover", {"gap_s": 0.5, "how": "silent"}),
    ("logout 7", "logout", {"session": 7}),
    ("logout 7 --within 3", "logout", {"session": 7, "within_s": 3}),
    ("fault on busy", "fault-on", {"name": "busy"}),
    (
        "fault on medium-error --volume logs --lba 8 --blocks 2 --portal 127.0.51.2",
        "fault-on",
        {"name": "medium-error", "volume": "logs", "lba": 8, "blocks": 2, "portal": "127.0.51.2"},
    ),
    (
        "fault on slow --op write --extra 200ms",
        "fault-on",
        {"name": "slow", "op": "write", "extra_ns": 200_000_000},
    ),
    ("fault off redirect-to-dead --to 127.0.51.9", "fault-off", {"name": "redirect-to-dead", "to": "127.0.51.9"}),
    ("grow logs 2GiB --lun 1", "grow", {"volume": "logs", "size_bytes": 2 << 30, "lun": 1}),
    ("access-state 2 standby", "access-state", {"group": 2, "state": "standby"}),
    (
        "access-state 2 active-non-optimized --volume logs",
        "access-state",
        {"group": 2, "state": "active-non-optimized", "volume": "logs"},
    ),
    ("log-level debug", "log-level", {"level": "debug"}),
]


@pytest.mark.parametrize(("line", "command", "arguments"), CALLS, ids=[line for line, _, _ in CALLS])
def test_each_command_asks_what_the_desk_understands(
    array: Array, line: str, command: str, arguments: dict[str, Any]
) -> None:
    ran = mpiolab("ctl", *line.split(), "--socket", str(array.path))
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "done: ü\n", "")
    assert array.asked == [Request(command, arguments)]
    model, _ = COMMANDS[command]
    model.model_validate(arguments)


def test_every_command_of_the_desk_can_be_given() -> None:
    assert {command for _, command, _ in CALLS} | {"status"} == set(COMMANDS)


def test_as_json_the_answer_is_one_object(array: Array) -> None:
    ran = mpiolab("ctl", "rebalance", "--json", "--socket", str(array.path))
    assert json.loads(ran.stdout) == {"command": "rebalance", "said": ["done: ü"], "decisions": []}


def test_a_refusal_goes_to_stderr_and_ends_with_2(array: Array) -> None:
    array.answer = Refusal("there is no session 7: 1, 2")
    ran = mpiolab("ctl", "logout", "7", "--json", "--socket", str(array.path))
    assert (ran.exit_code, ran.stdout, ran.stderr) == (2, "", "there is no session 7: 1, 2\n")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("logout seven", "Invalid value for 'TSIH'"),
        ("controller-failover --how bang", "'bang' is not one of"),
        ("access-state 1 asleep", "'asleep' is not one of"),
        ("access-state one standby", "Invalid value for 'GROUP'"),
        ("log-level loud", "'loud' is not one of"),
        ("grow logs 5", "grow: SIZE: expected a size such as"),
        ("drain", "Missing argument 'ADDRESS'"),
        ("drane", "No such command 'drane'"),
        ("portal sideways 127.0.51.2", "No such command 'sideways'"),
    ],
)
def test_what_no_array_has_to_be_asked_for_is_refused_here(array: Array, line: str, told: str) -> None:
    ran = mpiolab("ctl", *line.split(), "--socket", str(array.path))
    assert ran.exit_code == 2
    assert told in " ".join(ran.stderr.split())
    assert array.asked == []


def test_the_status_is_a_table_or_the_document(array: Array) -> None:
    table = mpiolab("status", "--socket", str(array.path))
    assert table.exit_code == 0
    assert "nobody is logged in" in table.stdout
    document = mpiolab("status", "--json", "--socket", str(array.path))
    assert json.loads(document.stdout) == STATUS


def test_watching_shows_it_anew_until_it_is_interrupted(array: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("harness.serving.commands.time.sleep", nap)
    ran = mpiolab("status", "--json", "--watch", "--socket", str(array.path))
    assert ran.exit_code == 0
    assert [json.loads(line) for line in ran.stdout.splitlines()] == [STATUS] * 3
    naps.clear()
    assert mpiolab("status", "--watch", "--socket", str(array.path)).exit_code == 0
    assert len(array.asked) == 6


def test_an_array_that_stops_under_a_watcher_is_told(array: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.serving.commands.time.sleep", lambda seconds: array.close())
    ran = mpiolab("status", "--json", "--watch", "--socket", str(array.path))
    assert ran.exit_code == 2
    assert ran.stderr.startswith(f"{array.path}: ")


def test_help_is_there_for_every_command() -> None:
    group = typer.main.get_command(cli.app)
    assert {"serve", "status", "ctl"} <= set(group.commands)  # type: ignore[attr-defined]
    assert mpiolab("ctl", "controller-failover", "--help").exit_code == 0
