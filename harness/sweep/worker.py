"""What a worker process does: a chunk of seeds at a time, until it is told to end or its parent is gone."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from functools import cache
from multiprocessing import connection, parent_process
from pathlib import Path

from harness.sweep.elsewhere import compared
from harness.sweep.job import Job
from harness.sweep.one_seed import run_seed, write_last_words_to
from harness.sweep.row import SeedRow

__all__ = ["run_chunk", "set_up"]

_ONE_RUN = threading.Lock()
"""A run keeps the garbage collector off for the whole process, so a cluster's worker threads take turns."""


def run_chunk(job: Job, seeds: Sequence[int]) -> list[SeedRow]:
    """A row per seed, in order."""
    with _ONE_RUN:
        _settle()
        rows = [run_seed(job, seed) for seed in seeds]
        return compared(job, rows) if job.twice else rows


@cache
def _settle() -> None:
    """Once per process: what was imported stays, so the collection before each run need not look at it."""
    gc.collect()
    gc.freeze()


def set_up(path: Sequence[str], last_words: str) -> None:
    """Once per process. ``path`` is the parent's `sys.path`, where policies of one's own are found.

    ``last_words`` is a directory: what a watchdog has to say goes into a file of the process's own there.
    """
    sys.path[:] = path
    write_last_words_to((Path(last_words) / f"{os.getpid()}.txt").open("w", encoding="utf-8"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed takes its workers along: nobody would ever read what they do."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(0)
