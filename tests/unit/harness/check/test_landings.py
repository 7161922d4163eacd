"""What the stores tell of a write that has reached them."""

from __future__ import annotations

from typing import Any

import pytest

from harness.check.history import Ticks
from harness.check.landings import Landings
from harness.sectors import stamped
from target.store import MemoryStore


def landings(block_size: int = 512) -> Landings:
    return Landings(Ticks(lambda: 7), block_size, {})


@pytest.mark.parametrize("block_size", [512, 4096])
def test_a_write_with_a_tag_is_noted_in_blocks(block_size: int) -> None:
    noted = landings(block_size)
    noted.store(1 << 20).write(3 * block_size, stamped(5, 3, 2, block_size))
    assert noted.all == [(1, 7, 3, 2, 5)]
    assert list(noted.of) == [5]


def test_one_without_is_not() -> None:
    noted = landings()
    noted.store(1 << 20).write(0, bytes(512))
    assert noted.all == []


def test_a_write_that_only_says_so_has_not_landed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(store: MemoryStore, offset: int, data: Any) -> None:
        pass

    monkeypatch.setattr(MemoryStore, "write", forgets)
    noted = landings()
    noted.store(1 << 20).write(0, stamped(5, 0, 1, 512))
    assert noted.all == []
