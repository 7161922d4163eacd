"""Sessions and a clock worked by hand, for tests of the MPIO disk."""

from __future__ import annotations

from collections.abc import Callable

from initiator_model.paths import Path, ScsiAddress
from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from iscsi.constants import ScsiStatus, SenseKey
from iscsi.sense import Sense

LOST = Completion(CompletionKind.DEVICE_NOT_CONNECTED)


def good(data: bytes = b"") -> Completion:
    return Completion(CompletionKind.COMPLETED, ScsiStatus.GOOD, b"", data)


def complaint(key: int, asc: int, ascq: int) -> Completion:
    return Completion(CompletionKind.COMPLETED, ScsiStatus.CHECK_CONDITION, Sense(SenseKey(key), asc, ascq).fixed())


def new_path(target: int, *, can_be_active: bool = True) -> Path:
    return Path(
        source=f"10.0.0.{target}:2800",
        portal=f"10.0.1.{target}:3260",
        scsi_address=ScsiAddress(1, 0, target, 0),
        can_be_active=can_be_active,
    )


class HandSession:
    """A session that answers when told to. `sent` keeps every request and its callback, answered or not."""

    def __init__(self) -> None:
        self.usable = True
        self.sent: list[tuple[ScsiRequest, Callable[[Completion], None]]] = []
        self.answered = 0

    def submit(self, request: ScsiRequest, done: Callable[[Completion], None], /) -> int:
        self.sent.append((request, done))
        return len(self.sent)

    @property
    def waiting(self) -> int:
        return len(self.sent) - self.answered

    def answer(self, completion: Completion | None = None) -> None:
        """Complete the oldest unanswered request: GOOD with the data it wants, or as given."""
        request, done = self.sent[self.answered]
        self.answered += 1
        done(completion if completion is not None else good(bytes(request.read_length)))

    def answer_all(self, completion: Completion | None = None) -> None:
        for _ in range(self.waiting):
            self.answer(completion)


class HandTimer:
    def __init__(self, due_s: float, function: Callable[[], None]) -> None:
        self.due_s = due_s
        self.function: Callable[[], None] | None = function

    def cancel(self) -> None:
        self.function = None


class HandClock:
    """Virtual seconds; `call_later` as a loop has it, and `advance` to let time pass."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._timers: list[HandTimer] = []

    def call_later(self, delay_s: float, function: Callable[[], None]) -> HandTimer:
        timer = HandTimer(self.now_s + delay_s, function)
        self._timers.append(timer)
        return timer

    @property
    def pending(self) -> list[float]:
        """When the timers that are still set are due."""
        return sorted(timer.due_s for timer in self._timers if timer.function is not None)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, running what falls due in order."""
        end_s = self.now_s + seconds
        while True:
            due = [timer for timer in self._timers if timer.function is not None and timer.due_s <= end_s]
            if not due:
                break
            timer = min(due, key=lambda candidate: candidate.due_s)
            function, timer.function = timer.function, None
            self.now_s = timer.due_s
            assert function is not None
            function()
        self.now_s = end_s
