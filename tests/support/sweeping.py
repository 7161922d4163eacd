"""Sweeps as tests run them: a scenario that takes a hundredth of a second, and policies that spoil some seeds of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path as File
from typing import Any

import duckdb

from harness.toml_text import toml_text
from initiator_model.paths import Path
from initiator_model.policies import Selector, first_active
from initiator_model.requests import IoRequest
from tests.support.runs import LOGINS, two_paths, workload

MODULE = "tests.support.sweeping"


def small_scenario(file: File, policy: str | None = None, **work: Any) -> File:
    """A scenario file: two paths, a few I/Os at random places; ``policy`` is one of the classes below."""
    steps = [] if policy is None else [{"do": "set_policy", "volume": "logs", "policy": policy}]
    tables = two_paths(*LOGINS, *steps, workload(**{"ios": 12, "iops": 1000} | work))
    file.write_text(toml_text(tables), encoding="utf-8")
    return file


def table(file: File, columns: str = "* EXCLUDE (wall_seconds, cpu_seconds)") -> list[tuple[Any, ...]]:
    """The rows of a sweep's file in the order of their seeds, without what the clock on the wall says."""
    with duckdb.connect(str(file), read_only=True) as tables:
        return tables.execute(f"SELECT {columns} FROM seeds ORDER BY seed").fetchall()


class _FirstPath(Selector):
    promises = frozenset()

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        at = first_active(paths)
        if at >= 0 and io.lba % 32 < 8:  # one of four places: some seeds come to it, some do not
            self.unruly()
        return paths[at] if at >= 0 else None

    def unruly(self) -> None:
        """What happens then."""


class Dies(_FirstPath):
    """Takes the process with it."""

    def unruly(self) -> None:
        os._exit(3)


class Hangs(_FirstPath):
    """Does not come back, but can be interrupted."""

    def unruly(self) -> None:
        while True:
            pass


class HangsAndIsDeaf(_FirstPath):
    """Does not come back, whatever rings."""

    def unruly(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        while True:
            pass
