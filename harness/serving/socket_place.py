"""Where the control socket of an array lies, and who may have it.

`mpiolab/NAME.sock` in the user's runtime folder; `/run/mpiolab` for root, and for a systemd unit with
`RuntimeDirectory=mpiolab`; `/tmp/mpiolab-UID` where there is neither. The folder is its owner's alone, and so is the
socket (0600). A socket that a dead server has left is replaced; one that a living server answers is not.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

MAX_PATH_BYTES = 107
"""What a Unix socket's address holds (unix(7))."""


class SocketError(Exception):
    """The socket cannot be had, or there is none; the message names it."""


_PROBE_S = 1.0


@dataclass(frozen=True, slots=True)
class Claimed:
    """A listening socket, the path it is bound to, and the file that is there because of it."""

    listener: socket.socket
    path: Path
    device: int
    inode: int

    def release(self) -> None:
        """Close it and take its file away, unless somebody has put another there meanwhile."""
        try:
            there = self.path.lstat()
            if (there.st_dev, there.st_ino) == (self.device, self.inode):
                self.path.unlink()
        except FileNotFoundError:
            return
        finally:
            self.listener.close()


def folders() -> list[Path]:
    """Where the sockets of this user's arrays may lie, the likeliest first."""
    given = os.environ.get("RUNTIME_DIRECTORY")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    found = [Path(given.split(":")[0])] if given else []
    if runtime:
        found.append(Path(runtime) / "mpiolab")
    found.append(Path("/run/mpiolab"))
    if os.geteuid() != 0:
        found.append(Path(f"/tmp/mpiolab-{os.geteuid()}"))
    return found


def default_path(array_name: str) -> Path:
    """The socket of the array with this name, in the first folder there is or may be made."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", array_name) + ".sock"
    places = folders()
    return next((place for place in places if os.access(place.parent, os.W_OK) or place.is_dir()), places[-1]) / name


def find(path: Path | None) -> Path:
    """The socket a client means: the one it names, else the only one there is. Raises SocketError."""
    if path is not None:
        return path
    found = [path for path in dict.fromkeys(path for place in folders() for path in _sockets(place)) if _answers(path)]
    if not found:
        places = " or ".join(map(str, folders()))
        raise SocketError(f"no array is served here: there is no socket in {places}")
    if len(found) > 1:
        raise SocketError(f"several arrays are served here; say which by --socket: {', '.join(map(str, found))}")
    return found[0]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_S)
        return probe.connect_ex(str(path)) == 0


def _sockets(place: Path) -> list[Path]:
    try:
        return sorted(place.glob("*.sock"))
    except OSError:
        return []


def claim(path: Path) -> Claimed:
    """Listen at this path, mode 0600. Raises SocketError."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise SocketError(f"{path}: longer than the {MAX_PATH_BYTES} bytes of a socket's path")
    try:
        if path.parent in folders():
            _own_folder(path.parent)
        held = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)  # between looking and binding nobody else may do the same
            for other in _sockets(path.parent) if path.parent in folders() else []:
                if other != path:
                    _remove_dead(other)
            _check_free(path)
            listener = _bound(path)
        finally:
            os.close(held)
        there = path.lstat()
        return Claimed(listener, path, there.st_dev, there.st_ino)
    except OSError as error:
        raise SocketError(f"{path}: {error.strerror or error}") from None


def _own_folder(place: Path) -> None:
    place.mkdir(mode=0o700, exist_ok=True)
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SocketError(f"{place}: expected a folder of user {os.geteuid()} that nobody else can write to")


def _remove_dead(path: Path) -> None:
    """Take away what a server left that was killed; in a folder of our own nothing else is ever there."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_S)
        if probe.connect_ex(str(path)) == errno.ECONNREFUSED and path.is_socket():
            path.unlink(missing_ok=True)


def _check_free(path: Path) -> None:
    """Raises SocketError when somebody has it; what a dead server has left is removed."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketError(f"{path}: there is something else than a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except (TimeoutError, BlockingIOError):
            raise SocketError(f"{path}: another server holds it, and does not answer") from None
        else:
            raise SocketError(f"{path}: another server answers there")


def _bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(8)
    listener.setblocking(False)
    return listener
