"""Seeds in, rows out: chunks are kept in the hands of all workers, and what a lost process took along is found out.

When a worker process is lost, the seeds it may have been at run again, each alone: the one that takes its process with
it is recorded as a failure of the harness, the others get their rows. Rows come in the order in which chunks end.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice

from harness.sweep.job import Job
from harness.sweep.pools import Pool, is_lost
from harness.sweep.row import HARNESS_FAILURE, SeedRow, harness_failure

__all__ = ["CHUNK", "CHUNK_TWICE", "rows_of"]

CHUNK = 8
CHUNK_TWICE = 40
"""With --twice each chunk starts a process of its own, which takes as long as some ten seeds."""
AHEAD = 2
"""Chunks per worker that are handed out: the next one is there when it has ended one."""

Chunk = tuple[int, ...]


def rows_of(job: Job, seeds: Iterable[int], pool: Pool) -> Iterator[list[SeedRow]]:
    """The rows of each chunk as it ends; every seed has exactly one. Closes the pool."""
    waiting = _chunks(seeds, CHUNK_TWICE if job.twice else CHUNK)
    workers = pool.workers
    running: dict[Future[list[SeedRow]], Chunk] = {}
    lost: list[int] = []
    try:
        while True:
            if not lost:
                for chunk in islice(waiting, AHEAD * workers - len(running)):
                    running[pool.submit(job, chunk)] = chunk
            elif not running:
                pool = pool.renewed(1)
                for seed in sorted(lost):
                    row, pool = _alone(job, seed, pool)
                    yield [row]
                lost.clear()
                pool = pool.renewed(workers)
                continue
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in [future for future in running if future in ended]:
                chunk, error = running.pop(future), future.exception()
                if error is None:
                    yield future.result()
                elif is_lost(error):
                    lost += chunk
                else:
                    raise error
    finally:
        pool.close()


def _chunks(seeds: Iterable[int], size: int) -> Iterator[Chunk]:
    iterator = iter(seeds)
    while chunk := tuple(islice(iterator, size)):
        yield chunk


def _alone(job: Job, seed: int, pool: Pool) -> tuple[SeedRow, Pool]:
    """The seed's row, and the pool to go on with."""
    began_s = time.monotonic()
    future = pool.submit(job, (seed,))
    error = future.exception()
    if error is None:
        return future.result()[0], pool
    if not is_lost(error):
        raise error
    took_s = time.monotonic() - began_s
    words = pool.last_words()
    what = f"{HARNESS_FAILURE}: process {'hung' if words else 'died'}"
    why = f"its worker process hung, and was ended: {words}" if words else f"its worker process died: {error}"
    return harness_failure(seed, why, what=what, wall_seconds=took_s), pool.renewed(1)
