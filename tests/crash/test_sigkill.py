"""The served array is killed at random moments: nothing it acknowledged as stable is lost, and no block is torn.

A real process on real files, `mpiolab serve`, with two volumes in files and two snapshots, of 512 and of 4096 byte
blocks. What a dead process has written is in the page cache still, so this is about what was not written yet (the map
of a snapshot, foremost) and about files that are found as a kill leaves them. Lost power, which takes the page cache
too, is simulated: `tests.properties.test_power_cut`.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from initiator_model.connector import LoopConnector
from initiator_model.host import IscsiHost
from initiator_model.profiles import profile_named
from initiator_model.scsi_calls import Submit
from iscsi.discovery import TargetAddress
from tests.crash.stamped_volume import StampedVolume
from tests.interop.served import Served
from tests.interop.support import free_port
from tests.support.promises import Broken

GROUP = "127.0.105.1"
VOLUME_BYTES = 1 << 20
ROUNDS = 7

ARRAY = """
[array]
name = "crash"
group = "192.168.105.1/24"
portals = ["192.168.105.2", "192.168.105.3"]
port = {port}
"""

VOLUME = """
[[array.volumes]]
name = "{name}"
size = "1MiB"
block_size = {block_bytes}
file = "{name}.data"
{base}
[[array.volumes.access]]
source = "0.0.0.0/0"
"""


def make_volumes(folder: Path, seed: int, port: int) -> list[StampedVolume]:
    """Two files and two snapshots with their bases, and the array file that names them."""
    text = ARRAY.format(port=port)
    volumes = []
    for snapshot in (False, True):
        for block_bytes in (512, 4096):
            name = f"{'snapshot' if snapshot else 'file'}-{block_bytes}"
            volume = StampedVolume(
                name, block_bytes, VOLUME_BYTES // block_bytes, snapshot, random.Random(f"{seed}:{name}")
            )
            base = ""
            if snapshot:
                (folder / f"{name}.base").write_bytes(b"".join(volume.first_values()))
                base = f'snapshot_of = "{name}.base"'
            text += VOLUME.format(name=name, block_bytes=block_bytes, base=base)
            volumes.append(volume)
    (folder / "array.toml").write_text(text)
    return volumes


async def sessions(host: IscsiHost, served: Served, volumes: list[StampedVolume]) -> list[Submit]:
    """One session for each volume, through the group address."""
    address, _, port = served.portal.partition(":")
    await host.add_target_portal(TargetAddress(address, int(port)))
    return [(await host.log_on(served.iqn(volume.name), multipath=True)).session.submit for volume in volumes]


async def one_life(served: Served, volumes: list[StampedVolume], when: str, rng: random.Random, *, kill: bool) -> None:
    """Read back what the last life left, then write; in the midst of it the array is killed, or it may finish."""
    host = IscsiHost(
        "crash", "iqn.2026-11.lab.mpiolab:crash", profile_named("msdsm-2008"), LoopConnector(), rng.randbytes
    )
    writers: list[asyncio.Task[None]] = []
    try:
        submits = await sessions(host, served, volumes)
        for volume, submit in zip(volumes, submits, strict=True):
            await volume.verify(submit, when)
        before = sum(volume.tally.acknowledged for volume in volumes)
        enough = rng.randrange(20, 400)
        for volume, submit in zip(volumes, submits, strict=True):
            writers.append(asyncio.create_task(volume.write(submit, 10**9 if kill else 40)))
        if kill:
            while sum(volume.tally.acknowledged for volume in volumes) - before < enough:
                await asyncio.sleep(0)
            served.kill()
            host.power_off()
        for writer in writers:
            await writer
    finally:
        for writer in writers:
            writer.cancel()
        host.power_off()
        await asyncio.sleep(0.01)  # the transports close


def live_through(folder: Path, seed: int, *, program: tuple[str, ...] = ("-m", "harness")) -> list[StampedVolume]:
    """Lives ended by SIGKILL, one that ends in peace, and a last look. Raises Broken."""
    port = free_port(GROUP)
    volumes, rng = make_volumes(folder, seed, port), random.Random(seed)
    when = "at the beginning"
    for life in range(ROUNDS + 2):
        served = Served(folder / "array.toml", port, GROUP, program)
        try:
            asyncio.run(one_life(served, volumes, when, rng, kill=life < ROUNDS))
        finally:
            served.close()
        when = f"after kill {life + 1}" if life < ROUNDS else "after a clean end"
    return volumes


@pytest.mark.timeout(400)
def test_what_was_acknowledged_as_stable_survives_sigkill(tmp_path: Path) -> None:
    volumes = live_through(tmp_path, seed=int.from_bytes(b"kill"))
    for volume in volumes:
        tally = volume.tally
        assert tally.held > 50, f"{volume.name} was not asked to hold much: {tally}"
        assert tally.unanswered >= ROUNDS, f"{volume.name} was not killed in the midst of its work: {tally}"
    assert sum(volume.tally.lost for volume in volumes if volume.snapshot) > 0, "nothing was at stake"


TOO_EARLY = """
from harness.cli import main
from target.command import GOOD
from target.disk import Disk

Disk.flushed = lambda disk: GOOD
main()
"""


@pytest.mark.timeout(400)
def test_an_array_that_acknowledges_before_the_flush_is_caught(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"after kill \d snapshot-\d+ block \d+ holds .*; allowed: "):
        live_through(tmp_path, seed=1, program=("-c", TOO_EARLY))
