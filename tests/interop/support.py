"""Real peers for interoperability tests: finding their programs, running them within bounds, a tgtd with a disk.

A missing program is a skip that names the Debian package, except where MPIOLAB_REQUIRE_PEERS=1 says that every peer
has to be there; then it is a failure. Every process is ended by its pid. The fixtures are in conftest.py.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn

import pytest

DEBIAN_PACKAGES: Final = {
    "chromium": "chromium",
    "iscsi-ls": "libiscsi-bin",
    "iscsi-inq": "libiscsi-bin",
    "iscsi-readcapacity16": "libiscsi-bin",
    "iscsi-perf": "libiscsi-bin",
    "iscsi-test-cu": "libiscsi-bin",
    "timeout": "coreutils",
    "qemu-img": "qemu-utils and qemu-block-extra",
    "qemu-io": "qemu-utils and qemu-block-extra",
    "istgt": "istgt",
    "tgtd": "tgt",
    "tgtadm": "tgt",
    "tshark": "tshark",
}
"""Which package brings which program."""

START_LIMIT_S: Final = 20.0
"""How long a program may take to answer for the first time."""

Require = Callable[[str], Path]


def find(program: str) -> Path | None:
    """Where ``program`` is; servers are looked for in the sbin directories too, which users rarely have in PATH."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    found = shutil.which(program, path=path)
    return Path(found) if found else None


def require(program: str) -> Path:
    """The program's path; ends the test as skipped (or failed, see above) when it is not installed."""
    found = find(program)
    if found is None:
        lacking(f"{program} is not installed (Debian package {DEBIAN_PACKAGES.get(program, 'unknown')})")
    return found


def lacking(message: str) -> NoReturn:
    """End the test: something it needs of this machine is not there. A failure where every peer has to be."""
    if os.environ.get("MPIOLAB_REQUIRE_PEERS") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: exit code, standard output and standard error."""

    returncode: int
    stdout: str
    stderr: str


def run(program: Path, *arguments: str | Path, limit_s: float = 30.0) -> Finished:
    """Run a program to its end, for at most ``limit_s`` seconds; then it is killed and the test fails."""
    command = [str(program), *map(str, arguments)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=limit_s
        )
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"{' '.join(command)} had not ended after {limit_s:g} s; it said {late.stdout!r} {late.stderr!r}")
    return Finished(done.returncode, done.stdout, done.stderr)


async def run_beside(program: Path, *arguments: str | Path, limit_s: float = 30.0) -> Finished:
    """As `run`, while the event loop goes on: for programs that talk to a server in this very process."""
    command = [str(program), *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(), limit_s)
    except TimeoutError:
        pytest.fail(f"{' '.join(command)} had not ended after {limit_s:g} s")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Finished(process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


def free_port(address: str) -> int:
    """A TCP port on ``address`` that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
    return port


class Tgt:
    """One tgtd with one target and one disk, LUN 1 (LUN 0 is tgt's own controller).

    Its management socket lies in ``directory``, so that any number of them, and one the system runs, go side by side.
    """

    def __init__(
        self,
        tgtd: Path,
        tgtadm: Path,
        directory: Path,
        *,
        address: str,
        iqn: str,
        size_bytes: int,
        io_threads: int | None = 1,
        fill: Callable[[Path], None] | None = None,
    ) -> None:
        """``io_threads`` None is tgtd's own default; ``fill`` writes the image before tgtd opens it."""
        directory.mkdir()
        self.address, self.port, self.iqn = address, free_port(address), iqn
        self.size_bytes = size_bytes
        self.image = directory / "disk.img"
        self.image.write_bytes(b"")
        if fill is not None:
            fill(self.image)
        os.truncate(self.image, size_bytes)
        self.log = directory / "tgtd.log"
        self._tgtadm = tgtadm
        self._control_port = str(self.port % 32767 + 1)  # all that tgtd takes; TGT_IPC_SOCKET makes it ours alone
        self._environment = {**os.environ, "TGT_IPC_SOCKET": str(directory / "socket")}
        threads = [] if io_threads is None else ["-t", str(io_threads)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [tgtd, "-f", "-C", self._control_port, *threads, "--iscsi", f"portal={address}:{self.port}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        try:
            self._wait_until_it_answers()
            self.administer("new", "target", "--targetname", iqn)
            self.administer("new", "logicalunit", "--lun", "1", "--backing-store", str(self.image))
            self.administer("bind", "target", "--initiator-address", "ALL")
        except BaseException:
            self.close()
            raise

    @property
    def portal(self) -> str:
        """``address:port``, as libiscsi and TargetAddress write it."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """The disk as libiscsi and QEMU name it."""
        return f"iscsi://{self.portal}/{self.iqn}/1"

    @property
    def pid(self) -> int:
        """The process to look at, or to end, when a test wants a server to die."""
        return self._process.pid

    def set_parameter(self, name: str, value: str) -> None:
        """Set a parameter of the target, such as ``HeaderDigest`` to ``CRC32C,None``."""
        self.administer("update", "target", "--name", name, "--value", value)

    def redirect(self, address: str, port: int, reason: Literal["Temporary", "Permanent"] = "Temporary") -> None:
        """Answer every login from now on with a redirect.

        tgtd does so on all its portals, so the destination has to be another server; and it does not when ``address``
        is the initiator's own.
        """
        self.set_parameter("RedirectAddress", address)
        self.set_parameter("RedirectPort", str(port))
        self.set_parameter("RedirectReason", reason)

    def administer(self, operation: str, mode: str, *arguments: str) -> str:
        """One tgtadm command about target 1; returns what it prints. Fails the test when tgtadm reports an error."""
        done = self._call_tgtadm("--op", operation, "--mode", mode, "--tid", "1", *arguments)
        if done.returncode:
            pytest.fail(f"tgtadm --op {operation} --mode {mode}: {done.stderr.strip()}\n{self._log_text()}")
        return done.stdout

    def connections(self) -> str:
        """What tgtadm says about the sessions and connections of the target."""
        return self.administer("show", "conn")

    def close(self) -> None:
        """End tgtd. It ignores SIGTERM as long as a target is defined, hence SIGKILL."""
        self._process.kill()
        self._process.wait(timeout=START_LIMIT_S)

    def _call_tgtadm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._tgtadm, "-C", self._control_port, "--lld", "iscsi", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
            env=self._environment,
        )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while self._call_tgtadm("--op", "show", "--mode", "target").returncode:
            if self._process.poll() is not None:
                pytest.fail(f"tgtd ended with code {self._process.returncode} while starting\n{self._log_text()}")
            if time.monotonic() > deadline:
                pytest.fail(f"tgtd did not answer within {START_LIMIT_S:g} s\n{self._log_text()}")
            time.sleep(0.05)

    def _log_text(self) -> str:
        return self.log.read_text(errors="replace")
