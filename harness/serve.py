"""`mpiolab serve`: the array alone, on real TCP, for real initiators.

It binds to loopback unless told otherwise: the addresses of the file move into 127.0.0.0/8 (see `harness.loopback`).
With ``as_written`` the file's own addresses are used, which must then be configured on this machine, and anyone who
can reach them is subject to the volumes' access rules alone.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

from harness.array import build_group, group_config
from harness.loopback import array_on_loopback
from harness.scenario import Array
from harness.serving.array_file import Serving, load_serving
from target.block_file import FileRefused
from target.config import GroupConfig
from target.group import Group
from target.off_loop import off_loop
from target.server import ArrayServer

DRAIN_S = 5
"""How long a clean shutdown waits for initiators that were asked to log out."""


class ServeError(Exception):
    """The array cannot be served; the message names the address or file."""


def example_array() -> Array:
    """The array of the walkthrough, open to everybody: what `mpiolab serve` without a file offers."""
    return Array.model_validate(
        {
            "kind": "equallogic",
            "name": "PS100",
            "group": "192.168.51.1/22",
            "portals": ["192.168.51.2", "192.168.51.3", "192.168.51.4"],
            "volumes": [{"name": "iscsi-test", "size": "1GiB", "access": [{"source": "0.0.0.0/0"}]}],
        }
    )


def serve(path: Path | None, *, as_written: bool, say: Callable[[str], None]) -> None:
    """Serve the array of a file until SIGINT or SIGTERM. Raises ScenarioError or ServeError."""
    serving = load_serving(path) if path is not None else Serving(example_array())
    array = serving.array if as_written else array_on_loopback(serving.array)
    asyncio.run(_serve(group_config(array, serving.limits), say))


async def _serve(config: GroupConfig, say: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    try:
        group = build_group(
            config, files=True, offload=off_loop(loop), on_decision=lambda decision: say(decision.words)
        )
    except FileRefused as error:
        raise ServeError(str(error)) from None
    server = ArrayServer(group, secrets.token_bytes, lambda ended: say(ended.words))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await _listen(server)
        for line in greeting(config):
            say(line)
        await stop.wait()
        await _say_goodbye(server)
    finally:
        server.close()
        _close_stores(group, say)
    say("stopped")


async def _listen(server: ArrayServer) -> None:
    config = server.group.config
    for address in config.addresses:
        try:
            await server.listen(address)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ServeError(f"cannot listen at {address}:{config.port}: {reason}") from None


def greeting(config: GroupConfig) -> list[str]:
    """What a person needs to log in."""
    front = config.group_address or config.portals[0].address
    lines = [f"{config.name}: discover at {front}:{config.port}"]
    if config.group_address is not None:
        portals = ", ".join(portal.address for portal in config.portals)
        lines.append(f"logins are redirected to {portals} ({config.placement})")
    for volume in config.volumes:
        for lun in volume.luns:
            address = f"iscsi://{front}:{config.port}/{volume.iqn}/{lun.number}"
            lines.append(f"  {address}   {volume.name}, {lun.size_bytes} bytes")
    return lines


async def _say_goodbye(server: ArrayServer) -> None:
    """Ask everybody to log out (async event 1), and give them a while."""
    for connection in server.connections():
        connection.request_logout(DRAIN_S)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAIN_S
    while server.connections() and loop.time() < deadline:
        await asyncio.sleep(0.05)


def _close_stores(group: Group, say: Callable[[str], None]) -> None:
    for name, volume in group.volumes.items():
        for unit in volume.luns.units():
            try:
                unit.close()
            except OSError as error:
                say(f"{name}: what was not synchronized may be lost: {error.strerror}")
