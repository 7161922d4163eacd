"""What an administrator does on the Linux host: iscsiadm, multipath, and a program that writes meanwhile."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from target.identity import VolumeIdentity
from tests.linux_host.array import GROUP, MAIL
from tests.linux_host.guest import Guest

INTERFACES: Final = ("eth0", "eth1")
LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Timers:
    """How soon the host gives a path up, in seconds.

    A ping is sent after ``noop_interval`` of silence and wants an answer within ``noop_timeout``; ``fast_io_fail``
    later what is stuck on the path goes to another one: multipathd writes its own fast_io_fail_tmo over iscsid's
    replacement_timeout. A login, or an attempt to connect, that gets no answer is given up after ``login``.
    """

    noop_interval: int = 5
    noop_timeout: int = 5
    fast_io_fail: int = 5
    login: int = 15

    @property
    def total_s(self) -> int:
        """From the last sign of life until the path is given up."""
        return self.noop_interval + self.noop_timeout + self.fast_io_fail


DEFAULT_TIMERS: Final = Timers()
"""Those of Debian's iscsid.conf and of multipathd."""
FAST_TIMERS: Final = Timers(1, 1, 1, login=4)


@dataclass(frozen=True, slots=True)
class Session:
    """One session as ``iscsiadm -m session -P 2`` shows it."""

    target: str
    number: int
    interface: str
    current_portal: str
    persistent_portal: str
    state: str
    header_digest: str
    data_digest: str


@dataclass(frozen=True, slots=True)
class Written:
    """What the writer found out. ``wrong`` are the blocks that did not read back as they were last written."""

    writes: int
    errors: list[str]
    longest_s: float
    slow_s: list[float]
    read_back: int
    wrong: list[str]


def all_is_well(written: Written) -> None:
    """No write failed, and everything reads back as it was last written."""
    assert written.errors == []
    assert written.wrong == []
    assert written.read_back > 0


