"""Flushes of stores in threads, for arrays on a stock asyncio loop: a slow medium must not stop the array."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from target.flush import Done, Job, Offload, Wait

MAX_THREADS: Final = 32
"""Stores whose flushes run at once; each has one at a time."""


def off_loop(loop: asyncio.AbstractEventLoop) -> Offload:
    """Run jobs in threads of their own; ``loop`` hears how they end. The threads end with the interpreter."""
    executor = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="flush")

    def offload(job: Job, done: Done) -> Wait:
        def tell(future: Future[None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody is left to hear it
                loop.call_soon_threadsafe(_end, future, done)

        future = executor.submit(job)
        future.add_done_callback(tell)
        return lambda: _wait_for(future)

    return offload


def _end(future: Future[None], done: Done) -> None:
    error = future.exception()
    if error is None or isinstance(error, OSError):
        done(error)
        return
    done(OSError(errno.EIO, f"the flush broke: {error!r}"))  # whoever waits must not take it for done
    raise error


def _wait_for(future: Future[None]) -> None:
    wait([future])
