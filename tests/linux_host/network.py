"""A network namespace with the array's addresses on a bridge and a tap for each interface of the guest.

The namespace has no name. It lives as long as the processes in it, each of which the kernel kills when the tests'
process ends, in whatever way: nothing can be left behind. Programs come from util-linux (unshare, nsenter, setpriv) and
iproute2.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PREFIX: Final = 22
END_LIMIT_S: Final = 10.0

_DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL", "--")


class Network:
    """The array's ``addresses`` on a bridge, and the two taps ``tap0`` and ``tap1``: the cables of the guest."""

    def __init__(self, addresses: Sequence[str]) -> None:
        # The namespace is there once the shell in it has said so; it then waits for the end of its input.
        self._holder = subprocess.Popen(
            [*_DIES_WITH_US, "unshare", "--net", "sh", "-c", "echo; read -r _"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        self._holder.stdout.readline()
        try:
            self._ip("link set lo up", "link add br0 type bridge forward_delay 0 stp_state 0", "link set br0 up")
            for address in addresses:
                self.add_address(address)
            for tap in ("tap0", "tap1"):
                self._ip(f"tuntap add dev {tap} mode tap", f"link set {tap} master br0 up")
        except BaseException:
            self.close()
            raise

    @property
    def holder_pid(self) -> int:
        """The process that keeps the namespace."""
        return self._holder.pid

    def start(self, log: Path, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a program in the namespace; what it says goes to the end of ``log``. Its pid is the program's own."""
        with log.open("ab") as out:
            return subprocess.Popen(
                [*_DIES_WITH_US, *self._inside, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then end it
            )

    def cable(self, number: int, *, plugged: bool) -> None:
        """Pull the guest's cable, or plug it in again. The guest sees no change of its link, as behind a switch."""
        self._ip(f"link set tap{number} {'up' if plugged else 'down'}")

    def add_address(self, address: str) -> None:
        """Give the array an address."""
        self._ip(f"address add {address}/{PREFIX} dev br0")

    def remove_address(self, address: str) -> None:
        """Take an address away: nobody answers there any more, not even with a reset."""
        self._ip(f"address del {address}/{PREFIX} dev br0")

    def addresses(self) -> str:
        """What the bridge has."""
        return self._run("ip", "-4", "-o", "address", "show", "dev", "br0")

    def close(self) -> None:
        """Let the namespace go. Whoever started programs in it has ended them."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait(END_LIMIT_S)
        self._holder.stdout.close()

    @property
    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--")

    def _ip(self, *commands: str) -> None:
        for command in commands:
            self._run("ip", *command.split())

    def _run(self, *command: str) -> str:
        done = subprocess.run([*self._inside, *command], capture_output=True, text=True, timeout=END_LIMIT_S)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout


def lacks() -> str | None:
    """What this machine lacks for such a network; None when all is there."""
    if os.geteuid() != 0:
        return "root is needed for a network namespace"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun is not there"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, timeout=END_LIMIT_S)
    return f"no network namespace: {tried.stderr.strip()}" if tried.returncode else None


def end(process: subprocess.Popen[bytes], *, politely: bool = False) -> None:
    """End a process by its pid and wait until it has; ``politely`` gives it a while after SIGTERM."""
    if process.poll() is None and politely:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_LIMIT_S)
    if process.poll() is None:
        process.kill()
    process.wait(END_LIMIT_S)
