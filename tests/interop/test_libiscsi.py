"""libiscsi's tools against the array as `mpiolab serve` runs it: discovery, the redirect, data, CHAP.

The server is a process of its own, with a file that names a free port, so that tests may run side by side. Its
addresses move into 127.0.0.0/8; the group address is 127.0.51.1, the portals are 127.0.51.2 to 127.0.51.4.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.interop.support import START_LIMIT_S, Require, free_port, run

pytestmark = pytest.mark.interop

GROUP = "127.0.51.1"
HOST = "iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-inq"
"""The name iscsi-inq goes by."""

ARRAY = """
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

SECRET = """
[[array.volumes]]
name = "secret"
size = "16MiB"
[[array.volumes.access]]
source = "0.0.0.0/0"
chap = { user = "w2k3", secret = "host-secret-0123" }
"""

SOMEBODY_ELSES = """
[[array.volumes]]
name = "somebody-elses"
size = "16MiB"
[[array.volumes.access]]
initiator = "iqn.1991-05.com.microsoft:somebody-else"
"""


class Served:
    """A running `mpiolab serve` and everything it has said."""

    def __init__(self, file: Path, port: int) -> None:
        self.portal = f"{GROUP}:{port}"
        self._log = file.with_suffix(".log")
        program = "import sys; from pathlib import Path; from harness.serve import serve; "
        program += "serve(Path(sys.argv[1]), as_written=False, say=lambda line: print(line, flush=True))"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, file],
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
        """The lines it has said so far."""
        return self._log.read_text().splitlines()

    def iqn(self, volume: str) -> str:
        """The target name of a volume, from the greeting."""
        (line,) = [line for line in self.said if line.lstrip().startswith("iscsi://") and f"-{volume}/0 " in line]
        return line.split("/")[3]

    def url(self, volume: str = "exchange-logs", user: str = "") -> str:
        """The volume as libiscsi names it, through the group address."""
        return f"iscsi://{user}{self.portal}/{self.iqn(volume)}/0"

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


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(volumes=SECRET)`` starts the array."""
    running: list[Served] = []

    def start(*, options: str = "", volumes: str = "") -> Served:
        port = free_port(GROUP)
        file = tmp_path / f"array-{len(running)}.toml"
        file.write_text(ARRAY.format(port=port, options=options, volumes=volumes))
        running.append(Served(file, port))
        return running[-1]

    yield start
    for served in running:
        served.close()


def sessions(said: list[str], initiator: str) -> list[tuple[str, str]]:
    """The array's decisions about one initiator: (address asked, answer)."""
    pattern = re.compile(rf"127\.0\.0\.1 -> (\S+): {re.escape(initiator)} asks for \S+: (.*?) \(")
    return [match.groups() for line in said if (match := pattern.match(line))]  # type: ignore[misc]


def test_discovery_shows_the_group_address_and_follows_the_redirect_to_look_at_the_disk(
    serve: Serve, require: Require
) -> None:
    tool, served = require("iscsi-ls"), serve()
    listed = run(tool, "-s", f"iscsi://{served.portal}")
    assert listed.returncode == 0, listed
    assert f"Target:{served.iqn('exchange-logs')} Portal:{served.portal},1" in listed.stdout
    assert "127.0.51.2" not in listed.stdout
    assert re.search(r"Lun:0\s+Type:DIRECT_ACCESS", listed.stdout)


def test_discovery_hides_what_this_initiator_may_not_use(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-ls"), serve(volumes=SOMEBODY_ELSES)
    listed = run(tool, f"iscsi://{served.portal}")
    assert listed.returncode == 0, listed
    assert "exchange-logs" in listed.stdout
    assert "somebody-elses" not in listed.stdout
    refused = run(require("iscsi-inq"), served.url("somebody-elses"))
    assert refused.returncode != 0
    assert "Authorization failure(514)" in refused.stdout + refused.stderr


def test_a_login_at_the_group_address_ends_up_at_a_portal(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-inq"), serve()
    inquired = run(tool, served.url())
    assert inquired.returncode == 0, inquired
    assert "Vendor:EQLOGIC" in inquired.stdout
    said = served.close()
    assert sessions(said, HOST) == [
        (GROUP, "0x0101 moved temporarily to 127.0.51.2"),
        ("127.0.51.2", "admitted"),
    ]
    assert "127.0.0.1 -> 127.0.51.2: logout" in said
    assert said[-1] == "stopped"


def test_one_login_after_the_other_goes_to_the_next_portal_by_turns(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-inq"), serve(options='placement = "round-robin"')
    for _ in range(4):
        assert run(tool, served.url()).returncode == 0
    arrived = [asked for asked, answer in sessions(served.close(), HOST) if answer == "admitted"]
    assert arrived == ["127.0.51.2", "127.0.51.3", "127.0.51.4", "127.0.51.2"]


def test_a_portal_may_be_addressed_directly_or_send_everybody_to_the_front(serve: Serve, require: Require) -> None:
    tool = require("iscsi-inq")
    for options, answers in (
        ('direct_login = "serve"', ["admitted"]),
        (
            'direct_login = "redirect"',
            ["0x0101 moved temporarily to 127.0.51.1", "0x0101 moved temporarily to 127.0.51.2"],
        ),
    ):
        served = serve(options=options)
        assert run(tool, served.url().replace(GROUP, "127.0.51.3")).returncode == 0
        told = [answer for _, answer in sessions(served.close(), HOST)]
        assert told[: len(answers)] == answers
        assert told[-1] == "admitted"


def test_the_size_of_the_disk(serve: Serve, require: Require) -> None:
    tool, served = require("iscsi-readcapacity16"), serve()
    capacity = run(tool, served.url())
    assert capacity.returncode == 0, capacity
    assert f"Total size:{64 << 20}" in capacity.stdout


@pytest.mark.parametrize(("blocks", "depth"), [(8, 32), (2048, 4)], ids=["4 KiB", "1 MiB"])
def test_many_reads_at_once(serve: Serve, require: Require, blocks: int, depth: int) -> None:
    """iscsi-perf reads at random for a second; it says `finished` only when every answer came."""
    timeout, tool, served = require("timeout"), require("iscsi-perf"), serve()
    reads = run(timeout, "-k", "1", "10", tool, "-r", "-m", str(depth), "-b", str(blocks), "-t", "1", served.url())
    assert reads.returncode == 0, reads
    assert "finished" in reads.stdout
    assert re.search(r"iops average [1-9]", reads.stdout)
    assert "127.0.0.1 -> 127.0.51.2: logout" in served.close()


@pytest.mark.parametrize(
    ("user", "admitted"),
    [
        ("w2k3%host-secret-0123@", True),
        ("w2k3%another-secret-9@", False),
        ("w2k4%host-secret-0123@", False),
        ("", False),
    ],
    ids=["right", "wrong secret", "wrong name", "none"],
)
def test_chap_is_asked_for_behind_the_redirect(serve: Serve, require: Require, user: str, admitted: bool) -> None:
    tool, served = require("iscsi-inq"), serve(volumes=SECRET)
    inquired = run(tool, served.url("secret", user))
    said = served.close()
    assert sessions(said, HOST)[0] == (GROUP, "0x0101 moved temporarily to 127.0.51.2")
    if admitted:
        assert inquired.returncode == 0, inquired
        assert "Vendor:EQLOGIC" in inquired.stdout
    else:
        assert inquired.returncode != 0
        assert "127.0.0.1 -> 127.0.51.2: login ended with 0x0201 authentication failure" in said
