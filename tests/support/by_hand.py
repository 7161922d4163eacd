"""Flushes that end when a test says so."""

from __future__ import annotations

from target.flush import Done, Flush, Flusher, Job, Wait
from target.store import MemoryStore


class ByHand:
    """An offload whose jobs wait for `run`."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Job, Done]] = []

    def __call__(self, job: Job, done: Done) -> Wait:
        ended: list[OSError | None] = []

        def once() -> None:
            if not ended:
                try:
                    job()
                except OSError as error:
                    ended.append(error)
                else:
                    ended.append(None)

        self.jobs.append((once, lambda error: done(ended[0])))
        return once

    def run(self) -> None:
        """Run the oldest job to its end, unless somebody has waited for it, and tell how it ended."""
        job, done = self.jobs.pop(0)
        job()
        done(None)


class SlowStore(MemoryStore):
    """A store in memory with a write cache: its flushes take until `ByHand.run`, and fail while ``failure`` is set."""

    __slots__ = ("_flusher", "failure", "offload", "syncs")

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.offload = ByHand()
        self.failure: OSError | None = None
        self.syncs = 0
        self._flusher = Flusher(lambda: self._sync, self.offload)

    @property
    def write_cache(self) -> bool:
        return True

    def flush(self) -> Flush | None:  # type: ignore[override]  # memory needs none
        return self._flusher.flush()

    def _sync(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.syncs += 1
