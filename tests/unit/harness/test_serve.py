"""The array alone on real TCP: what it says to a person, and that it comes and goes cleanly."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.array import group_config
from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.serve import ServeError, example_array, greeting, serve
from iscsi.constants import AsyncEvent
from iscsi.login_initiator import LoginDone
from iscsi.pdu import AsyncMessage, LogoutRequest, LogoutResponse
from target.block_file import open_volume
from target.decisions import Decision
from tests.support.array import VOLUME
from tests.support.array_on_tcp import TcpPeer
from tests.support.runs import HOST, two_paths

GROUP = "127.0.77.1"


def array_file(folder: Path, port: int, *, file: str = "", name: str = "logs") -> Path:
    """A file with `[array]` alone."""
    path = folder / "array.toml"
    path.write_text(
        f"""
[array]
name = "PS100"
group = "192.168.77.1/22"
portals = ["192.168.77.2", "192.168.77.3"]
port = {port}
[[array.volumes]]
name = "logs"
size = "1MiB"
{f'file = "{file}"' if file else ""}
[[array.volumes.access]]
source = "0.0.0.0/0"
[[array.volumes]]
name = "{name}-2"
size = "1MiB"
[[array.volumes.access]]
source = "0.0.0.0/0"
"""
    )
    return path


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((GROUP, 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def taken(address: str, port: int) -> Iterator[None]:
    """Somebody else listens there."""
    with socket.socket() as other:
        other.bind((address, port))
        other.listen()
        yield


def test_the_greeting_says_where_to_discover_and_what_is_there() -> None:
    lines = greeting(group_config(example_array()))
    assert lines[0] == "PS100: discover at 192.168.51.1:3260"
    assert lines[1] == "logins are redirected to 192.168.51.2, 192.168.51.3, 192.168.51.4 (least-connections)"
    assert lines[2].startswith("  iscsi://192.168.51.1:3260/iqn.2001-05.com.equallogic:")
    assert lines[2].endswith("/0   iscsi-test, 1073741824 bytes")


def test_an_array_that_lists_its_portals_is_discovered_at_the_first() -> None:
    tables = two_paths({"do": "discover"}, kind="listed")
    del tables["array"]["group"]
    lines = greeting(group_config(scenario_from(tables).array))
    assert lines[0] == "PS100: discover at 192.168.77.2:3260"
    assert not any("redirected" in line for line in lines)


@pytest.mark.parametrize(
    ("answer", "portal", "words"),
    [
        ("redirect", "192.168.77.3", "asks for iqn.x:logs: redirect to 192.168.77.3 (least loaded)"),
        ("serve", "192.168.77.1", "asks for iqn.x:logs: serve (least loaded)"),
        ("refuse", None, "asks for iqn.x:logs: refuse (least loaded)"),
    ],
)
def test_a_decision_is_one_line(answer: Any, portal: str | None, words: str) -> None:
    decision = Decision(
        initiator=HOST,
        target="iqn.x:logs",
        source="192.168.76.105",
        arrived_at="192.168.77.1",
        answer=answer,
        portal=portal,
        reason="least loaded",
    )
    assert decision.words == f"192.168.76.105 -> 192.168.77.1: {HOST} {words}"


def test_a_volume_file_is_made_and_the_array_stops_on_sigterm(tmp_path: Path) -> None:
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("  iscsi://") and "logs-2" in text:
            os.kill(os.getpid(), signal.SIGTERM)

    serve(array_file(tmp_path, a_free_port(), file=str(tmp_path / "volume")), as_written=False, say=say)

    assert said[0].startswith("PS100: discover at 127.0.77.1:")
    assert said[-1] == "stopped"
    assert (tmp_path / "volume").stat().st_size == 1 << 20


def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    port = a_free_port()
    with taken("127.0.77.3", port), pytest.raises(ServeError) as caught:
        serve(array_file(tmp_path, port), as_written=False, say=lambda text: None)
    assert str(caught.value).startswith(f"cannot listen at 127.0.77.3:{port}: ")
    with socket.socket() as again:  # what had been bound before is free again
        again.bind((GROUP, port))


def test_addresses_as_written_must_be_this_machine_s(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"cannot listen at 192\.168\.77\.1:\d+: "):
        serve(array_file(tmp_path, 3260), as_written=True, say=lambda text: None)


def test_a_volume_file_that_cannot_be_used_is_named_with_its_volume(tmp_path: Path) -> None:
    place = tmp_path / "no such directory" / "volume"
    with pytest.raises(ServeError, match=r"volume logs: .*/volume cannot be made: there is no directory .*directory$"):
        serve(array_file(tmp_path, a_free_port(), file=str(place)), as_written=False, say=lambda text: None)


def test_a_volume_file_that_another_array_serves_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "volume"
    other = open_volume(place, 1 << 20)
    with pytest.raises(ServeError, match=f"^volume logs: {place} is in use: another process"):
        serve(array_file(tmp_path, a_free_port(), file=str(place)), as_written=False, say=lambda text: None)
    other.close()


def test_what_only_the_target_refuses_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    path = array_file(tmp_path, 3260)
    path.write_text(path.read_text().replace("logs-2", "LOGS"))
    with pytest.raises(ScenarioError, match="is given twice"):
        serve(path, as_written=False, say=lambda text: None)


def test_whoever_is_logged_in_is_asked_to_log_out_before_the_array_goes(tmp_path: Path) -> None:
    port = a_free_port()
    path = array_file(tmp_path, port)
    path.write_text(path.read_text().replace('name = "logs-2"', f'name = "logs-2"\niqn = "{VOLUME}"'))
    said: list[str] = []
    heard: list[object] = []
    tasks: list[asyncio.Task[None]] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("  iscsi://") and VOLUME in text:
            tasks.append(asyncio.get_running_loop().create_task(initiator()))

    async def initiator() -> None:
        peer = TcpPeer()
        await peer.connect("127.0.77.2", port)
        assert isinstance(await peer.login(), LoginDone)
        os.kill(os.getpid(), signal.SIGTERM)
        heard.append(await peer.hear())
        await peer.send(LogoutRequest(itt=7, cmd_sn=peer.cmd_sn, exp_stat_sn=1))
        heard.extend(await peer.hears_the_end())

    serve(path, as_written=False, say=say)

    asked, answered = heard
    assert isinstance(asked, AsyncMessage)
    assert asked.event == AsyncEvent.LOGOUT_REQUEST
    assert isinstance(answered, LogoutResponse)
    assert said[-1] == "stopped"
    assert [task.exception() for task in tasks] == [None]
