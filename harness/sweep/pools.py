"""Who runs the chunks: worker processes on this machine, or the workers of a dask cluster.

A pool hands back futures. A future that ends in `WorkerLost` has lost its process, and the chunk with it; which of its
seeds did that, the pool does not know. After that a local pool is of no more use.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, Protocol

from harness.sweep.job import Job
from harness.sweep.row import SeedRow
from harness.sweep.worker import run_chunk, set_up

__all__ = ["DaskPool", "LocalPool", "MissingExtra", "Pool", "is_lost"]


class MissingExtra(Exception):
    """The extra is not installed."""


class Pool(Protocol):
    """Workers that take chunks."""

    workers: int
    """How many chunks they run at once."""

    def submit(self, job: Job, seeds: Sequence[int]) -> Future[list[SeedRow]]:
        """Have a chunk run."""

    def renewed(self, workers: int) -> Pool:
        """The pool to go on with after a worker was lost, with so many workers if that can be chosen."""

    def close(self) -> None:
        """Let the workers go; what has not begun is not run."""


class LocalPool:
    """Processes of this machine, spawned: they have nothing of the parent's state."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=set_up, initargs=(list(sys.path),)
        )

    def submit(self, job: Job, seeds: Sequence[int]) -> Future[list[SeedRow]]:
        """See `Pool.submit`."""
        return self._executor.submit(run_chunk, job, tuple(seeds))

    def renewed(self, workers: int) -> LocalPool:
        """A new pool."""
        self.close()
        return LocalPool(workers)

    def close(self) -> None:
        """See `Pool.close`."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class DaskPool:
    """The workers of a dask.distributed cluster, which have this version of mpiolab installed."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise MissingExtra('--dask wants dask.distributed: pip install "mpiolab[sweep]"') from None
        client: Any = distributed.Client  # its methods have no types
        self._client = client(address)
        self.workers = max(1, sum(self._client.nthreads().values()))

    def submit(self, job: Job, seeds: Sequence[int]) -> Future[list[SeedRow]]:
        """See `Pool.submit`. A seed's row does not depend on who runs it, but a chunk is never taken for another."""
        executor = self._client.get_executor(pure=False, retries=0)
        future: Future[Any] = executor.submit(run_chunk, job, tuple(seeds))
        return future

    def renewed(self, workers: int) -> DaskPool:
        """The cluster replaces its workers itself."""
        return self

    def close(self) -> None:
        """See `Pool.close`."""
        self._client.close()


_LOST: Final = ("KilledWorker",)


def is_lost(error: BaseException) -> bool:
    """Whether a chunk ended because its process did."""
    return isinstance(error, BrokenProcessPool) or type(error).__name__ in _LOST
