"""Nothing of a lab outlives the process that made it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.support import lacking
from tests.linux_host.host import wait_until
from tests.linux_host.network import lacks

pytestmark = pytest.mark.linux_host

OWNER = """
import sys
from pathlib import Path
from tests.linux_host.network import Network
network = Network(["192.168.51.1", "192.168.51.2"])
network.remove_address("192.168.51.2")
sleeper = network.start(Path("/dev/null"), "sleep", "600")
print(sleeper.pid, network.holder_pid, network.addresses(), flush=True)
sys.stdin.read()
"""


def is_gone(pid: int) -> bool:
    """No such process, or one that only waits for somebody to take note of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_a_network_and_what_runs_in_it_end_with_their_owner(number: signal.Signals) -> None:
    if complaint := lacks():
        lacking(complaint)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout is not None
    with owner:
        words = owner.stdout.readline().split()
        pids = [int(word) for word in words[:2]]
        assert "192.168.51.1/22" in words
        assert "192.168.51.2/22" not in words
        assert not any(is_gone(pid) for pid in pids)
        ours = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{pids[0]}/ns/net") != ours, "it is in the network")
        owner.send_signal(number)
    wait_until(lambda: all(is_gone(pid) for pid in pids), "all of them have ended")
