"""The time that one request may take, by one timer for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from initiator_model.liveness import RequestWatch
from initiator_model.profiles import profile_named
from initiator_model.requests import Completion, ScsiRequest
from initiator_model.tasks import Task

TIMERS = profile_named("linux-dm-multipath").timers
TIMEOUT_S = TIMERS.request_ns / 1e9


@dataclass
class Timer:
    when: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Clock:
    """An asyncio loop's clock, moved by hand."""

    now_s: float = 0.0
    timers: list[Timer] = field(default_factory=list)

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    def run_until(self, until_s: float) -> None:
        while due := [one for one in self.timers if not one.cancelled and one.when <= until_s]:
            first = min(due, key=lambda one: one.when)
            self.timers.remove(first)
            self.now_s = first.when
            first.callback()
        self.now_s = until_s


@dataclass
class Commands:
    """Commands under way; an expired one ends at once, as one does that was never sent."""

    clock: Clock
    renews: bool = False
    tasks: list[Task] = field(default_factory=list)
    expired: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = RequestWatch(self.clock, TIMERS, lambda: self.tasks[0] if self.tasks else None, self.end)

    def start(self) -> None:
        task = Task(ScsiRequest(bytes(6), 0, 0, b""), ignore)
        task.since_s = self.clock.time()
        self.tasks.append(task)
        self.watch.task_started(task.since_s)

    def end(self, task: Task) -> None:
        self.tasks.remove(task)
        self.expired.append((len(self.expired), self.clock.time()))
        if self.renews:
            self.start()


def ignore(completion: Completion) -> None:
    """Nobody waits for it."""


def test_each_request_has_the_same_time() -> None:
    clock = Clock()
    commands = Commands(clock)
    commands.start()
    clock.run_until(5.0)
    commands.start()
    clock.run_until(TIMEOUT_S + 10)
    assert [at_s for _, at_s in commands.expired] == [TIMEOUT_S, TIMEOUT_S + 5]


def test_a_request_that_is_sent_again_at_once_makes_the_others_wait_no_longer() -> None:
    """What the end of the first one starts has all of its time before it; the second one has none left."""
    clock = Clock()
    commands = Commands(clock, renews=True)
    commands.start()
    commands.start()
    clock.run_until(TIMEOUT_S + 1)
    assert [at_s for _, at_s in commands.expired] == [TIMEOUT_S, TIMEOUT_S]
    clock.run_until(2 * TIMEOUT_S + 1)
    assert [at_s for _, at_s in commands.expired] == [TIMEOUT_S] * 2 + [2 * TIMEOUT_S] * 2


def test_nothing_expires_when_it_was_stopped() -> None:
    clock = Clock()
    commands = Commands(clock)
    commands.start()
    commands.watch.stop()
    clock.run_until(2 * TIMEOUT_S)
    assert not commands.expired