def wait_until(ready: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Look again and again; AssertionError names what did not come about."""
    deadline = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        time.sleep(0.3)


class LinuxHost:
    """open-iscsi and dm-multipath in the guest."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.run = guest.run

    # -- iscsiadm ------------------------------------------------------------------------------------------------------

    def discover(self) -> list[str]:
        """The records that discovery at the group address gives, as ``portal,tag name``."""
        interfaces = " ".join(f"-I {interface}" for interface in INTERFACES)
        self.run(f"iscsiadm -m discovery -t st -p {GROUP} {interfaces}")
        return sorted(set(self.run("iscsiadm -m node").splitlines()))

    def set_node(self, volume: VolumeIdentity, settings: Mapping[str, str | int]) -> None:
        """Change settings of a volume's records, for logins from now on."""
        update = f"iscsiadm -m node -T {volume.iqn} -o update"
        self.run(" && ".join(f"{update} -n '{name}' -v '{value}'" for name, value in settings.items()))

    def login(self, volume: VolumeIdentity = MAIL, interface: str | None = None, *, may_fail: bool = False) -> str:
        """Log in at the group address, from one interface or from both, one after the other."""
        chosen = INTERFACES if interface is None else (interface,)
        said = [
            self.run(f"iscsiadm -m node -T {volume.iqn} -p {GROUP} -I {name} -l", may_fail=may_fail) for name in chosen
        ]
        return "\n".join(said)

    def logout(self) -> None:
        """Log out of everything."""
        if self.sessions():
            self.run("iscsiadm -m node -u; udevadm settle -t 10", may_fail=True)
        wait_until(lambda: not self.sessions(), "every session is logged out")

    def sessions(self) -> list[Session]:
        """The sessions, by interface."""
        # Exit code 21: there is none.
        text = self.run("iscsiadm -m session -P 2 || [ $? = 21 ]")
        found = []
        shared: dict[str, str] = {}  # the target and its portals stand once, above all the sessions there
        for part in re.split(r"^(?=Target: |\s*(?:Current Portal|Iface Name): )", text, flags=re.MULTILINE):
            fields = dict(re.findall(r"^\s*([\w ]+): (.*)$", part, re.MULTILINE))
            if "SID" in fields:
                found.append(
                    Session(
                        shared["Target"].split(" ")[0],
                        int(fields["SID"]),
                        fields["Iface Netdev"],
                        shared["Current Portal"].partition(":")[0],
                        shared["Persistent Portal"].partition(":")[0],
                        fields["iSCSI Connection State"],
                        fields.get("HeaderDigest", ""),
                        fields.get("DataDigest", ""),
                    )
                )
            else:
                shared |= fields
        return sorted(found, key=lambda session: session.interface)

    def portal_of(self, interface: str) -> str | None:
        """The portal an interface's session is at; None while it is not logged in."""
        for session in self.sessions():
            if session.interface == interface and session.state == "LOGGED IN":
                return session.current_portal
        return None

    def portals(self) -> list[str]:
        """The portals of the sessions that are logged in, by interface."""
        return [session.current_portal for session in self.sessions() if session.state == "LOGGED IN"]

    def session_numbers(self) -> list[int]:
        """The numbers the kernel gave them; a session that is recovered keeps its own."""
        return [session.number for session in self.sessions()]

    # -- multipath -----------------------------------------------------------------------------------------------------

    def set_timers(self, timers: Timers) -> None:
        """For logins from now on."""
        self.set_node(
            MAIL,
            {
                "node.conn[0].timeo.noop_out_interval": timers.noop_interval,
                "node.conn[0].timeo.noop_out_timeout": timers.noop_timeout,
                "node.conn[0].timeo.login_timeout": timers.login,
            },
        )
        override = f"overrides {{\nfast_io_fail_tmo {timers.fast_io_fail}\n}}"
        self.run(f"echo '{override}' >/etc/multipath/conf.d/timers.conf; multipathd reconfigure")

    def paths(self) -> list[str]:
        """``device state path-checker`` of each path of the mail volume, such as ``sda active ready``."""
        text = self.run("multipathd show paths raw format '%w %d %t %T'")
        rows = [line.split() for line in text.splitlines()]
        return sorted(" ".join(row[1:]) for row in rows if row and row[0] == wwid(MAIL))

    def writes_by_disk(self) -> list[int]:
        """How many writes each path's disk has completed since it appeared."""
        disks = [path.split()[0] for path in self.paths()]
        return [int(self.run(f"cat /sys/block/{disk}/stat").split()[4]) for disk in disks]

    def ready_paths(self) -> int:
        """How many paths of the mail volume carry I/O."""
        return sum(" active ready" in path for path in self.paths())

    def wait_for_paths(self, number: int, limit_s: float = LIMIT_S) -> None:
        """Until so many paths carry I/O, and the device is there when there are any."""
        wait_until(lambda: self.ready_paths() == number, f"{number} paths are ready", limit_s)
        if number:
            wait_until(lambda: self.run(f"test -b {device(MAIL)} || echo no") == "", "the multipath device is there")

    # -- the writer ----------------------------------------------------------------------------------------------------

    def start_writing(self) -> None:
        """Start the writer on the multipath device, and wait until it is well at work."""
        self.run("rm -f /run/written /run/writer.log")
        writer = f"exec python3 /usr/bin/writer.py {device(MAIL)} /run/written 2>/run/writer.log"
        self.guest.start(f"sh -c 'echo $$ >/run/writer.pid; {writer}'")
        self.wait_for_writes(50)

    def wait_for_writes(self, more: int, limit_s: float = LIMIT_S) -> None:
        """Until so many more writes are done."""
        wanted = self._written().get("writes", 0) + more
        wait_until(lambda: self._written().get("writes", 0) >= wanted, f"{more} more writes", limit_s)

    def stop_writing(self) -> Written:
        """Stop the writer; what it wrote is read back."""
        self.run("kill $(cat /run/writer.pid)")
        wait_until(lambda: "wrong" in self._written(), "all is written and read back")
        result = self._written()
        return Written(**{field: result[field] for field in Written.__dataclass_fields__})

    def give_up_writing(self) -> None:
        """End a writer that a failed test has left behind, once its writes come back."""
        self.run("[ ! -e /run/writer.pid ] || kill -9 $(cat /run/writer.pid)", may_fail=True)
        wait_until(lambda: self.run("pidof python3", may_fail=True) == "", "no writer is left")

    def _written(self) -> dict[str, object]:
        text = self.run("cat /run/written 2>/dev/null; cat /run/writer.log >&2", may_fail=True)
        state, _, complaint = text.partition("\n")
        assert not complaint, f"the writer: {text}"
        return json.loads(state) if state else {}


def wwid(volume: VolumeIdentity) -> str:
    """What multipath calls a disk: 3, for NAA, and its identifier."""
    return f"3{volume.naa.hex()}"


def device(volume: VolumeIdentity) -> str:
    """The multipath device of a volume."""
    return f"/dev/mapper/{wwid(volume)}"
