"""Fixtures for tests against real peers; what they hand out is described in support.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.interop import support
from tests.interop.served import ARRAY, GROUP, SECRETS, Serve, Served, socket_of


class StartTgt(Protocol):
    """Starts a tgtd with one disk; it runs until the test ends."""

    def __call__(
        self, *, address: str = "127.0.0.2", iqn: str = "iqn.2026-11.lab.tgt:disk", size_bytes: int = 16 << 20
    ) -> support.Tgt: ...


@pytest.fixture
def require() -> support.Require:
    """``require("iscsi-ls")`` is the program's path, or the end of the test."""
    return support.require


@pytest.fixture
def tgt(tmp_path: Path) -> Iterator[StartTgt]:
    """``tgt(address="127.0.0.2")`` starts a tgtd; call it again for a second one, the destination of a redirect."""
    tgtd, tgtadm = support.require("tgtd"), support.require("tgtadm")
    running: list[support.Tgt] = []

    def start(
        *, address: str = "127.0.0.2", iqn: str = "iqn.2026-11.lab.tgt:disk", size_bytes: int = 16 << 20
    ) -> support.Tgt:
        directory = tmp_path / f"tgt-{len(running)}"
        running.append(support.Tgt(tgtd, tgtadm, directory, address=address, iqn=iqn, size_bytes=size_bytes))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(volumes=SECRET)`` starts the array."""
    running: list[Served] = []
    secrets = tmp_path / "secrets.toml"
    secrets.touch(mode=0o600)
    secrets.write_text(SECRETS)

    def start(
        *,
        options: str = "",
        volumes: str = "",
        settings: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Served:
        port = support.free_port(GROUP)
        file = tmp_path / f"array-{len(running)}.toml"
        file.write_text(
            ARRAY.format(port=port, options=options, volumes=volumes, settings=settings, socket=socket_of(file))
        )
        running.append(Served(file, port, environment=environment))
        return running[-1]

    yield start
    for served in running:
        served.close()
