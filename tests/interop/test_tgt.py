"""Our initiator against Debian's tgt: discovery, login, data, and a redirect that tgt itself issues."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from initiator_model.connector import LoopConnector
from initiator_model.host import IscsiHost
from initiator_model.host_observer import HostObserver
from initiator_model.profiles import profile_named
from iscsi.discovery import TargetAddress
from tests.interop.support import Tgt

pytestmark = pytest.mark.interop

StartTgt = Callable[..., Tgt]


class Hops(HostObserver):
    """Keeps what each login was answered."""

    def __init__(self) -> None:
        self.hops: list[tuple[str, str]] = []

    def on_hop(self, host: IscsiHost, local: str, remote: str, status: str) -> None:
        self.hops.append((remote, status))


def _host(observer: HostObserver | None = None) -> IscsiHost:
    return IscsiHost(
        "lab",
        "iqn.2026-11.lab.mpiolab:host",
        profile_named("ms-iscsi-2.07"),
        LoopConnector(),
        secrets.token_bytes,
        observer=observer,
    )


async def _write_and_read_back(host: IscsiHost, iqn: str) -> None:
    disk = host.disk(iqn, lun=1).disk
    for blocks in (1, 8, 128, 2048):
        data = secrets.token_bytes(blocks * disk.block_size)
        await disk.write(100, data)
        assert await disk.read(100, blocks) == data
    await disk.flush()


def test_discovery_login_and_data(tgt: StartTgt) -> None:
    server = tgt()

    async def story() -> None:
        host = _host()
        rows = await host.add_target_portal(TargetAddress(server.address, server.port))
        assert [(row.name, row.status.value) for row in rows] == [(server.iqn, "Inactive")]
        await host.log_on(server.iqn)
        assert [(row.name, row.status.value) for row in host.targets()] == [(server.iqn, "Connected")]
        await _write_and_read_back(host, server.iqn)
        await host.log_off(server.iqn)
        assert host.targets()[0].status.value == "Inactive"

    asyncio.run(story())


def test_what_we_wrote_is_in_the_image(tgt: StartTgt) -> None:
    server = tgt()
    data = secrets.token_bytes(65536)

    async def story() -> None:
        host = _host()
        await host.add_target_portal(TargetAddress(server.address, server.port))
        await host.log_on(server.iqn)
        disk = host.disk(server.iqn, lun=1).disk
        await disk.write(2048, data)
        await disk.flush()
        await host.log_off(server.iqn)

    asyncio.run(story())
    assert server.image.read_bytes()[2048 * 512 : 2048 * 512 + len(data)] == data


def test_digests(tgt: StartTgt) -> None:
    server = tgt()
    server.set_parameter("HeaderDigest", "CRC32C")
    server.set_parameter("DataDigest", "CRC32C")

    async def story() -> None:
        from dataclasses import replace

        profile = profile_named("ms-iscsi-2.07")
        offered = replace(profile.offered, header_digest=("CRC32C", "None"), data_digest=("CRC32C", "None"))
        host = IscsiHost(
            "lab",
            "iqn.2026-11.lab.mpiolab:host",
            replace(profile, offered=offered),
            LoopConnector(),
            secrets.token_bytes,
        )
        await host.add_target_portal(TargetAddress(server.address, server.port))
        await host.log_on(server.iqn)
        await _write_and_read_back(host, server.iqn)
        await host.log_off(server.iqn)

    asyncio.run(story())


@pytest.mark.parametrize("reason", ["Temporary", "Permanent"])
def test_a_redirect_of_tgt_is_followed(tgt: StartTgt, reason: Any) -> None:
    group, portal = tgt(address="127.0.0.2"), tgt(address="127.0.0.3")
    group.redirect(portal.address, portal.port, reason)
    hops = Hops()

    async def story() -> None:
        host = _host(hops)
        await host.add_target_portal(TargetAddress(group.address, group.port))
        del hops.hops[:]
        owner = await host.log_on(group.iqn)
        assert owner.session.remote == portal.portal
        assert owner.session.via is not None
        assert owner.session.via.redirect_value == group.portal
        await _write_and_read_back(host, group.iqn)
        await host.log_off(group.iqn)

    asyncio.run(story())
    words = "0x0101 moved temporarily" if reason == "Temporary" else "0x0102 moved permanently"
    assert hops.hops == [(group.portal, f"{words} to {portal.portal}"), (portal.portal, "0x0000 success")]


def test_one_multipath_disk_over_two_sessions(tgt: StartTgt) -> None:
    """Two sessions from two addresses to one tgt target are two paths of one disk."""
    server = tgt()

    async def story() -> None:
        host = _host()
        await host.add_target_portal(TargetAddress(server.address, server.port))
        for source in ("127.0.0.11", "127.0.0.12"):
            await host.log_on(server.iqn, source=source, multipath=True)
        paths = host.disk(server.iqn, lun=1).disk.dsm.paths
        assert [path.state.display for path in paths] == ["Active", "Standby"]
        await _write_and_read_back(host, server.iqn)
        await host.log_off(server.iqn)

    asyncio.run(story())
