"""The array under test: `mpiolab serve` as it stands, with its addresses as written, in the network of the guest."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
socket = "{socket}"
log = "json"

[array]
name = "{name}"
group = "{group}/22"
portals = {portals}
{options}
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


@dataclass(frozen=True, slots=True)
class Login:
    """The array's answer to one login to a volume: from ``source`` at ``arrived_at``, to be served by ``portal``.

    ``portal`` is None for one that was refused; what was redirected has another portal than it arrived at.
    """

    source: str
    arrived_at: str
    portal: str | None


class ArrayProcess:
    """The array, which can be stopped and started again."""

    def __init__(self, network: Network, directory: Path) -> None:
        self._network = network
        self._log = directory / "array.log"
        self._file = directory / "array.toml"
        self._socket = directory / "control.sock"
        self._data = directory / "mail-db.img"
        self._write_file("")
        secrets = directory / "secrets.toml"
        secrets.touch(mode=0o600)
        secrets.write_text(SECRETS)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _write_file(self, options: str) -> None:
        self._file.write_text(
            FILE.format(
                socket=self._socket,
                name=NAME,
                group=GROUP,
                portals=list(PORTALS),
                options=options,
                file=self._data,
                initiator=INITIATOR,
                host_user=HOST_CHAP[0],
                array_user=ARRAY_CHAP[0],
            )
        )

    # -- the process ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until it listens on every address."""
        assert self._process is None
        before = self.now
        self._process = self._network.start(
            self._log, sys.executable, "-m", "harness", "serve", self._file, "--bind", "as-written"
        )
        deadline = time.monotonic() + START_LIMIT_S
        while not self.events("serving", since=before):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop(politely=False)
                raise AssertionError("the array did not start:\n" + self._log.read_text(errors="replace")[-4000:])
            time.sleep(0.05)

    def stop(self, *, politely: bool) -> None:
        """End it: by SIGTERM, on which it asks its initiators to log out, or by SIGKILL."""
        if self._process is not None:
            end(self._process, politely=politely)
            self._process = None

    def become(self, options: str) -> None:
        """Start anew with these options of `[array]`, or with none as before."""
        self.stop(politely=False)
        self._write_file(options)
        self.start()

    @property
    def runs(self) -> bool:
        """True from `start` to `stop`."""
        return self._process is not None

    def ctl(self, *words: str) -> str:
        """`mpiolab ctl`, as an operator would type it; what it says."""
        return self._mpiolab("ctl", *words)

    def mend(self) -> None:
        """It runs, every portal is up and takes logins, no fault is on."""
        if not self.runs:
            self.start()
        status = json.loads(self._mpiolab("status", "--json"))
        for portal in status["portals"]:
            if portal["state"] == "down":
                self.ctl("portal", "up", portal["address"])
            elif portal["state"] == "drained":
                self.ctl("undrain", portal["address"])
        for fault in status["faults"]:
            self.ctl("fault", "off", fault["name"])

    def _mpiolab(self, *words: str) -> str:
        command = [sys.executable, "-m", "harness", *words, "--socket", str(self._socket)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_LIMIT_S, cwd=ROOT)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    # -- what it logged ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """How many events it has logged so far: where to look on from."""
        return len(self.events())

    def events(self, name: str | None = None, *, since: int = 0) -> list[dict[str, Any]]:
        """Its events in order, those of one name, from the ``since``-th of all on."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        found = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("}\n")]
        return [event for event in found[since:] if name in (None, event["event"])]

    def logins(self, since: int = 0) -> list[Login]:
        """Its answers to logins to volumes."""
        return [
            Login(event["source"], event["arrived_at"], event.get("portal"))
            for event in self.events(since=since)
            if event["event"] in ("login", "login.refused") and event.get("target")
        ]

    def redirected(self, since: int = 0) -> list[Login]:
        """Those it sent elsewhere."""
        return [login for login in self.logins(since) if login.portal not in (None, login.arrived_at)]

    def admitted(self, since: int = 0) -> list[tuple[str, str]]:
        """Source and portal of those it served."""
        return [(login.source, login.portal) for login in self.logins(since) if login.portal == login.arrived_at]

    def logouts(self, since: int = 0) -> list[str]:
        """The sources of connections that ended by a logout of the host's."""
        ended = self.events("connection.ended", since=since)
        return [event["source"] for event in ended if event["reason"] == "logout" and event.get("target")]
