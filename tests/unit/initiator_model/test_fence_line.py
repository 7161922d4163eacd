"""Writes that wait for a fence: which do, who waits behind them, and what becomes of them when the fence fails."""

from __future__ import annotations

import pytest

from initiator_model.disk import IoResult, LogicalIo, MpioDisk, Outcome
from initiator_model.dsm import Dsm
from initiator_model.errors import ErrorTable
from initiator_model.errors.linux import LINUX
from initiator_model.errors.msdsm import MSDSM
from initiator_model.fence_line import FenceDone
from initiator_model.losses import Loss
from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy
from initiator_model.requests import Completion, CompletionKind
from initiator_model.timers import Timers
from initiator_model.timers.linux import LinuxTimers
from initiator_model.timers.microsoft import MicrosoftTimers
from tests.support.paths_by_hand import LOST, HandClock, HandSession, new_path

TIMED_OUT = Completion(CompletionKind.TIMED_OUT)


class HandFence:
    """Fences that hold, or fail, when told to."""

    lun = 0

    def __init__(self) -> None:
        self.begun: list[tuple[Loss, Path, FenceDone]] = []
        self.ended = 0

    def begin(self, loss: Loss, through: Path, done: FenceDone) -> None:
        self.begun.append((loss, through, done))

    def end(self, completion: Completion | None = None) -> None:
        """The oldest one ends: it holds, or its command came back with this."""
        done = self.begun[self.ended][2]
        self.ended += 1
        done(completion)


class Bench:
    """A disk with paths worked by hand, on a host that fences. The first path is Active."""

    def __init__(self, count: int = 2, *, timers: Timers | None = None, errors: ErrorTable = MSDSM) -> None:
        self.clock = HandClock()
        self.fence = HandFence()
        self.disk = MpioDisk(
            dsm=Dsm(LoadBalancePolicy.FAIL_OVER_ONLY),
            timers=timers or MicrosoftTimers(),
            errors=errors,
            blocks=1 << 20,
            call_later=self.clock.call_later,
            fence=self.fence,
        )
        self.paths = [new_path(target) for target in range(count)]
        self.sessions = [HandSession() for _ in range(count)]
        for path, session in zip(self.paths, self.sessions, strict=True):
            self.disk.add_path(path, session)
        self.results: list[IoResult] = []

    def write(self, lba: int = 0, blocks: int = 1) -> LogicalIo:
        return self.disk.submit_write(lba, bytes(512 * blocks), self.results.append)

    def lose(self, number: int = 0) -> Loss:
        """The session of a path gives up what it carried: all of it may be at the target."""
        loss = new_loss(number)
        self.sessions[number].usable = False
        self.sessions[number].answer_all(Completion(CompletionKind.DEVICE_NOT_CONNECTED, loss=loss))
        return loss

    def sent(self, number: int) -> int:
        return self.sessions[number].waiting


def new_loss(number: int = 0) -> Loss:
    return Loss(bytes(6), f"10.0.0.{number}", 0.0, False, 22)


def test_a_write_that_may_be_at_the_target_waits_for_a_fence_through_the_next_path() -> None:
    bench = Bench()
    bench.write()
    loss = bench.lose()

    assert bench.sent(1) == 0
    assert [(each, path) for each, path, _ in bench.fence.begun] == [(loss, bench.paths[1])]
    assert bench.disk.fenced == 1

    bench.fence.end()
    assert bench.sent(1) == 1
    bench.sessions[1].answer()
    assert bench.results[0].ok
    assert not loss.threatens(0)


def test_writes_that_failed_over_together_share_one_fence() -> None:
    bench = Bench()
    for lba in range(5):
        bench.write(lba)
    bench.lose()
    assert len(bench.fence.begun) == 1
    bench.fence.end()
    assert bench.sent(1) == 5
    assert [request.cdb[5] for request, _ in bench.sessions[1].sent] == [0, 1, 2, 3, 4]


def test_a_write_that_was_never_sent_needs_no_fence() -> None:
    bench = Bench()
    bench.write()
    bench.sessions[0].answer(LOST)
    assert (len(bench.fence.begun), bench.sent(1)) == (0, 1)


@pytest.mark.parametrize("what", ["read", "flush"])
def test_a_read_or_a_flush_needs_no_fence(what: str) -> None:
    """Executed late, they change nothing; a read's late answer is dropped."""
    bench = Bench()
    if what == "read":
        bench.disk.submit_read(0, 1, bench.results.append)
    else:
        bench.disk.submit_flush(bench.results.append)
    bench.lose()
    assert (len(bench.fence.begun), bench.sent(1)) == (0, 1)


