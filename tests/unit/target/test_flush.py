"""One flush under way, one for all who ask meanwhile, and a failure that is not forgotten."""

from __future__ import annotations

import errno

import pytest

from target.flush import Flusher, Job
from tests.support.by_hand import ByHand

EIO = OSError(errno.EIO, "Input/output error")


class Medium:
    """Counts its syncs by what had been written when each began."""

    def __init__(self) -> None:
        self.written = 0
        self.synced: list[int] = []
        self.fails = False

    def begin(self) -> Job:
        until = self.written

        def sync() -> None:
            if self.fails:
                raise EIO
            self.synced.append(until)

        return sync


@pytest.fixture
def medium() -> Medium:
    return Medium()


@pytest.fixture
def offload() -> ByHand:
    return ByHand()


@pytest.fixture
def flusher(medium: Medium, offload: ByHand) -> Flusher:
    return Flusher(medium.begin, offload)


def asked(flusher: Flusher, heard: list[OSError | None]) -> None:
    flush = flusher.flush()
    assert flush is not None
    flush.on_done(heard.append)


def test_without_an_offload_a_flush_is_over_when_it_returns(medium: Medium) -> None:
    assert Flusher(medium.begin).flush() is None
    assert medium.synced == [0]


def test_a_flush_is_over_when_its_job_is(flusher: Flusher, offload: ByHand) -> None:
    heard: list[OSError | None] = []
    asked(flusher, heard)
    assert heard == []
    offload.run()
    assert heard == [None]


def test_all_who_ask_meanwhile_share_the_next_flush_which_begins_after_their_writes(
    flusher: Flusher, offload: ByHand, medium: Medium
) -> None:
    first: list[OSError | None] = []
    others: list[OSError | None] = []
    asked(flusher, first)
    for _ in range(3):
        medium.written += 1
        asked(flusher, others)
    assert len(offload.jobs) == 1
    offload.run()
    assert (first, others) == ([None], [])
    offload.run()
    assert others == [None] * 3
    assert medium.synced == [0, 3]
    assert offload.jobs == []


def test_once_it_has_failed_it_fails_for_good(flusher: Flusher, offload: ByHand, medium: Medium) -> None:
    """After fsync has failed the kernel forgets what it could not write: the next would succeed over a loss."""
    first: list[OSError | None] = []
    second: list[OSError | None] = []
    asked(flusher, first)
    asked(flusher, second)
    medium.fails = True
    offload.run()
    assert first == second == [EIO]
    medium.fails = False
    with pytest.raises(OSError, match="an earlier flush failed: Input/output error"):
        flusher.flush()
    assert offload.jobs == []
    assert medium.synced == []


def test_without_an_offload_too(medium: Medium) -> None:
    flusher = Flusher(medium.begin)
    medium.fails = True
    with pytest.raises(OSError, match="Input/output"):
        flusher.flush()
    medium.fails = False
    with pytest.raises(OSError, match="an earlier flush failed"):
        flusher.flush()


def test_closing_waits_for_what_runs_and_flushes_what_came_after(
    flusher: Flusher, offload: ByHand, medium: Medium
) -> None:
    running: list[OSError | None] = []
    waiting: list[OSError | None] = []
    asked(flusher, running)
    medium.written = 1
    asked(flusher, waiting)
    flusher.close()
    assert medium.synced == [0, 1]
    assert [error and error.errno for error in waiting] == [errno.ESHUTDOWN]
    offload.run()
    assert running == [None]
    assert offload.jobs == []


def test_closing_a_store_that_cannot_be_flushed_says_so(medium: Medium) -> None:
    medium.fails = True
    with pytest.raises(OSError, match="Input/output"):
        Flusher(medium.begin).close()


def test_closing_a_store_after_the_running_flush_has_failed_says_so(
    flusher: Flusher, offload: ByHand, medium: Medium
) -> None:
    heard: list[OSError | None] = []
    asked(flusher, heard)
    medium.fails = True
    offload.jobs[0][0]()
    medium.fails = False
    with pytest.raises(OSError, match="Input/output"):
        flusher.close()
    offload.run()
    assert heard == [EIO]
