"""`mpiolab serve` in daily use: watched and operated from outside while libiscsi's tools read from it.

Everything is a process of its own, as a user has it: the array, the tools, `mpiolab status` and `mpiolab ctl`.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.interop.served import Serve, Served
from tests.interop.support import START_LIMIT_S, Require, free_port, run

pytestmark = pytest.mark.interop

SECRET = "host-secret-0123"
WRONG = "another-secret-9"

VAULT = """
[[array.volumes]]
name = "vault"
size = "16MiB"
[[array.volumes.access]]
source = "0.0.0.0/0"
chap = { user = "w2k3" }
"""


@contextmanager
def reading(tool: Path, served: Served, seconds: int = 60) -> Iterator[subprocess.Popen[str]]:
    """iscsi-perf reading at random through the group address; it is ended with the block."""
    command = [str(tool), "-r", "-m", "8", "-b", "8", "-t", str(seconds), served.url()]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(served: Served, what: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask for the status until it is so; the status."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        status = served.status()
        if condition(status):
            return status
    pytest.fail(f"{what}: never came about; last {status}\n" + "\n".join(served.said[-20:]))


def paths(status: dict[str, Any]) -> list[tuple[str, float]]:
    """(portal, reads per second) of every connection with a volume."""
    return [
        (connection["portal"], connection["rates"]["reads"])
        for session in status["sessions"]
        if not session["discovery"]
        for connection in session["connections"]
    ]


def test_the_status_shows_the_path_and_its_rate(serve: Serve, require: Require) -> None:
    served = serve()
    with reading(require("iscsi-perf"), served):
        status = wait_for(served, "reads", lambda status: any(reads > 0 for _, reads in paths(status)))
        (session,) = status["sessions"]
        assert session["initiator"] == "iqn.2010-11.libiscsi:iscsi-perf"
        assert session["target"] == served.iqn("exchange-logs")
        (portal,) = [row for row in status["portals"] if row["address"] == session["portal"]]
        assert portal["connections"] == 1
        assert portal["rates"]["sent_bytes"] > 8 * 512
        table = served.mpiolab("status")
        assert table.returncode == 0, table
        assert "127.0.0.1 → 127.0.51.2" in table.stdout
        assert "iscsi-perf: exchange-logs" in table.stdout


def test_a_drained_portal_is_left_by_a_tool_that_goes_on_reading_elsewhere(serve: Serve, require: Require) -> None:
    served = serve()
    with reading(require("iscsi-perf"), served) as tool:
        wait_for(served, "reads", lambda status: [p for p, r in paths(status) if r] == ["127.0.51.2"])
        drained = served.mpiolab("ctl", "drain", "127.0.51.2", "--within", "10", "--json")
        assert drained.returncode == 0, drained
        answer = json.loads(drained.stdout)
        assert answer["command"] == "drain"
        assert [decision["kind"] for decision in answer["decisions"]] == ["portal", "move"]
        moved = wait_for(
            served, "reads at another portal", lambda status: any(p != "127.0.51.2" and r > 0 for p, r in paths(status))
        )
        state = {portal["address"]: portal["state"] for portal in moved["portals"]}
        assert state["127.0.51.2"] == "drained"
        assert [portal for portal, _ in paths(moved)] == ["127.0.51.3"]
        assert tool.poll() is None
        assert served.mpiolab("ctl", "undrain", "127.0.51.2").returncode == 0


def test_a_portal_goes_down_under_a_tool_and_comes_back(serve: Serve, require: Require) -> None:
    served = serve()
    with reading(require("iscsi-perf"), served) as tool:
        wait_for(served, "reads", lambda status: [p for p, r in paths(status) if r] == ["127.0.51.2"])
        down = served.mpiolab("ctl", "portal", "down", "127.0.51.2")
        assert down.returncode == 0, down
        assert "127.0.51.2 down" in down.stdout
        wait_for(
            served, "reads at another portal", lambda status: any(p != "127.0.51.2" and r > 0 for p, r in paths(status))
        )
        assert tool.poll() is None
        up = served.mpiolab("ctl", "portal", "up", "127.0.51.2")
        assert "127.0.51.2 up" in up.stdout
    assert {portal["state"] for portal in served.status()["portals"]} == {"up"}


def test_a_fault_is_felt_by_a_tool_until_it_is_switched_off(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-inq"), serve()
    assert served.mpiolab("ctl", "fault", "on", "no-login", "--volume", "exchange-logs").returncode == 0
    assert run(tool, served.url()).returncode != 0
    assert served.mpiolab("ctl", "fault", "off", "no-login").returncode == 0
    assert run(tool, served.url()).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("ctl", "drain", "127.0.51.9"), "127.0.51.9 is not a portal of PS100"),
        (("ctl", "drain", "here"), "drain: address: expected the IPv4 address of one interface"),
        (("ctl", "logout", "77"), "there is no session 77"),
        (("ctl", "fault", "on", "fire"), "there is no fault 'fire'"),
        (("ctl", "controller-failover", "--gap", "1e9"), "gap_s: expected at most 3600"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_said_and_ends_with_2(serve: Serve, arguments: tuple[str, ...], told: str) -> None:
    done = serve().mpiolab(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_secrets_appear_nowhere(serve: Serve, require: Require, tmp_path: Path) -> None:
    """Right and wrong ones are used; then everything the array has written or shows is searched for them."""
    port = free_port("127.0.0.1")
    served = serve(volumes=VAULT, settings=f'log = "json"\nlog_level = "debug"\nmetrics = {port}')
    tool = require("iscsi-inq")
    iqn = served.status()["volumes"][1]["iqn"]
    url = f"{served.portal}/{iqn}/0"
    assert run(tool, f"iscsi://w2k3%{SECRET}@{url}").returncode == 0
    assert run(tool, f"iscsi://w2k3%{WRONG}@{url}").returncode != 0
    assert run(tool, f"iscsi://{SECRET}%{SECRET}@{url}").returncode != 0, "a secret given as a name"
    assert iqn in run(require("iscsi-ls"), f"iscsi://{served.portal}").stdout
    shown = [
        Path(f"/proc/{served.pid}/cmdline").read_text(),
        Path(f"/proc/{served.pid}/environ").read_text(),
        json.dumps(served.status()),
        served.mpiolab("status").stdout,
        json.dumps([served.mpiolab("ctl", "rebalance", "--json").stdout]),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode(),
    ]
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(f'[chap]\nw2k3 = "{SECRET}"\n[mutual_chap]\nps100 = "{SECRET}"\n')
    served.send(signal.SIGHUP)
    deadline = time.monotonic() + START_LIMIT_S
    while not any("reload.refused" in line for line in served.said):
        assert time.monotonic() < deadline, "a secret for both directions was not refused"
        time.sleep(0.05)
    said = served.close()
    events = [json.loads(line) for line in said]
    assert [event["reason"] for event in events if event["event"] == "login.ended" and event["level"] == "warning"] == [
        "login ended with 0x0201 authentication failure"
    ] * 2
    everything = "\n".join([*shown, *said])
    assert SECRET not in everything
    assert WRONG not in everything


def test_prometheus_finds_what_the_status_says(serve: Serve, require: Require) -> None:
    port = free_port("127.0.0.1")
    served = serve(settings=f"metrics = {port}")
    assert run(require("iscsi-inq"), served.url()).returncode == 0
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}
    assert samples["mpiolab_logins_total", ("admitted",)] == 1
    assert samples["mpiolab_logins_total", ("0x0101 moved temporarily",)] == 1
    (portal,) = [row for row in served.status()["portals"] if row["address"] == "127.0.51.2"]
    assert samples["mpiolab_portal_sent_bytes_total", ("127.0.51.2",)] == portal["totals"]["sent_bytes"] > 0


def test_systemd_hears_when_it_serves_and_when_it_stops(serve: Serve, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(START_LIMIT_S)
        served = serve(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert systemd.recv(4096).decode() == f"READY=1\nSTATUS=Serving PS100 at {served.portal}"
        assert served.end(signal.SIGTERM) == 0
        assert systemd.recv(4096).decode().startswith("STOPPING=1\n")


def test_a_tool_that_reads_is_asked_to_log_out_when_the_array_stops(serve: Serve, require: Require) -> None:
    """iscsi-perf obeys the request; it cannot come back, since nobody listens."""
    served = serve(settings='stop_within = "20s"')
    with reading(require("iscsi-perf"), served):
        wait_for(served, "reads", lambda status: any(reads > 0 for _, reads in paths(status)))
        assert served.end(signal.SIGTERM) == 0
    said = served.said
    assert said[-1] == "stopped"
    assert not any("not logged out in time" in line for line in said)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_many_large_reads_on_either_loop(serve: Serve, require: Require, loop: str) -> None:
    served = serve(settings=f'loop = "{loop}"')
    command = ("-k", "1", "20", str(require("iscsi-perf")), "-r", "-m", "32", "-b", "2048", "-t", "1", served.url())
    reads = run(require("timeout"), *command)
    assert reads.returncode == 0, reads
    assert "finished" in reads.stdout


def test_nobody_served_here_is_said(tmp_path: Path) -> None:
    done = run(Path(sys.executable), "-m", "harness", "status", "--socket", tmp_path / "none.sock")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path}/none.sock: no array is served there\n"
