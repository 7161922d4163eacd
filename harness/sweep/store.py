"""The file of a sweep: DuckDB, one row per seed, and one row that says what sweep it is.

Only the parent process writes. Rows are committed chunk by chunk, so whatever happens to it a seed that was counted is
there; going on (`--resume`) runs the rest. A file of another sweep is refused, since its rows would not mean the same.
"""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.sweep.job import Job
from harness.sweep.pools import MissingExtra
from harness.sweep.row import SeedRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Identity", "Store", "StoreError", "identity_of"]

TABLES: Final = """
CREATE TABLE sweep (
    kind VARCHAR NOT NULL,              -- swarm, or scenario for one from a file
    scenario_sha256 VARCHAR NOT NULL,   -- of the file's bytes; empty for a swarm
    twice BOOLEAN NOT NULL,             -- each seed ran in two processes
    mpiolab VARCHAR NOT NULL,           -- version
    python VARCHAR NOT NULL,            -- minor version: traces of another one may differ
    commit VARCHAR NOT NULL,            -- empty where it is not known
    command VARCHAR NOT NULL,           -- that began it
    began TIMESTAMP NOT NULL DEFAULT current_timestamp
);
CREATE TABLE seeds (
    seed BIGINT PRIMARY KEY,
    verdict VARCHAR NOT NULL,           -- pass, fail, or error: the harness failed
    exit_code INTEGER NOT NULL,
    signature VARCHAR NOT NULL,         -- the same for failures of one kind; empty for a pass
    failing_checks VARCHAR[] NOT NULL,
    why VARCHAR NOT NULL,
    marks VARCHAR[] NOT NULL,           -- rare situations it came through
    trace_sha256 VARCHAR NOT NULL,
    virtual_seconds DOUBLE NOT NULL,
    wall_seconds DOUBLE NOT NULL,
    cpu_seconds DOUBLE NOT NULL,
    ios BIGINT NOT NULL,
    events BIGINT NOT NULL,
    scenario VARCHAR NOT NULL,
    features VARCHAR[] NOT NULL
);
"""

COLUMNS: Final = tuple(field.name for field in fields(SeedRow))


class StoreError(Exception):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What two sweeps have in common when the rows of one can stand beside the other's."""

    kind: str
    scenario_sha256: str
    twice: bool
    mpiolab: str
    python: str
    commit: str


def identity_of(job: Job) -> Identity:
    """This program's, doing that job."""
    return Identity(
        kind=job.kind,
        scenario_sha256=job.scenario_sha256,
        twice=job.twice,
        mpiolab=importlib.metadata.version("mpiolab"),
        python=".".join(platform.python_version_tuple()[:2]),
        commit=_commit(),
    )


class Store:
    """The tables, open. ``file`` None keeps them in memory. Use as a context manager."""

    def __init__(self, file: Path | None, identity: Identity, command: str, *, resume: bool) -> None:
        """Begin a file, or go on with one. Raises StoreError, MissingExtra."""
        try:
            import duckdb
        except ImportError:
            raise MissingExtra('mpiolab sweep keeps its results with DuckDB: pip install "mpiolab[sweep]"') from None
        there = file is not None and file.exists()
        if there and not resume:
            raise StoreError(f"{file} is there already: --resume goes on with it")
        if resume and not there:
            raise StoreError(f"--resume: there is no file {file}")
        try:
            self.tables: DuckDBPyConnection = duckdb.connect(":memory:" if file is None else str(file))
            if there:
                self._check(file, identity)
            else:
                self._begin(identity, command)
        except duckdb.Error as error:
            raise StoreError(f"{file}: {error}") from None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.tables.close()

    def add(self, rows: Sequence[SeedRow]) -> None:
        """Keep these rows; when this returns they are on disk."""
        holes = ", ".join("?" * len(COLUMNS))
        self.tables.begin()
        self.tables.executemany(f"INSERT INTO seeds VALUES ({holes})", [_values(row) for row in rows])
        self.tables.commit()

    def seeds(self) -> set[int]:
        """The seeds that have a row."""
        return {seed for (seed,) in self.tables.execute("SELECT seed FROM seeds").fetchall()}

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The answer to a query."""
        return self.tables.execute(query, values).fetchall()

    def _begin(self, identity: Identity, command: str) -> None:
        self.tables.begin()
        self.tables.execute(TABLES)
        self.tables.execute(
            "INSERT INTO sweep (kind, scenario_sha256, twice, mpiolab, python, commit, command) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [*astuple(identity), command],
        )
        self.tables.commit()

    def _check(self, file: Path | None, identity: Identity) -> None:
        names = [field.name for field in fields(Identity)]
        found = self.rows(f"SELECT {', '.join(names)} FROM sweep")
        if len(found) != 1:
            raise StoreError(f"{file} holds no sweep")
        other = [
            f"{name} is {theirs!r} there and {ours!r} here"
            for name, theirs, ours in zip(names, found[0], astuple(identity), strict=True)
            if theirs != ours
        ]
        if other:
            raise StoreError(f"{file} is of another sweep: {'; '.join(other)}")


def _values(row: SeedRow) -> list[Any]:
    return [list(value) if isinstance(value, tuple) else value for value in (getattr(row, name) for name in COLUMNS)]


def _commit() -> str:
    """What git calls the present state of the code, as far as this is a checkout."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
