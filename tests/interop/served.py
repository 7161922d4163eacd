"""The array as `mpiolab serve` runs it, for clients of all kinds.

The server is a process of its own, with a file that names a free port, so that tests may run side by side. Its
addresses move into 127.0.0.0/8; the group address is 127.0.51.1, the portals are 127.0.51.2 to 127.0.51.4.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from tests.interop.support import START_LIMIT_S, Finished, run

GROUP = "127.0.51.1"
ROOT: Final = Path(__file__).parents[2]

ARRAY = """
[serve]
secrets = "secrets.toml"
socket = "{socket}"
{settings}
[array]
name = "PS100"
group = "192.168.51.1/22"
portals = ["192.168.51.2", "192.168.51.3", "192.168.51.4"]
port = {port}
{options}

[[array.volumes]]
name = "exchange-logs"
size = "64MiB"
[[array.volumes.access]]
source = "0.0.0.0/0"
{volumes}
"""


SECRETS = """
[chap]
w2k3 = "host-secret-0123"
"""


_STAMP = re.compile(r"^\S+Z (debug|info|warning|error) +")


def socket_of(file: Path) -> Path:
    """The control socket of the array in this file."""
    return file.with_suffix(".sock")


class Served:
    """A running `mpiolab serve` and everything it has said. ``program``: what Python is told to run instead."""

    def __init__(
        self,
        file: Path,
        port: int,
        group: str = GROUP,
        program: tuple[str, ...] = ("-m", "harness"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.portal = f"{group}:{port}"
        self._socket = socket_of(file)
        self._log = file.with_suffix(".log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *program, "serve", file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
            )
        volumes = file.read_text().count("[[array.volumes]]")
        deadline = time.monotonic() + START_LIMIT_S
        while not self._serves(volumes):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                pytest.fail("the array did not start:\n" + "\n".join(self.said))
            time.sleep(0.02)

    def _serves(self, volumes: int) -> bool:
        """In text it says where each volume is; in JSON there is an event."""
        said = self.said
        named = [line for line in said if "iscsi://" in line]
        return len(named) >= volumes or any('"event": "serving"' in line for line in said)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def mpiolab(self, *arguments: str) -> Finished:
        """`mpiolab status` or `mpiolab ctl`, at this array's socket."""
        return run(Path(sys.executable), "-m", "harness", *arguments, "--socket", self._socket, limit_s=60)

    def status(self) -> dict[str, Any]:
        """Its status document."""
        done = self.mpiolab("status", "--json")
        assert done.returncode == 0, done
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    @property
    def said(self) -> list[str]:
        """The lines it has said so far, without time and level."""
        return [_STAMP.sub("", line) for line in self._log.read_text().splitlines()]

    def iqn(self, volume: str) -> str:
        """The target name of a volume, from the greeting."""
        (line,) = [line for line in self.said if line.lstrip().startswith("iscsi://") and f"-{volume}/0 " in line]
        return line.split("/")[3]

    def url(self, volume: str = "exchange-logs", user: str = "") -> str:
        """The volume as libiscsi names it, through the group address."""
        return f"iscsi://{user}{self.portal}/{self.iqn(volume)}/0"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; its exit code."""
        self.send(number)
        return self._process.wait(START_LIMIT_S)

    def kill(self) -> None:
        """End it as no process expects to be ended."""
        self._process.kill()
        self._process.wait(START_LIMIT_S)

    def close(self) -> list[str]:
        """End it as a terminal would; everything it said."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(START_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(START_LIMIT_S)
        return self.said


class Serve(Protocol):
    """Starts an array with more options in `[array]`, settings in `[serve]`, volumes; it runs until the test ends."""

    def __call__(
        self,
        *,
        options: str = "",
        volumes: str = "",
        settings: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Served: ...
