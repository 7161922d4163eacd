"""The guest: QEMU emulating a processor, and the serial port over which scripts run in it.

Never under KVM by itself: /dev/kvm may exist and yet not work. guest/init holds the other end of the port.
"""

from __future__ import annotations

import base64
import socket
import time
from pathlib import Path
from typing import Final

from tests.linux_host.image import Image
from tests.linux_host.network import Network, end

BOOT_LIMIT_S: Final = 90.0
"""The emulated guest boots in 5 s on an idle machine."""

GRACE_S: Final = 20.0
"""How long the port may take beyond a script's own limit."""

INITIATOR: Final = "iqn.1993-08.org.debian:01:linux-host"
NICS: Final = ("192.168.50.105", "192.168.50.125")

_KERNEL: Final = (
    *("console=ttyS0", "rdinit=/init", "net.ifnames=0", "loglevel=6", "panic=-1", "mitigations=off"),
    *("clocksource=hpet", "tsc=unstable"),  # the emulated TSC ran 2.6 times fast as a clock
    *("host=linux-host", f"iqn={INITIATOR}", *(f"eth{number}={address}/22" for number, address in enumerate(NICS))),
)


class GuestError(AssertionError):
    """A script failed in the guest, or the guest does not answer. The message holds what the script printed."""


class Guest:
    """A Linux host with two interfaces, on the cables ``tap0`` and ``tap1`` of a network.

    ``console.log`` in ``directory`` is its kernel's, ``daemons.log`` that of udevd, iscsid and multipathd.
    """

    def __init__(self, image: Image, network: Network, directory: Path) -> None:
        self._number = 0
        self._heard = b""
        control = directory / "control"
        nics = []
        for number in range(len(NICS)):
            nics += ["-netdev", f"tap,id=cable{number},ifname=tap{number},script=no,downscript=no"]
            nics += ["-device", f"virtio-net-pci,netdev=cable{number},romfile=,mac=52:54:00:51:00:0{number}"]
        self._qemu = network.start(
            directory / "qemu.log",
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max,la57=off", "-smp", "2"),
            *("-m", "384", "-nodefaults", "-display", "none", "-no-reboot"),
            *("-kernel", image.kernel, "-initrd", image.initramfs, "-append", " ".join(_KERNEL)),
            *("-serial", f"file:{directory / 'console.log'}", "-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=control,path={control},server=on,wait=off"),
            *("-device", "virtserialport,chardev=control,name=control"),
            *("-chardev", f"file,id=log,path={directory / 'daemons.log'}"),
            *("-device", "virtserialport,chardev=log,name=log"),
            *nics,
        )
        self._port = socket.socket(socket.AF_UNIX)
        try:
            self._connect(control, directory)
        except BaseException:
            self.close()
            raise

    def wait_until_up(self) -> None:
        """Until the guest's first process answers. Raises GuestError."""
        self.run("true", limit_s=BOOT_LIMIT_S)

    def run(self, script: str, *, limit_s: float = 60.0, may_fail: bool = False) -> str:
        """What a shell script prints, both outputs together. Raises GuestError when it fails or takes too long."""
        self._number += 1
        encoded = base64.b64encode(script.encode()).decode()
        self._port.sendall(f"{self._number} {limit_s:.0f} {encoded}\n".encode())
        code, output = self._answer(limit_s + GRACE_S, script)
        if code and not may_fail:
            raise GuestError(f"in the guest: {script}\nended with code {code} and said:\n{output}")
        return output

    def start(self, script: str) -> None:
        """Start a script that goes on beside the others."""
        self.run(f"({script}) </dev/null >/dev/null 2>&1 &")

    def close(self) -> None:
        """Switch it off, as by pulling the plug: it holds nothing that has to be kept."""
        self._port.close()
        end(self._qemu)

    def _connect(self, control: Path, directory: Path) -> None:
        deadline = time.monotonic() + GRACE_S
        while True:
            try:
                self._port.connect(str(control))
                return
            except (FileNotFoundError, ConnectionRefusedError):
                pass
            if self._qemu.poll() is not None or time.monotonic() > deadline:
                raise GuestError(f"QEMU did not start: {(directory / 'qemu.log').read_text(errors='replace')}")
            time.sleep(0.05)

    def _answer(self, limit_s: float, script: str) -> tuple[int, str]:
        deadline = time.monotonic() + limit_s
        while True:
            line, found, rest = self._heard.partition(b"\n")
            if found:
                self._heard = rest
                number, code, *output = line.split()
                if int(number) == self._number:  # else one that came too late
                    return int(code), base64.b64decode(b"".join(output)).decode(errors="replace").strip()
                continue
            self._port.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                heard = self._port.recv(1 << 16)
            except TimeoutError:
                raise GuestError(f"the guest gave no answer within {limit_s:.0f} s to: {script}") from None
            if not heard:
                raise GuestError("the guest is gone")
            self._heard += heard