def test_a_loss_that_is_over_needs_no_fence() -> None:
    """The session is back and has reinstated itself: the target has ended what it had."""
    bench = Bench()
    bench.write()
    loss = new_loss()
    loss.end()
    bench.sessions[0].answer(Completion(CompletionKind.DEVICE_NOT_CONNECTED, loss=loss))
    assert (len(bench.fence.begun), bench.sent(1)) == (0, 1)


def test_one_fence_at_a_disk_covers_later_writes_of_the_same_loss() -> None:
    bench = Bench()
    bench.write(0)
    loss = bench.lose()
    bench.fence.end()
    bench.sessions[1].answer(Completion(CompletionKind.DATA_OVERRUN, loss=loss))
    bench.clock.advance(1)
    assert len(bench.fence.begun) == 1
    assert bench.sent(1) == 1


def test_a_write_that_lost_two_paths_is_fenced_from_both() -> None:
    bench = Bench(3)
    bench.write()
    first = bench.lose(0)
    bench.fence.end()
    second = bench.lose(1)
    assert [loss for loss, _, _ in bench.fence.begun] == [first, second]
    assert bench.sent(2) == 0
    bench.fence.end()
    assert bench.sent(2) == 1


# -- new requests while a fence is made --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lba", "blocks", "waits"), [(10, 1, True), (8, 3, True), (11, 4, True), (9, 1, False), (12, 1, False)]
)
def test_a_new_write_to_the_same_blocks_waits_behind_it_and_no_other(lba: int, blocks: int, waits: bool) -> None:
    bench = Bench()
    bench.write(10, 2)
    bench.lose()
    bench.write(lba, blocks)
    assert bench.sent(1) == (0 if waits else 1)
    bench.fence.end()
    assert bench.sent(1) == 2
    bench.sessions[1].answer_all()
    assert [result.outcome for result in bench.results] == [Outcome.OK, Outcome.OK]


def test_a_read_of_the_same_blocks_goes_on() -> None:
    bench = Bench()
    bench.write()
    bench.lose()
    bench.disk.submit_read(0, 1, bench.results.append)
    assert bench.sent(1) == 1


def test_the_write_that_waited_is_sent_before_those_behind_it() -> None:
    bench = Bench()
    bench.write(0, 4)
    bench.lose()
    bench.write(3, 1)
    bench.fence.end()
    assert [len(request.data_out) for request, _ in bench.sessions[1].sent] == [4 * 512, 512]


# -- fences that fail --------------------------------------------------------------------------------------------------


def test_a_fence_that_meets_a_dead_path_is_made_again_through_the_next() -> None:
    bench = Bench(3)
    bench.write()
    loss = bench.lose()
    bench.fence.end(LOST)
    assert bench.paths[1].state is PathState.FAILED
    assert [(each, path) for each, path, _ in bench.fence.begun] == [(loss, bench.paths[1]), (loss, bench.paths[2])]
    bench.fence.end()
    assert bench.sent(2) == 1


def test_a_fence_that_never_holds_is_tried_as_often_as_windows_tries_a_request_and_the_write_is_unknown() -> None:
    bench = Bench()
    bench.write()
    bench.lose()
    for _ in range(9):
        bench.fence.end(TIMED_OUT)
        bench.clock.advance(1)
    assert len(bench.fence.begun) == 1 + MicrosoftTimers().class_retry_count
    assert [result.outcome for result in bench.results] == [Outcome.UNKNOWN]
    assert bench.sent(1) == 0


def test_linux_tries_it_five_times_more_and_then_fails_the_path() -> None:
    bench = Bench(timers=LinuxTimers(no_path_retry=12), errors=LINUX)
    bench.write()
    bench.lose()
    for _ in range(6):
        bench.fence.end(TIMED_OUT)
    assert len(bench.fence.begun) == 6
    assert bench.paths[1].state is PathState.FAILED
    assert (bench.disk.held, bench.sent(1)) == (1, 0)


def test_a_disk_that_goes_while_a_fence_is_made_ends_who_waits_and_does_not_hear_of_it_again() -> None:
    bench = Bench()
    bench.write()
    bench.lose()
    bench.write()
    bench.disk.remove("no path")
    assert [result.outcome for result in bench.results] == [Outcome.UNKNOWN, Outcome.FAILED]
    bench.fence.end()
    assert (bench.sent(1), bench.disk.fenced) == (0, 0)
