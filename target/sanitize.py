"""A sanitize operation under way: it takes its time, only a failure ends it, and the disk serves nobody meanwhile.

Resets, aborts and lost sessions do not touch it (SBC-4 4.11). It does not outlive the process: what runs in this one
only was never on the medium as an intention.

Source: SBC-4 4.11 (sanitize operations), 5.37 (SANITIZE).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from iscsi.sense import SANITIZE_FAILED, SANITIZE_IN_PROGRESS
from target.flush import Flush
from target.store import StoreFull

if TYPE_CHECKING:
    from target.disk import Disk

RATE_BYTES_PER_S: Final = 16 << 20
"""Slow beside what hosts do, so that they do not feel it on other volumes."""

STEP_BYTES: Final = 1 << 20
_STEP_NS: Final = STEP_BYTES * 10**9 // RATE_BYTES_PER_S
_PROGRESS_PARTS: Final = 1 << 16


class SanitizeFailed(OSError):
    """How the command that began the operation hears of its failure."""


class Overwriting:
    """SANITIZE OVERWRITE: ``patterns`` one block for each pass. The disk is not ready until ``end``.

    ``unrestricted`` is the AUSE bit: after a failure the host may leave the failure mode by EXIT FAILURE MODE.
    ``ended`` is a flush for the command's answer to wait for.
    """

    __slots__ = ("_at", "_disk", "_passes", "_patterns", "due_ns", "ended", "failed", "unrestricted")

    def __init__(self, disk: Disk, patterns: tuple[bytes, ...], *, unrestricted: bool) -> None:
        self._disk = disk
        self._patterns = [pattern * (STEP_BYTES // len(pattern)) for pattern in patterns]
        self._passes = len(patterns)
        self._at = 0
        self.unrestricted = unrestricted
        self.failed = False
        self.ended = Flush()
        self.due_ns: int | None = 0
        disk.sanitizing = self
        self._tell()

    def step(self, now_ns: int) -> None:
        """Overwrite the next piece; the last one ends the operation when it is stable."""
        size = self._disk.store.size_bytes
        passed, offset = divmod(self._at, size)
        length = min(STEP_BYTES, size - offset)
        try:
            self._disk.store.write(offset, self._patterns[passed][:length])
            self._at += length
            if self._at < size * self._passes:
                self.due_ns = now_ns + _STEP_NS
                self._tell()
                return
            self.due_ns = None
            flush = self._disk.store.flush()
        except StoreFull:
            self._end(OSError(errno.ENOSPC, "the store is full"))
        except OSError as error:
            self._end(error)
        else:
            if flush is None:
                self._end(None)
            else:
                flush.on_done(self._end)

    def _tell(self) -> None:
        progress = self._at * _PROGRESS_PARTS // (self._disk.store.size_bytes * self._passes)
        self._disk.not_ready = SANITIZE_IN_PROGRESS.with_progress(min(progress, _PROGRESS_PARTS - 1))

    def _end(self, error: OSError | None) -> None:
        self.due_ns = None
        self.failed = error is not None
        if error is None:
            self._disk.sanitizing = self._disk.not_ready = None
        else:
            self._disk.not_ready = SANITIZE_FAILED
        self.ended.end(None if error is None else SanitizeFailed(error.errno, error.strerror))
