"""The array alone on real TCP: what it says to a person, and that it comes and goes cleanly."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.array import group_config
from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.serve import example_array, loop_factory
from harness.serve import serve as serve_array
from harness.serving.control_client import ControlError, connected
from harness.serving.control_wire import Request
from harness.serving.daemon import ServeError
from harness.serving.event_log import EventLog
from harness.serving.greeting import greeting
from iscsi.constants import AsyncEvent, LoginStatus
from iscsi.login_initiator import LoginDone, LoginFailed
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


class Heard(io.StringIO):
    """A log, and what to do when it says something."""

    def __init__(self, on_line: Callable[[str], None] = lambda line: None) -> None:
        super().__init__()
        self._on_line = on_line

    def write(self, text: str) -> int:
        written = super().write(text)
        self._on_line(text)
        return written

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


def serve(
    path: Path,
    *,
    say: Callable[[str], None] = lambda text: None,
    as_written: bool = False,
    log: Heard | None = None,
    **options: object,
) -> Heard:
    """Serve until a signal; the control socket lies beside the file. Returns the log."""
    log = Heard() if log is None else log
    options = {"socket": str(path.with_suffix(".sock"))} | options
    events = EventLog(log, "json", "debug", time.monotonic)
    serve_array(path, as_written=as_written, say=say, options=options, log=events)
    return log


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

    log = serve(array_file(tmp_path, a_free_port(), file=str(tmp_path / "volume")), say=say)

    assert said[0].startswith("PS100: discover at 127.0.77.1:")
    assert [event["event"] for event in log.events] == ["control.open", "serving", "stopping", "stopped"]
    assert (tmp_path / "volume").stat().st_size == 1 << 20


def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    port = a_free_port()
    with taken("127.0.77.3", port), pytest.raises(ServeError) as caught:
        serve(array_file(tmp_path, port))
    assert str(caught.value).startswith(f"cannot listen at 127.0.77.3:{port}: ")
    with socket.socket() as again:  # what had been bound before is free again
        again.bind((GROUP, port))


def test_addresses_as_written_must_be_this_machine_s(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"cannot listen at 192\.168\.77\.1:\d+: "):
        serve(array_file(tmp_path, 3260), as_written=True)


def test_a_volume_file_that_cannot_be_used_is_named_with_its_volume(tmp_path: Path) -> None:
    place = tmp_path / "no such directory" / "volume"
    with pytest.raises(ServeError, match=r"volume logs: .*/volume cannot be made: there is no directory .*directory$"):
        serve(array_file(tmp_path, a_free_port(), file=str(place)))


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
        serve(path)


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

    log = serve(path, say=say)

    asked, answered = heard
    assert isinstance(asked, AsyncMessage)
    assert asked.event == AsyncEvent.LOGOUT_REQUEST
    assert isinstance(answered, LogoutResponse)
    assert log.events[-1]["event"] == "stopped"
    assert not log.named("stopping.left")
    assert [task.exception() for task in tasks] == [None]


# -- how it ends -------------------------------------------------------------------------------------------------------


def when_serving(act: Callable[[], Any]) -> Callable[[str], None]:
    """A listener of the log that starts a task (or does something) once the array serves."""
    return lambda line: act() if '"event": "serving"' in line else None


def test_a_connection_that_never_logged_in_does_not_hold_up_the_end(tmp_path: Path) -> None:
    port = a_free_port()

    peer = TcpPeer()

    async def stranger() -> None:
        await peer.connect("127.0.77.2", port)
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    tasks: list[asyncio.Task[None]] = []
    log = Heard(when_serving(lambda: tasks.append(asyncio.get_running_loop().create_task(stranger()))))
    serve(array_file(tmp_path, port), log=log, stop_within="1h")
    peer.close()
    assert len(log.named("login.ended")) == 1, "had it been waited for, the test would have taken an hour"
    assert not log.named("stopping.left")


@pytest.mark.parametrize("signals", [1, 2], ids=["patience runs out", "second signal"])
def test_who_does_not_log_out_is_closed_in_the_end(tmp_path: Path, signals: int) -> None:
    port = a_free_port()
    path = array_file(tmp_path, port)
    path.write_text(path.read_text().replace('name = "logs-2"', f'name = "logs-2"\niqn = "{VOLUME}"'))
    heard: list[object] = []
    peer = TcpPeer()

    async def deaf() -> None:
        await peer.connect("127.0.77.2", port)
        assert isinstance(await peer.login(), LoginDone)
        os.kill(os.getpid(), signal.SIGINT)
        heard.append(await peer.hear())
        if signals == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        await peer.hears_the_end()

    tasks: list[asyncio.Task[None]] = []
    log = Heard(when_serving(lambda: tasks.append(asyncio.get_running_loop().create_task(deaf()))))
    serve(path, log=log, stop_within="100ms" if signals == 1 else "1h")
    peer.close()
    (asked,) = heard
    assert isinstance(asked, AsyncMessage)
    assert [event["signal"] for event in log.named("stopping")] == ["SIGINT", "SIGTERM"][:signals]
    assert log.named("stopping.left")[0]["connections"] == 1
    assert log.events[-1]["event"] == "stopped"


def test_nobody_is_let_in_while_the_array_goes(tmp_path: Path) -> None:
    port = a_free_port()
    path = array_file(tmp_path, port)
    path.write_text(path.read_text().replace('name = "logs-2"', f'name = "logs-2"\niqn = "{VOLUME}"'))
    refused: list[bool] = []

    async def initiator() -> None:
        peer, late = TcpPeer(), TcpPeer()
        await peer.connect("127.0.77.2", port)
        assert isinstance(await peer.login(), LoginDone)
        os.kill(os.getpid(), signal.SIGTERM)
        await peer.hear()
        with pytest.raises(ConnectionRefusedError):
            await late.connect("127.0.77.3", port)
        refused.append(True)
        await peer.send(LogoutRequest(itt=7, cmd_sn=peer.cmd_sn, exp_stat_sn=1))
        await peer.hears_the_end()
        peer.close()
        late.close()

    tasks: list[asyncio.Task[None]] = []
    log = Heard(when_serving(lambda: tasks.append(asyncio.get_running_loop().create_task(initiator()))))
    serve(path, log=log, stop_within="1h")
    assert refused == [True]


# -- the control socket, reloading, loops ------------------------------------------------------------------------------


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_an_array_answers_at_its_socket_while_it_serves(tmp_path: Path) -> None:
    path = array_file(tmp_path, a_free_port())
    answered: list[Any] = []

    def ask() -> None:
        with connected(path.with_suffix(".sock")) as client:
            answered.append(client.ask(Request("status")).result)
        stop()

    log = Heard(when_serving(lambda: asyncio.get_running_loop().run_in_executor(None, ask)))
    serve(path, log=log)
    assert answered[0]["array"] == "PS100"
    assert answered[0]["state"] == "serving"
    assert not path.with_suffix(".sock").exists()


def test_a_failover_under_way_is_given_up_when_the_array_stops(tmp_path: Path) -> None:
    path = array_file(tmp_path, a_free_port())
    told: list[str] = []

    def fail_over() -> None:
        with connected(path.with_suffix(".sock")) as client, pytest.raises(ControlError) as error:
            client.ask(Request("controller-failover", {"gap_s": 3000}))
        told.append(str(error.value))

    asked: list[asyncio.Future[None]] = []

    def act(line: str) -> None:
        if '"event": "serving"' in line:
            asked.append(asyncio.get_running_loop().run_in_executor(None, fail_over))
        elif '"event": "failover"' in line:
            stop()

    log = serve(path, log=Heard(act), stop_within="1h")
    assert told == ["the array is stopping"]
    assert log.events[-1]["event"] == "stopped"


def test_a_second_array_does_not_take_the_first_one_s_socket(tmp_path: Path) -> None:
    path = array_file(tmp_path, a_free_port())
    place = path.with_suffix(".sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        other.listen()
        with pytest.raises(ServeError, match=r"control socket .*array\.sock: another server answers there"):
            serve(path)


def test_access_and_secrets_are_read_again_on_sighup_and_nothing_else(tmp_path: Path) -> None:
    path = array_file(tmp_path, a_free_port())
    text = path.read_text()
    closed = text.replace('source = "0.0.0.0/0"', 'source = "10.0.0.0/8"', 1)
    steps = [
        (closed, "reload"),
        (closed.replace('"1MiB"', '"2MiB"'), "reload.refused"),
        ("nonsense", "reload.refused"),
    ]
    todo = iter(steps)

    def next_step(line: str) -> None:
        if '"event": "serving"' in line or '"event": "reload' in line:
            try:
                path.write_text(next(todo)[0])
            except StopIteration:
                stop()
                return
            os.kill(os.getpid(), signal.SIGHUP)

    log = serve(path, log=Heard(next_step))
    events = [event for event in log.events if event["event"].startswith("reload")]
    assert [event["event"] for event in events] == [name for _, name in steps]
    assert "only access rules and secrets can change" in events[1]["message"]
    assert "not TOML" in events[2]["message"]


def test_a_volume_that_has_grown_may_have_its_new_size_in_the_file(tmp_path: Path) -> None:
    path = array_file(tmp_path, a_free_port())

    def grow() -> None:
        with connected(path.with_suffix(".sock")) as client:
            client.ask(Request("grow", {"volume": "logs", "size_bytes": 2 << 20}))
        path.write_text(path.read_text().replace('"1MiB"', '"2MiB"', 1))
        os.kill(os.getpid(), signal.SIGHUP)

    def act(line: str) -> None:
        if '"event": "serving"' in line:
            asyncio.get_running_loop().run_in_executor(None, grow)
        elif '"event": "reload' in line:
            stop()

    log = serve(path, log=Heard(act))
    assert [event["event"] for event in log.events if event["event"].startswith("reload")] == ["reload"]


def test_sighup_changes_who_may_log_in(tmp_path: Path) -> None:
    port = a_free_port()
    path = array_file(tmp_path, port)
    path.write_text(path.read_text().replace('name = "logs-2"', f'name = "logs-2"\niqn = "{VOLUME}"'))
    outcomes: list[object] = []

    async def initiator() -> None:
        for _ in range(2):
            peer = TcpPeer()
            await peer.connect("127.0.77.2", port)
            outcomes.append(await peer.login())
            peer.close()
            path.write_text(path.read_text().replace("0.0.0.0/0", "10.1.2.3/32"))
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.05)
        stop()

    tasks: list[asyncio.Task[None]] = []
    log = Heard(when_serving(lambda: tasks.append(asyncio.get_running_loop().create_task(initiator()))))
    serve(path, log=log)
    assert isinstance(outcomes[0], LoginDone)
    assert isinstance(outcomes[1], LoginFailed)
    assert [event["answer"] for event in log.named("login.refused")] == [LoginStatus.AUTHORIZATION_FAILURE.words]


def test_metrics_that_cannot_be_had_are_told(tmp_path: Path) -> None:
    port = a_free_port()
    with taken("127.0.0.1", port), pytest.raises(ServeError, match=rf"metrics: cannot listen at 127\.0\.0\.1:{port}: "):
        serve(array_file(tmp_path, a_free_port()), metrics=port)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"metrics": "0.0.0.0:9273"}, "expected a loopback address"),
        ({"metrics": "x"}, "--metrics: expected a port such as 9273"),
        ({"log": "xml"}, '--log: expected "text" or "json"'),
        ({"loop": "trio"}, '--loop: expected "auto", "asyncio" or "uvloop"'),
    ],
)
def test_a_wrong_option_is_told(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        serve_array(array_file(tmp_path, 3260), as_written=False, say=print, options=options)
    assert told in str(caught.value)


def test_the_loop_is_asyncio_s_own_unless_another_is_asked_for() -> None:
    for name, module in (("asyncio", "asyncio"), ("uvloop", "uvloop"), ("auto", "uvloop")):
        loop = loop_factory(name)()  # type: ignore[arg-type]
        assert type(loop).__module__.split(".")[0] == module
        loop.close()


def test_without_uvloop_auto_is_asyncio_and_uvloop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory("auto") is loop_factory("asyncio")
    loop = loop_factory("auto")()
    assert isinstance(loop, asyncio.SelectorEventLoop)
    loop.close()
    with pytest.raises(ServeError, match="it is not installed"):
        loop_factory("uvloop")
