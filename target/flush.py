"""Making writes stable without standing still: one flush under way, and one for all who ask meanwhile.

A flush of a file may take as long as the medium does, and everything else the array does waits on the same thread. So
a store may be given a way to run the blocking part elsewhere (``Offload``); its flushes are then *pending*, and the
command that needs one is answered when it has ended. Without one (simulated loops have no threads) a flush is over
when it returns.

A flush covers the writes made before it begins. Whoever asks while one is under way gets the next one, which all of
them share (group commit). After a failure the operating system may have dropped the data and forgotten it, so a later
flush that succeeds would prove nothing: a failed store stays failed until it is opened again.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

Job = Callable[[], None]
"""The part of a flush that blocks; raises OSError. It touches only what it was given when it was made."""

Done = Callable[[OSError | None], None]
"""Hears how a flush ended: None when everything before it is stable."""

Wait = Callable[[], None]
"""Return when a job has ended."""

Offload = Callable[[Job, Done], Wait]
"""Run a job where it may block, then call ``Done`` where the array runs, and not before this has returned."""


class Flush:
    """A flush that has not ended yet."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[Done] = []

    def on_done(self, done: Done) -> None:
        """Call ``done`` when it has ended, in the order of these calls."""
        self._waiters.append(done)

    def forget(self, done: Done) -> None:
        """Call ``done`` no more; nothing when it has been called, or never was to be."""
        if done in self._waiters:
            self._waiters.remove(done)

    def end(self, error: OSError | None) -> None:
        """It has ended; for whoever runs it."""
        waiters, self._waiters = self._waiters, []
        for done in waiters:
            done(error)


def joined(flushes: list[Flush]) -> Flush | None:
    """One flush that ends when all of these have, with the first error of any; None when there are none."""
    if len(flushes) < 2:
        return flushes[0] if flushes else None
    whole = Flush()
    waiting = len(flushes)
    failure: OSError | None = None

    def done(error: OSError | None) -> None:
        nonlocal waiting, failure
        waiting -= 1
        failure = failure or error
        if not waiting:
            whole.end(failure)

    for flush in flushes:
        flush.on_done(done)
    return whole


class Flusher:
    """The flushes of one store. ``begin`` makes the job of a flush, from the state the store is in at that moment."""

    __slots__ = ("_begin", "_failure", "_next", "_offload", "_running", "_wait")

    def __init__(self, begin: Callable[[], Job], offload: Offload | None = None) -> None:
        self._begin = begin
        self._offload = offload
        self._running: Flush | None = None
        self._next: Flush | None = None
        self._failure: OSError | None = None
        self._wait: Wait = _no_wait

    def flush(self) -> Flush | None:
        """Make stable what was written before; None when that is done already. Raises OSError once one has failed."""
        self._raise_failure()
        if self._offload is None:
            self._flush_now()
            return None
        if self._running is None:
            return self._start(Flush(), self._offload)
        if self._next is None:
            self._next = Flush()
        return self._next

    def close(self) -> None:
        """Flush a last time, when what runs elsewhere has ended; who waits for it hears of it later. Raises OSError."""
        waiting, self._next = self._next, None
        if waiting is not None:
            waiting.end(OSError(errno.ESHUTDOWN, "the store was closed"))
        self._wait()
        self._flush_now()

    def _flush_now(self) -> None:
        self._raise_failure()
        self._watched(self._begin())()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise OSError(self._failure.errno, f"an earlier flush failed: {self._failure.strerror}")

    def _start(self, flush: Flush, offload: Offload) -> Flush:
        self._running = flush

        def done(error: OSError | None) -> None:
            self._running = None
            waiting, self._next = self._next, None
            if error is not None:
                self._failure = error
            elif waiting is not None:
                self._start(waiting, offload)
            flush.end(error)
            if error is not None and waiting is not None:
                waiting.end(error)

        self._wait = offload(self._watched(self._begin()), done)
        return flush

    def _watched(self, job: Job) -> Job:
        """The job, whose failure is known as soon as it has ended, not only when ``done`` is called."""

        def watched() -> None:
            try:
                job()
            except OSError as error:
                self._failure = error
                raise

        return watched


def _no_wait() -> None:
    """Nothing has run elsewhere yet."""
