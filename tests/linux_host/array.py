"""The array under test: `mpiolab serve` as it stands, with its addresses as written, in the network of the guest."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from target.identity import volume_identity
from tests.linux_host.guest import INITIATOR
from tests.linux_host.network import Network, end

GROUP: Final = "192.168.51.1"
PORTALS: Final = ("192.168.51.2", "192.168.51.3", "192.168.51.4")
ADDRESSES: Final = (GROUP, *PORTALS)
NAME: Final = "PS100"
START_LIMIT_S: Final = 30.0
ROOT: Final = Path(__file__).parents[2]

MAIL: Final = volume_identity(NAME, "mail-db")
"""The volume everybody may use; it is kept in a file, so that it outlives the process."""
VAULT: Final = volume_identity(NAME, "vault")
"""The volume that wants mutual CHAP."""
HOST_CHAP: Final = ("linux-host", "only-the-host-knows")
ARRAY_CHAP: Final = ("ps100", "only-the-array-knows")
"""CHAP names and secrets: what the host proves itself with, and what the array does."""

FILE: Final = """
[serve]
secrets = "secrets.toml"

[array]
name = "{name}"
group = "{group}/22"
portals = {portals}

[[array.volumes]]
name = "mail-db"
size = "64MiB"
file = "{file}"
[[array.volumes.access]]
initiator = "{initiator}"

[[array.volumes]]
name = "vault"
size = "16MiB"
[[array.volumes.access]]
initiator = "{initiator}"
chap = {{ user = "{host_user}", mutual_user = "{array_user}" }}
"""

SECRETS: Final = f"""
[chap]
{HOST_CHAP[0]} = "{HOST_CHAP[1]}"

[mutual_chap]
{ARRAY_CHAP[0]} = "{ARRAY_CHAP[1]}"
"""


class ArrayProcess:
    """The array, which can be stopped and started again; `said` is all it ever said."""

    def __init__(self, network: Network, directory: Path) -> None:
        self._network = network
        self._log = directory / "array.log"
        self._file = directory / "array.toml"
        self._file.write_text(
            FILE.format(
                name=NAME,
                group=GROUP,
                portals=list(PORTALS),
                file=directory / "mail-db.img",
                initiator=INITIATOR,
                host_user=HOST_CHAP[0],
                array_user=ARRAY_CHAP[0],
            )
        )
        secrets = directory / "secrets.toml"
        secrets.touch(mode=0o600)
        secrets.write_text(SECRETS)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens on every address."""
        assert self._process is None
        before = len(self.said())
        self._process = self._network.start(
            self._log, sys.executable, "-m", "harness", "serve", self._file, "--bind", "as-written"
        )
        self._wait(lambda: any("iscsi://" in line for line in self.said()[before:]), "did not start")

    def stop(self, *, politely: bool) -> None:
        """End it: by SIGTERM, on which it asks its initiators to log out, or by SIGKILL."""
        if self._process is not None:
            end(self._process, politely=politely)
            self._process = None

    @property
    def runs(self) -> bool:
        """True from `start` to `stop`."""
        return self._process is not None

    def said(self) -> list[str]:
        """Every line of its log."""
        return self._log.read_text(errors="replace").splitlines() if self._log.exists() else []

    def admitted(self, since: int = 0) -> list[tuple[str, str]]:
        """(source, portal) of each login to a volume that was admitted, from line ``since`` of the log on."""
        pattern = re.compile(rf"(\S+) -> (\S+): {re.escape(INITIATOR)} asks for iqn\S+: admitted")
        return [(match[1], match[2]) for line in self.said()[since:] if (match := pattern.search(line))]

    def redirected(self, since: int = 0) -> list[tuple[str, str, str]]:
        """(source, address asked, portal it was sent to) of each redirect, from line ``since`` of the log on."""
        pattern = re.compile(r"(\S+) -> (\S+): \S+ asks for iqn\S+: 0x0101 moved temporarily to (\S+)")
        return [(match[1], match[2], match[3]) for line in self.said()[since:] if (match := pattern.search(line))]

    def _wait(self, ready: Callable[[], bool], failure: str) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not ready():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop(politely=False)
                raise AssertionError(f"the array {failure}:\n" + "\n".join(self.said()[-20:]))
            time.sleep(0.05)
