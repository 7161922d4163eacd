"""A medium that loses power: a `BlockFile` that knows what would survive, and what may or may not.

What is written lies in a cache until it is synced. When the power goes, each sector is left as it was synced last or as
any write since has made it, each for itself: sectors reach the medium in any order, whole or not at all.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from target.flush import Done, Job, Wait
from target.store import Extent


class PowerLost(BaseException):
    """The power has gone. Nothing that handles errors may take this for one."""


class PoweredFile:
    """``size_bytes`` bytes in sectors of ``sector_bytes``; ``content`` is stable at the start.

    ``operations_left`` bounds what is done before the power goes (None: it stays).
    """

    def __init__(self, size_bytes: int, sector_bytes: int, content: bytes = b"") -> None:
        self.size_bytes = size_bytes
        self.allocation_bytes = sector_bytes
        self.operations_left: int | None = None
        self.sync_fails = self.has_failed = False
        self.recorded: list[Job] | None = None
        self._sector = sector_bytes
        self._stable: dict[int, bytes] = {}
        self._since: dict[int, list[bytes]] = {}  # what a sync would make stable
        self._syncing: dict[int, int] = {}
        self._given_up: dict[int, list[bytes]] = {}  # what a failed sync has left: perhaps on the medium
        self._cache: dict[int, bytes] = {}
        for number in range(-(-len(content) // sector_bytes)):
            self._cache[number] = content[number * sector_bytes : (number + 1) * sector_bytes].ljust(
                sector_bytes, b"\0"
            )
        self._stable |= self._cache

    def read(self, offset: int, length: int) -> bytes:
        first, last = offset // self._sector, -(-(offset + length) // self._sector)
        zeros = bytes(self._sector)
        data = b"".join(self._cache.get(number, zeros) for number in range(first, last))
        return data[offset - first * self._sector :][:length]

    def write(self, offset: int, data: bytes) -> None:
        assert offset + len(data) <= self.size_bytes, "a write behind the end of the file"
        if self.recorded is not None:
            self.recorded.append(lambda: self._write(offset, data))
        else:
            self._write(offset, data)

    def _write(self, offset: int, data: bytes) -> None:
        first, last = offset // self._sector, -(-(offset + len(data)) // self._sector)
        start = first * self._sector
        whole = bytearray(self.read(start, (last - first) * self._sector))
        whole[offset - start : offset - start + len(data)] = data
        for number in range(first, last):
            sector = bytes(whole[number * self._sector - start :][: self._sector])
            self._cache[number] = sector
            self._since.setdefault(number, []).append(sector)
        self._spend()

    def discard(self, offset: int, length: int) -> None:
        self._write(offset, bytes(length))

    def extent(self, offset: int) -> Extent:
        number = offset // self._sector
        mapped = any(self._cache.get(number, b""))
        while (number + 1) * self._sector < self.size_bytes and any(self._cache.get(number + 1, b"")) is mapped:
            number += 1
        return Extent(min((number + 1) * self._sector, self.size_bytes) - offset, mapped)

    def grow(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def sync(self) -> None:
        if self.recorded is not None:
            self.recorded += [self._begin_sync, self._end_sync]
        else:
            self._begin_sync()
            self._end_sync()

    def _begin_sync(self) -> None:
        self._spend()
        self._syncing = {number: len(versions) for number, versions in self._since.items()}

    def _end_sync(self) -> None:
        """What was written before the sync began is stable now; what came meanwhile need not be."""
        self._spend()
        for number, count in self._syncing.items():
            versions = self._since[number]
            if self.sync_fails:
                self._given_up.setdefault(number, []).extend(versions[:count])
            else:
                self._stable[number] = versions[count - 1]
                self._given_up.pop(number, None)
            del versions[:count]
            if not versions:
                del self._since[number]
        if self.sync_fails:
            self.sync_fails, self.has_failed = False, True
            raise OSError(errno.EIO, "Input/output error")

    def close(self) -> None:
        """Nothing to let go of."""

    def after_power_loss(self, choose: Callable[[int], int]) -> PoweredFile:
        """The file as it is found later; ``choose(n)`` picks one of n contents of a sector, 0 the oldest."""
        found = PoweredFile(self.size_bytes, self._sector)
        found._stable = dict(self._stable)
        for number in sorted({*self._since, *self._given_up}):
            contents = [
                self._stable.get(number, bytes(self._sector)),
                *self._given_up.get(number, ()),
                *self._since.get(number, ()),
            ]
            found._stable[number] = contents[choose(len(contents))]
        found._cache = dict(found._stable)
        return found

    def _spend(self) -> None:
        if self.operations_left is not None:
            if not self.operations_left:
                raise PowerLost
            self.operations_left -= 1


class Background:
    """An offload whose jobs go on one operation at a time, between those of the store.

    A job is straight code over its file, so it is run once, at its beginning, with the file recording what it asks for.
    """

    def __init__(self, file: PoweredFile) -> None:
        self._file = file
        self._operations: list[Job] = []
        self._done: Done | None = None

    def __call__(self, job: Job, done: Done) -> Wait:
        assert self._done is None, "a store has one flush under way"
        self._file.recorded = []
        job()
        self._operations, self._file.recorded, self._done = self._file.recorded, None, done
        return self.finish

    def step(self) -> None:
        """One operation of what is under way."""
        if self._done is None:
            return
        try:
            if self._operations:
                self._operations.pop(0)()
            if self._operations:
                return
        except OSError as error:
            self._end(error)
        else:
            self._end(None)

    def finish(self) -> None:
        """All of what is under way."""
        while self._done is not None:
            self.step()

    def _end(self, error: OSError | None) -> None:
        done, self._done, self._operations = self._done, None, []
        assert done is not None
        done(error)


def picks(choices: Iterable[int]) -> Callable[[int], int]:
    """A ``choose`` that goes through ``choices``, and takes the oldest content when they have run out."""
    left = iter(choices)
    return lambda count: next(left, 0) % count
