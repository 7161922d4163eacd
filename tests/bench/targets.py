"""The targets that are compared: ours, istgt, and tgt twice.

Each is a process of its own with one disk of `DISK_BYTES` that is full of data, so that none of them reads holes, which
cost nothing. istgt and tgt keep theirs in a file, that is in the page cache; they have nothing like our volume in
memory, which is what an array file gets that names no file. So ours is shown over a file as well.

tgt is shown with its defaults and tuned, since its defaults (MaxRecvDataSegmentLength 8192, InitialR2T=Yes, 16 I/O
threads) are not what it can do.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from tests.interop.support import START_LIMIT_S, Tgt, free_port, require

DISK_BYTES: Final = 256 << 20

NAMES: Final = ("mpiolab", "tgt", "tgt tuned", "istgt", "mpiolab file")
"""As the table has them: ours, theirs, and ours once more over a file."""

TUNED: Final = {
    "MaxRecvDataSegmentLength": "262144",
    "MaxXmitDataSegmentLength": "262144",
    "MaxBurstLength": "262144",
    "FirstBurstLength": "262144",
    "InitialR2T": "No",
}
"""What makes tgt fast, beside a single I/O thread."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running target: its name in the table, its disk as libiscsi writes it, and its process."""

    name: str
    url: str
    pid: int


@contextmanager
def all_targets(directory: Path) -> Iterator[list[Target]]:
    """All of them in the order of `NAMES`, until the block ends."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(ours(directory)),
            stack.enter_context(_tgt(directory, "tgt")),
            stack.enter_context(_tgt(directory, "tgt tuned", tuned=True)),
            stack.enter_context(_istgt(directory)),
            stack.enter_context(ours(directory, in_file=True)),
        ]


@contextmanager
def ours(directory: Path, *, in_file: bool = False) -> Iterator[Target]:
    """`mpiolab serve` over memory or a file. The address it is asked for redirects to one of the portals."""
    name = "mpiolab file" if in_file else "mpiolab"
    directory = _own(directory, name.replace(" ", "-"))
    image = _image(directory)
    net = "91" if in_file else "90"
    address = f"127.0.{net}.1"
    port = free_port(address)
    array = directory / "array.toml"
    array.write_text(
        f"""
[array]
name = "bench"
group = "192.168.{net}.1/22"
portals = ["192.168.{net}.2", "192.168.{net}.3"]
port = {port}
[[array.volumes]]
name = "disk"
iqn = "iqn.2026-11.lab.bench:disk"
size = "{DISK_BYTES >> 20}MiB"
{f'file = "{image}"' if in_file else ""}
access = [{{ source = "0.0.0.0/0" }}]
"""
    )
    command = [sys.executable, "-m", "harness", "serve", "--loop", "asyncio", str(array)]
    url = f"iscsi://{address}:{port}/iqn.2026-11.lab.bench:disk/0"
    with _process(command, directory / "log", lambda: _listens(address, port)) as pid:
        if not in_file:
            subprocess.run([require("qemu-img"), "convert", "-n", "-O", "raw", image, url], check=True, timeout=60)
        yield Target(name, url, pid)


@contextmanager
def _tgt(directory: Path, name: str, *, tuned: bool = False) -> Iterator[Target]:
    server = Tgt(
        require("tgtd"),
        require("tgtadm"),
        directory / name.replace(" ", "-"),
        address="127.0.92.1",
        iqn="iqn.2026-11.lab.bench:disk",
        size_bytes=DISK_BYTES,
        io_threads=1 if tuned else None,
        fill=_fill,
    )
    try:
        for parameter, value in TUNED.items() if tuned else ():
            server.set_parameter(parameter, value)
        yield Target(name, server.url, server.pid)
    finally:
        server.close()


_ISTGT: Final = """
[Global]
  NodeBase "iqn.2026-11.lab.bench"
  PidFile {directory}/pid
  AuthFile {directory}/auth.conf
  MediaDirectory {directory}
  Timeout 30
  DiscoveryAuthMethod None
  MaxSessions 64
  MaxConnections 4
  MaxR2T 32
  MaxOutstandingR2T 16
  FirstBurstLength 262144
  MaxBurstLength 1048576
  MaxRecvDataSegmentLength 262144
  InitialR2T Yes
  ImmediateData Yes
[UnitControl]
  AuthMethod None
  Portal UC1 {address}:{control_port}
  Netmask 127.0.0.1
[PortalGroup1]
  Portal DA1 {address}:{port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.0/8
[LogicalUnit1]
  TargetName disk
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod None
  UseDigest Auto
  UnitType Disk
  QueueDepth 128
  LUN0 Storage {image} {size_mib}MB
"""


@contextmanager
def _istgt(directory: Path) -> Iterator[Target]:
    program = require("istgt")
    directory = _own(directory, "istgt")
    image = _image(directory)
    address = "127.0.93.1"
    port, control_port = free_port(address), free_port(address)
    (directory / "auth.conf").write_text("")
    (directory / "istgt.conf").write_text(
        _ISTGT.format(
            directory=directory,
            address=address,
            port=port,
            control_port=control_port,
            image=image,
            size_mib=DISK_BYTES >> 20,
        )
    )
    command = [str(program), "-D", "-c", str(directory / "istgt.conf")]  # -D: in the foreground
    with _process(command, directory / "log", lambda: _listens(address, port)) as pid:
        yield Target("istgt", f"iscsi://{address}:{port}/iqn.2026-11.lab.bench:disk/0", pid)


@contextmanager
def _process(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[int]:
    """Run a server until the block ends; it has `START_LIMIT_S` to become ready."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} is not ready:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=START_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def _own(directory: Path, name: str) -> Path:
    own = directory / name
    own.mkdir()
    return own


def _image(directory: Path) -> Path:
    image = directory / "disk.img"
    _fill(image)
    return image


def _fill(image: Path) -> None:
    """Write every byte: a hole is read without touching the page cache, which would flatter whoever reads it."""
    block = Random("disk").randbytes(1 << 20)
    with image.open("wb") as file:
        for _ in range(DISK_BYTES >> 20):
            file.write(block)
        os.fsync(file.fileno())
