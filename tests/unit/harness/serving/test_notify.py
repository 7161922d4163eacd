"""What systemd hears: datagrams as sd_notify(3) sends them, and nothing where nobody listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.serving.notify import Notifier


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_states_go_to_the_socket_that_systemd_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"@{tmp_path}/notify" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name[1:] if abstract else name)
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert Notifier().tell("READY=1", "STATUS=Serving PS100") is None
        assert systemd.recv(4096) == b"READY=1\nSTATUS=Serving PS100"


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert Notifier().tell("READY=1") is None


def test_a_socket_that_is_gone_is_told_and_not_raised(tmp_path: Path) -> None:
    complaint = Notifier(str(tmp_path / "nobody")).tell("READY=1")
    assert complaint == "systemd was not told READY=1: No such file or directory"
