"""A fuzzer's input, read from front to back; behind its end there are zeros, and little of them."""

from __future__ import annotations


class Reader:
    """``byte`` and ``take`` never fail; ``empty`` says that all has been read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def empty(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        """The next byte, 0 behind the end."""
        taken = self.take(1)
        return taken[0] if taken else 0

    def take(self, length: int) -> bytes:
        """At most ``length`` bytes."""
        taken = self._data[self._at : self._at + length]
        self._at += len(taken)
        return taken
