"""The array and the host beside one another, and what is done to both between them."""

from __future__ import annotations

from pathlib import Path

from tests.linux_host.array import ADDRESSES, MAIL, ArrayProcess
from tests.linux_host.guest import NICS, Guest
from tests.linux_host.host import DEFAULT_TIMERS, LinuxHost, Timers, Written
from tests.linux_host.image import guest_image
from tests.linux_host.network import Network


class Lab:
    """One network, one array, one guest. ``directory`` holds what each of them logs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        image = guest_image(directory)
        self.network = Network(ADDRESSES)
        self._guest: Guest | None = None
        self._array: ArrayProcess | None = None
        self._timers: Timers | None = None
        self.waits: list[str] = []
        """What `note_wait` heard, in words."""
        try:
            self._guest = Guest(image, self.network, directory)
            self.array = self._array = ArrayProcess(self.network, directory)
            self._guest.wait_until_up()
            self.host = LinuxHost(self._guest)
        except BaseException:
            self.close()
            raise

    def connect(self, timers: Timers = DEFAULT_TIMERS) -> None:
        """The host has two paths to the mail volume that carry I/O, and those timers."""
        if self._timers != timers or self.host.ready_paths() != len(NICS):
            self.disconnect()
            self.host.discover()
            self.host.set_timers(timers)
            self.host.login()
            self._timers = timers
        self.host.wait_for_paths(len(NICS))

    def disconnect(self) -> None:
        """The host is logged out of everything, and forgets what was set for the mail volume."""
        self._timers = None
        self.host.logout()
        self.host.wait_for_paths(0)
        self.host.run(f"iscsiadm -m node -T {MAIL.iqn} -o delete", may_fail=True)

    def mend(self) -> None:
        """Every cable is plugged in, every address is there, the array is well; nobody writes."""
        for number in range(len(NICS)):
            self.network.cable(number, plugged=True)
        there = self.network.addresses()
        for address in ADDRESSES:
            if address not in there:
                self.network.add_address(address)
        self.array.mend()
        self.host.give_up_writing()

    def note_wait(self, what: str, written: Written) -> None:
        """Remember how long the host's writes waited."""
        self.waits.append(f"{what}: {written.writes} writes, the longest took {written.longest_s:.2f} s")

    def close(self) -> None:
        """End everything."""
        if self._guest is not None:
            self._guest.close()
        if self._array is not None:
            self._array.stop(politely=False)  # with nobody left to ask for a logout
        self.network.close()
