"""When the selector looks again before it sleeps, and for how long: by a clock that the test turns."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterator

import pytest

from harness.serving import polling_selector
from harness.serving.polling_selector import MAX_POLL_NS, PollingSelector, best_selector

Watched = tuple[PollingSelector, socket.socket]


@pytest.fixture
def watched() -> Iterator[Watched]:
    """A selector that watches one end of a pair, and the other end."""
    here, there = socket.socketpair()
    with here, there, PollingSelector() as selector:
        selector.register(here, selectors.EVENT_READ)
        yield selector, there


@pytest.fixture
def pass_ns(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """From now on so much time passes from one look at the clock to the next."""
    now = 0
    step = 0

    def clock() -> int:
        nonlocal now
        now += step
        return now

    def per_look(ns: int) -> None:
        nonlocal step
        step = ns

    monkeypatch.setattr(polling_selector, "perf_counter_ns", clock)
    return per_look


def test_what_is_ready_is_told_at_once(watched: Watched) -> None:
    selector, there = watched
    there.send(b"x")
    assert [events for _, events in selector.select()] == [selectors.EVENT_READ]
    assert selector.select(0) != []


def test_waits_that_are_short_make_it_look_longer(watched: Watched, pass_ns: Callable[[int], None]) -> None:
    selector, _ = watched
    seen = []
    pass_ns(1_000)
    for _ in range(6):
        assert selector.select(0.0001) == []
        seen.append(selector.poll_ns)
    assert seen == [4_096, 8_192, 16_384, MAX_POLL_NS, 0, 4_096]
    # The fifth: after the longest look and a sleep the wait was a long one.


def test_a_long_wait_ends_it(watched: Watched, pass_ns: Callable[[int], None]) -> None:
    selector, _ = watched
    selector.poll_ns = 8_192
    pass_ns(10 * MAX_POLL_NS)
    assert selector.select(0.0001) == []
    assert selector.poll_ns == 0


def test_what_comes_while_it_looks_is_told_without_a_sleep(
    watched: Watched, pass_ns: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    selector, there = watched
    selector.poll_ns = MAX_POLL_NS
    pass_ns(1_000)
    timeouts: list[float | None] = []
    look = selectors.DefaultSelector.select

    def recorded(self: PollingSelector, timeout: float | None = None) -> polling_selector.Ready:
        timeouts.append(timeout)
        if len(timeouts) == 4:
            there.send(b"x")
        return look(self, timeout)

    monkeypatch.setattr(selectors.DefaultSelector, "select", recorded)
    assert len(selector.select(5.0)) == 1
    assert timeouts == [0, 0, 0, 0]
    assert selector.poll_ns == MAX_POLL_NS


def test_a_question_without_patience_is_no_wait(watched: Watched, pass_ns: Callable[[int], None]) -> None:
    selector, _ = watched
    pass_ns(1_000)
    assert selector.select(0) == []
    assert selector.poll_ns == 0


def test_alone_on_a_processor_it_would_only_be_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling_selector.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert not isinstance(best_selector(), PollingSelector)
    monkeypatch.setattr(polling_selector.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert isinstance(best_selector(), PollingSelector)
