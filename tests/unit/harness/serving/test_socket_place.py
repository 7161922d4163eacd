"""Where the control socket lies: whose it is, when it is taken over, and which one a client means."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from harness.serving.socket_place import SocketError, claim, default_path, find


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's runtime folder, the only one there is."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("harness.serving.socket_place.folders", lambda: [tmp_path / "mpiolab"])
    return tmp_path / "mpiolab"


def test_the_socket_and_its_folder_are_the_owner_s_alone(runtime: Path) -> None:
    path = default_path("PS 100/ü")
    assert path == runtime / "PS-100--.sock"
    claimed = claim(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    claimed.release()
    assert not path.exists()


def test_a_dead_server_s_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    claim(path).listener.close()
    assert path.exists()
    claim(path).release()


def test_what_dead_servers_left_in_the_runtime_folder_goes(runtime: Path) -> None:
    living = claim(runtime / "living.sock")
    claim(runtime / "dead.sock").listener.close()
    (runtime / "file.sock").write_text("what is no socket stays")
    claimed = claim(runtime / "new.sock")
    assert sorted(path.name for path in runtime.iterdir()) == ["file.sock", "living.sock", "new.sock"]
    claimed.release()
    living.release()


def test_a_living_server_s_socket_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = claim(path)
    with pytest.raises(SocketError, match=r"a\.sock: another server answers there"):
        claim(path)
    assert path.exists()
    first.release()


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("precious")
    with pytest.raises(SocketError, match="there is something else than a socket"):
        claim(path)
    assert path.read_text() == "precious"


def test_a_socket_that_took_our_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = claim(path)
    path.unlink()
    second = claim(path)
    first.release()
    assert path.exists()
    second.release()


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(SocketError, match="longer than the 107 bytes"):
        claim(tmp_path / ("x" * 120))
    with pytest.raises(SocketError, match=r"none/a\.sock: No such file or directory"):
        claim(tmp_path / "none" / "a.sock")


def test_a_folder_that_others_can_write_to_is_refused(runtime: Path) -> None:
    runtime.mkdir()
    runtime.chmod(0o777)
    with pytest.raises(SocketError, match="expected a folder of user"):
        claim(runtime / "a.sock")


def test_the_one_array_is_found_without_its_name(runtime: Path) -> None:
    with pytest.raises(SocketError, match="no array is served here"):
        find(None)
    first = claim(runtime / "a.sock")
    claim(runtime / "dead.sock").listener.close()
    assert find(None) == runtime / "a.sock"
    second = claim(runtime / "b.sock")
    with pytest.raises(SocketError, match=r"say which by --socket: .*a\.sock, .*b\.sock"):
        find(None)
    assert find(runtime / "b.sock") == runtime / "b.sock"
    first.release()
    second.release()


def test_systemd_s_folder_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user"))
    assert default_path("a") == tmp_path / "run" / "a.sock"


def test_nothing_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    claimed = claim(tmp_path / "a.sock")
    for _ in range(3):
        with pytest.raises(SocketError):
            claim(tmp_path / "a.sock")
    claimed.release()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_server_that_does_not_answer_keeps_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its backlog is full: a probe would wait."""
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(str(path))
        with pytest.raises(SocketError, match="another server holds it, and does not answer"):
            claim(path)
        for one in waiting:
            one.close()
