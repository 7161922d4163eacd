"""Who runs the chunks: worker processes on this machine, or the workers of a dask cluster.

A pool hands back futures. A future that ends in `WorkerLost` has lost its process, and the chunk with it; which of its
seeds did that, the pool does not know. After that a local pool is of no more use.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

from harness.sweep.job import Job
from harness.sweep.row import SeedRow
from harness.sweep.worker import run_chunk, set_up

__all__ = ["DaskPool", "LocalPool", "MissingExtra", "NoCluster", "Pool", "cpus", "is_lost"]

_CONNECT_S: Final = 10.0


class MissingExtra(Exception):
    """The extra is not installed."""


class NoCluster(Exception):
    """Nobody is there to run anything; the message names the address."""


class Pool(Protocol):
    """Workers that take chunks."""

    workers: int
    """How many chunks they run at once."""

    def submit(self, job: Job, seeds: Sequence[int]) -> Future[list[SeedRow]]:
        """Have a chunk run."""

    def renewed(self, workers: int) -> Pool:
        """The pool to go on with after a worker was lost, with so many workers if that can be chosen."""

    def last_words(self) -> str:
        """Where the process was that the watchdog ended; empty when it died by itself, or nobody knows."""

    def close(self) -> None:
        """Let the workers go; what has not begun is not run."""


def cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalPool:
    """Processes of this machine, spawned: they have nothing of the parent's state.

    They stay for the whole sweep. A run leaves nothing that the collection before the next one does not free.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._watchdogs = TemporaryDirectory(prefix="mpiolab-sweep-")
        self._executor = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=set_up,
            initargs=(list(sys.path), self._watchdogs.name),
        )

    def submit(self, job: Job, seeds: Sequence[int]) -> Future[list[SeedRow]]:
        """See `Pool.submit`."""
        return self._executor.submit(run_chunk, job, tuple(seeds))

    def renewed(self, workers: int) -> LocalPool:
        """A new pool."""
        self.close()
        return LocalPool(workers)

    def last_words(self) -> str:
        """See `Pool.last_words`."""
        return "".join(file.read_text(errors="replace") for file in sorted(Path(self._watchdogs.name).iterdir()))

    def close(self) -> None:
        """See `Pool.close`."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._watchdogs.cleanup()


class DaskPool:
    """The workers of a dask.distributed cluster, which have this version of mpiolab installed."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise MissingExtra('--dask wants dask.distributed: pip install "mpiolab[sweep]"') from None
        client: Any = distributed.Client  # its methods have no types
        try:
            self._client = client(address, timeout=_CONNECT_S)
        except (OSError, ValueError) as error:
            raise NoCluster(f"--dask {address}: no scheduler: {error}") from None
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError:
            self.close()
            raise NoCluster(f"--dask {address}: the scheduler has no workers") from None
        self.workers = max(1, sum(self._client.nthreads().values()))

    def submit(self, job: Job, seeds: Sequence[int]) -> Future[list[SeedRow]]:
        """See `Pool.submit`. A seed's row does not depend on who runs it, but a chunk is never taken for another."""
        executor = self._client.get_executor(pure=False, retries=0)
        future: Future[Any] = executor.submit(run_chunk, job, tuple(seeds))
        return future

    def renewed(self, workers: int) -> DaskPool:
        """The cluster replaces its workers itself."""
        return self

    def last_words(self) -> str:
        """See `Pool.last_words`: they are in the worker's own log."""
        return ""

    def close(self) -> None:
        """See `Pool.close`."""
        self._client.close()


_LOST: Final = ("KilledWorker",)


def is_lost(error: BaseException) -> bool:
    """Whether a chunk ended because its process did."""
    return isinstance(error, BrokenProcessPool) or type(error).__name__ in _LOST
