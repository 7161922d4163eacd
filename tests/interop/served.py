"""The array as `mpiolab serve` runs it, for clients of all kinds.

The server is a process of its own, with a file that names a free port, so that tests may run side by side. Its
addresses move into 127.0.0.0/8; the group address is 127.0.51.1, the portals are 127.0.51.2 to 127.0.51.4.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import pytest

from tests.interop.support import START_LIMIT_S

GROUP = "127.0.51.1"

ARRAY = """
[serve]
secrets = "secrets.toml"
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


class Served:
    """A running `mpiolab serve` and everything it has said. ``program``: what Python is told to run instead."""

    def __init__(self, file: Path, port: int, group: str = GROUP, program: tuple[str, ...] = ("-m", "harness")) -> None:
        self.portal = f"{group}:{port}"
        self._log = file.with_suffix(".log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *program, "serve", file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parents[2],
            )
        volumes = file.read_text().count("[[array.volumes]]")
        deadline = time.monotonic() + START_LIMIT_S
        while len([line for line in self.said if "iscsi://" in line]) < volumes:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                pytest.fail("the array did not start:\n" + "\n".join(self.said))
            time.sleep(0.02)

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
    """Starts an array with more options in `[array]` and more volumes; it runs until the test ends."""

    def __call__(self, *, options: str = "", volumes: str = "") -> Served: ...
