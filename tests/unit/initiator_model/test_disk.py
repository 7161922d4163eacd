"""The MPIO disk: each I/O ends once, whatever its paths do."""

import asyncio
import functools

import pytest

from initiator_model.budgets import CHANGES_MAX
from initiator_model.disk import DiskError, DiskRemoved, IoResult, LogicalIo, MpioDisk, Operation, Outcome, QueueFull
from initiator_model.dsm import Dsm, PolicyRequest
from initiator_model.errors import ErrorTable
from initiator_model.errors.linux import LINUX
from initiator_model.errors.msdsm import MSDSM
from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy
from initiator_model.policies.catalog import DEFAULT_OPTIONS, SelectorOptions, policy_named
from initiator_model.requests import Completion, CompletionKind
from initiator_model.timers import SECOND_NS, Timers
from initiator_model.timers.linux import LinuxTimers
from initiator_model.timers.microsoft import MicrosoftTimers
from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.port_groups import AccessState
from tests.support.paths_by_hand import LOST, HandClock, HandSession, complaint, good, new_path

FOO, RR = LoadBalancePolicy.FAIL_OVER_ONLY, LoadBalancePolicy.ROUND_ROBIN


class Bench:
    """A disk with `count` paths, worked by hand."""

    def __init__(
        self,
        count: int = 2,
        policy: LoadBalancePolicy = FOO,
        *,
        queue_limit: int = 4096,
        timers: Timers | None = None,
        errors: ErrorTable = MSDSM,
        options: SelectorOptions = DEFAULT_OPTIONS,
    ) -> None:
        self.clock = HandClock()
        self.disk = MpioDisk(
            dsm=Dsm(policy, options=options),
            timers=timers or MicrosoftTimers(),
            errors=errors,
            blocks=1 << 20,
            call_later=self.clock.call_later,
            queue_limit=queue_limit,
        )
        self.paths: list[Path] = []
        self.sessions: list[HandSession] = []
        self.results: list[IoResult] = []
        for target in range(count):
            self.add(target)

    def add(self, target: int) -> None:
        self.paths.append(new_path(target))
        self.sessions.append(HandSession())
        self.disk.add_path(self.paths[-1], self.sessions[-1])

    def read(self, lba: int = 0, blocks: int = 1) -> LogicalIo:
        return self.disk.submit_read(lba, blocks, self.results.append)

    def write(self, lba: int = 0, data: bytes = bytes(512)) -> LogicalIo:
        return self.disk.submit_write(lba, data, self.results.append)

    @property
    def outcomes(self) -> list[Outcome]:
        return [result.outcome for result in self.results]


def test_a_read_goes_down_the_active_path_and_brings_its_data() -> None:
    bench = Bench()
    bench.read(lba=8, blocks=2)
    request, _ = bench.sessions[0].sent[0]
    assert (request.cdb, request.lun, request.read_length, request.data_out) == (scsi.read(8, 2), 0, 1024, b"")
    assert bench.paths[0].in_flight == 1
    bench.sessions[0].answer(good(b"x" * 1024))
    [result] = bench.results
    assert (result.ok, result.data, result.path, result.attempts) == (True, b"x" * 1024, bench.paths[0], 1)
    assert (bench.disk.outstanding, bench.paths[0].in_flight) == (0, 0)


def test_a_write_carries_its_data_and_a_flush_none() -> None:
    bench = Bench()
    bench.write(lba=3, data=b"w" * 1024)
    bench.disk.submit_flush(bench.results.append)
    (write, _), (flush, _) = bench.sessions[0].sent
    assert (write.cdb, write.read_length, write.data_out) == (scsi.write(3, 2), 0, b"w" * 1024)
    assert (flush.cdb, flush.data_out) == (scsi.synchronize_cache(), b"")
    bench.sessions[0].answer_all()
    assert bench.outcomes == [Outcome.OK, Outcome.OK]


def test_round_robin_shares_requests_among_the_sessions() -> None:
    bench = Bench(3, RR)
    for _ in range(7):
        bench.read()
    assert [session.waiting for session in bench.sessions] == [3, 2, 2]
    assert [path.in_flight for path in bench.paths] == [3, 2, 2]


def test_a_dead_path_costs_the_application_nothing() -> None:
    bench = Bench()
    bench.read()
    bench.read()
    bench.sessions[0].answer_all(LOST)
    assert bench.results == []
    assert [path.state.display for path in bench.paths] == ["Failed", "Active"]
    assert [session.waiting for session in bench.sessions] == [0, 2]
    bench.sessions[1].answer_all()
    assert bench.outcomes == [Outcome.OK, Outcome.OK]
    assert [result.attempts for result in bench.results] == [2, 2]


def test_nothing_is_sent_through_a_session_that_has_given_up() -> None:
    bench = Bench()
    bench.sessions[0].usable = False
    bench.read()
    assert [len(session.sent) for session in bench.sessions] == [0, 1]
    assert bench.paths[0].state is PathState.FAILED


def test_a_late_answer_of_a_failed_path_still_counts_if_it_was_not_given_up() -> None:
    bench = Bench()
    bench.read()
    bench.disk.path_failed(bench.paths[0], "session lost")
    bench.sessions[0].answer()
    assert bench.outcomes == [Outcome.OK]


def test_a_second_answer_is_counted_and_dropped() -> None:
    bench = Bench()
    bench.read()
    _, done = bench.sessions[0].sent[0]
    done(good(bytes(512)))
    done(good(bytes(512)))
    done(LOST)
    assert bench.outcomes == [Outcome.OK]
    assert bench.disk.late_completions == 2
    assert bench.paths[0].state.display == "Active"


def test_a_failure_of_before_the_recovery_does_not_fail_the_path_again() -> None:
    bench = Bench(2, RR)
    bench.read()
    bench.disk.path_failed(bench.paths[0], "session lost")
    bench.disk.path_recovered(bench.paths[0], "session back")
    bench.sessions[0].answer(LOST)  # of the old session
    assert bench.paths[0].state.display == "Active"
    assert bench.disk.outstanding == 1
    assert sum(session.waiting for session in bench.sessions) == 1


def test_without_a_path_requests_wait_and_go_when_one_returns() -> None:
    bench = Bench()
    for path in bench.paths:
        bench.disk.path_failed(path, "switch died")
    bench.read()
    bench.read()
    assert (bench.disk.held, bench.disk.outstanding) == (2, 2)
    bench.clock.advance(19.9)
    bench.disk.path_recovered(bench.paths[1], "switch back")
    assert bench.disk.held == 0
    assert bench.clock.pending == []
    bench.sessions[1].answer_all()
    assert bench.outcomes == [Outcome.OK, Outcome.OK]


def test_the_disk_is_removed_when_all_paths_are_gone_for_pdo_remove_period() -> None:
    bench = Bench()
    gone: list[str] = []
    bench.disk.on_gone = gone.append
    bench.read()  # its session will never answer
    bench.clock.advance(100)
    for path in bench.paths:
        bench.disk.path_failed(path, "switch died")
    bench.write()
    bench.clock.advance(19.9)
    assert bench.results == []
    bench.clock.advance(0.2)
    assert bench.disk.gone
    assert gone == ["no path for PDORemovePeriod (20 s)"]
    assert bench.outcomes == [Outcome.FAILED, Outcome.FAILED]
    assert {result.why for result in bench.results} == {"no path for PDORemovePeriod (20 s)"}
    assert [path.in_flight for path in bench.paths] == [0, 0]
    bench.sessions[0].answer()
    assert bench.disk.late_completions == 1
    assert len(bench.results) == 2


def test_removal_ends_writes_under_way_as_unknown_and_stops_waiting_retries() -> None:
    bench = Bench(2, RR)
    bench.write()  # never answered
    bench.read()
    bench.sessions[1].answer(complaint(6, 0x29, 0))  # waits for its retry
    bench.disk.remove("logged out")
    assert bench.outcomes == [Outcome.UNKNOWN, Outcome.FAILED]
    assert bench.clock.pending == []


def test_a_disk_that_is_gone_takes_nothing_more() -> None:
    bench = Bench()
    bench.disk.remove("logged out")
    bench.disk.remove("again")
    with pytest.raises(DiskRemoved):
        bench.read()
    with pytest.raises(DiskRemoved, match="belongs to a new one"):
        bench.disk.add_path(new_path(7), HandSession())
    bench.disk.path_recovered(bench.paths[0], "too late")
    assert bench.clock.pending == []


def test_a_disk_that_never_had_a_path_does_not_hold_for_ever() -> None:
    bench = Bench(0)
    bench.read()
    bench.clock.advance(20)
    assert bench.outcomes == [Outcome.FAILED]


def test_the_period_starts_with_the_loss_of_the_last_path_not_with_the_first_request() -> None:
    bench = Bench(1)
    bench.disk.path_failed(bench.paths[0], "cable pulled")
    bench.clock.advance(15)
    bench.read()
    bench.clock.advance(5)
    assert bench.disk.gone


def test_a_unit_attention_is_retried_after_an_interval_at_most_three_times() -> None:
    bench = Bench(1)
    bench.disk.timers = MicrosoftTimers(class_retry_count=0)
    bench.read()
    for _ in range(3):
        bench.sessions[0].answer(complaint(6, 0x29, 0))
        assert bench.sessions[0].waiting == 0
        bench.clock.advance(1)
        assert bench.sessions[0].waiting == 1
    bench.sessions[0].answer(complaint(6, 0x29, 0))
    [result] = bench.results
    assert (result.outcome, result.attempts, result.why) == (
        Outcome.FAILED,
        4,
        "CHECK_CONDITION 6/29/00 unit attention",
    )


def test_each_repeat_by_the_class_driver_has_its_own_retries() -> None:
    bench = Bench(1)
    bench.disk.timers = MicrosoftTimers(class_retry_count=1)
    bench.read()
    while not bench.results:
        bench.sessions[0].answer(complaint(6, 0x29, 0))
        bench.clock.advance(1)
    assert bench.results[0].attempts == 8  # the first and three retries, twice


def test_reservations_released_is_retried_at_once_on_the_same_path() -> None:
    bench = Bench(2, RR)
    bench.read()
    bench.sessions[0].answer(complaint(6, 0x2A, 4))
    assert [session.waiting for session in bench.sessions] == [1, 0]
    bench.sessions[0].answer()
    assert bench.outcomes == [Outcome.OK]


def test_an_array_in_transition_is_waited_for_without_counting() -> None:
    bench = Bench(1)
    bench.read()
    for _ in range(10):
        bench.sessions[0].answer(complaint(2, 0x04, 0x0A))
        bench.clock.advance(1)
    bench.sessions[0].answer()
    assert bench.outcomes == [Outcome.OK]


def test_no_complaint_is_retried_for_ever() -> None:
    bench = Bench(1)
    bench.read()
    while not bench.results:
        bench.sessions[0].answer(complaint(2, 0x04, 0x0A))
        bench.clock.advance(1)
    assert bench.results[0].attempts == CHANGES_MAX  # more than the 255 s an array may announce


def test_a_reset_is_repeated_by_the_class_driver_and_fails_in_the_end() -> None:
    bench = Bench(1)
    bench.read()
    for _ in range(8):
        bench.sessions[0].answer(Completion(CompletionKind.BUS_RESET))
        bench.clock.advance(1)
    bench.sessions[0].answer(Completion(CompletionKind.BUS_RESET))
    assert (bench.outcomes, bench.results[0].attempts) == ([Outcome.FAILED], 9)
    assert bench.paths[0].state.display == "Active"


def test_a_device_error_reaches_the_application_and_fails_no_path() -> None:
    bench = Bench()
    bench.read()
    bench.sessions[0].answer(complaint(3, 0x11, 0))
    assert bench.outcomes == [Outcome.FAILED]
    assert bench.results[0].why == "CHECK_CONDITION 3/11/00 medium error"
    assert [path.state.display for path in bench.paths] == ["Active", "Standby"]


def test_a_reservation_conflict_is_passed_up() -> None:
    bench = Bench()
    bench.write()
    bench.sessions[0].answer(Completion(CompletionKind.COMPLETED, ScsiStatus.RESERVATION_CONFLICT))
    assert bench.outcomes == [Outcome.FAILED]


def test_good_with_too_little_data_is_no_success() -> None:
    bench = Bench(1)
    bench.read(blocks=2)
    bench.sessions[0].answer(good(bytes(512)))
    assert bench.results == []
    bench.clock.advance(1)
    bench.sessions[0].answer()
    assert bench.outcomes == [Outcome.OK]


def test_condition_met_is_a_success() -> None:
    bench = Bench(1)
    bench.disk.submit_flush(bench.results.append)
    bench.sessions[0].answer(Completion(CompletionKind.COMPLETED, ScsiStatus.CONDITION_MET))
    assert bench.outcomes == [Outcome.OK]


def test_a_write_that_may_have_reached_the_disk_ends_unknown() -> None:
    bench = Bench(1)
    bench.write()
    bench.sessions[0].answer(LOST)
    bench.clock.advance(20)
    assert bench.outcomes == [Outcome.UNKNOWN]


def test_a_write_that_was_refused_ends_failed() -> None:
    bench = Bench(1)
    bench.write()
    bench.sessions[0].answer(complaint(7, 0x27, 0))
    assert bench.outcomes == [Outcome.FAILED]


def test_logging_out_one_session_moves_its_requests() -> None:
    bench = Bench()
    bench.read()
    bench.disk.remove_path(bench.paths[0], "logged out")
    assert bench.sessions[1].waiting == 1
    assert bench.paths[0].in_flight == 0
    bench.sessions[0].answer()  # too late: that attempt was given up
    assert (bench.results, bench.disk.late_completions) == ([], 1)
    bench.sessions[1].answer()
    assert bench.outcomes == [Outcome.OK]


def test_logging_out_the_only_session_holds_requests_once() -> None:
    bench = Bench(1)
    bench.read()
    bench.disk.path_failed(bench.paths[0], "session lost")
    bench.read()
    bench.disk.remove_path(bench.paths[0], "logged out")
    assert bench.disk.held == 2
    bench.add(5)
    assert bench.sessions[1].waiting == 2


def test_the_queue_is_bounded() -> None:
    bench = Bench(1, queue_limit=2)
    bench.read()
    bench.read()
    with pytest.raises(QueueFull, match="2 I/Os are under way already"):
        bench.read()
    bench.sessions[0].answer()
    bench.read()
    assert bench.disk.outstanding == 2


@pytest.mark.parametrize(("lba", "blocks"), [(-1, 1), (0, 0), ((1 << 20) - 1, 2)])
def test_reads_outside_the_disk_are_refused(lba: int, blocks: int) -> None:
    with pytest.raises(ValueError, match="the disk has blocks 0 to 1048575"):
        Bench().read(lba, blocks)


def test_writes_are_whole_blocks() -> None:
    with pytest.raises(ValueError, match="513 bytes are not whole blocks of 512"):
        Bench().write(0, bytes(513))


def test_hooks_see_the_io_above_and_the_attempts_below() -> None:
    bench = Bench()
    seen: list[tuple[str, int, str]] = []
    bench.disk.on_invoke.append(lambda io: seen.append(("invoke", io.number, io.operation.value)))
    bench.disk.on_attempt.append(lambda io, path: seen.append(("attempt", io.number, path.label)))
    bench.disk.on_complete.append(lambda io, result: seen.append(("complete", io.number, result.outcome.value)))
    bench.write()
    bench.sessions[0].answer(LOST)
    bench.sessions[1].answer()
    assert seen == [
        ("invoke", 1, "write"),
        ("attempt", 1, "77010000"),
        ("attempt", 1, "77010001"),
        ("complete", 1, "ok"),
    ]


def test_a_policy_change_takes_effect_with_the_next_request() -> None:
    bench = Bench()
    bench.read()
    bench.disk.dsm.set_policy(PolicyRequest.all_active(RR, bench.paths))
    bench.read()
    bench.read()
    assert [session.waiting for session in bench.sessions] == [2, 1]


def test_an_application_may_submit_from_its_callback() -> None:
    bench = Bench(1)

    def again(left: int, result: IoResult) -> None:
        if left:
            bench.disk.submit_read(0, 1, functools.partial(again, left - 1))

    bench.disk.submit_read(0, 1, functools.partial(again, 3))
    while bench.sessions[0].waiting:
        bench.sessions[0].answer()
    assert len(bench.sessions[0].sent) == 4


def test_awaitables() -> None:
    bench = Bench(1)

    def answer_soon(completion: Completion | None = None) -> None:
        """After the request is out: the awaiting task runs first."""
        asyncio.get_running_loop().call_soon(lambda: bench.sessions[0].answer(completion))

    async def use_the_disk() -> None:
        answer_soon(good(b"r" * 512))
        assert await bench.disk.read(0, 1) == b"r" * 512
        answer_soon()
        await bench.disk.write(0, b"w" * 512)
        answer_soon()
        await bench.disk.flush()
        answer_soon(complaint(3, 0x11, 0))
        with pytest.raises(DiskError, match="failed: CHECK_CONDITION 3/11/00 medium error"):
            await bench.disk.read(0, 1)

    asyncio.run(use_the_disk())
    assert [operation.value for operation in Operation] == ["read", "write", "flush"]


def test_a_cancelled_waiter_leaves_the_io_to_end_by_itself() -> None:
    bench = Bench(1)

    async def give_up() -> None:
        task = asyncio.ensure_future(bench.disk.read(0, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        bench.sessions[0].answer()

    asyncio.run(give_up())
    assert bench.disk.outstanding == 0


# -- other stacks, and corners -----------------------------------------------------------------------------------------

QUEUE_LENGTH = policy_named("dm-queue-length")


def linux(count: int, policy: LoadBalancePolicy = QUEUE_LENGTH, **settings: int) -> Bench:
    options = SelectorOptions(grouping="multibus", failback=settings.pop("failback", 0) or "manual")
    return Bench(count, policy, timers=LinuxTimers(**settings), errors=LINUX, options=options)


def busy() -> Completion:
    return Completion(CompletionKind.COMPLETED, ScsiStatus.BUSY)


def test_linux_asks_a_busy_device_again_down_the_same_path() -> None:
    bench = linux(2)
    bench.read()
    for _ in range(200):
        bench.sessions[0].answer(busy())
        bench.clock.advance(0.003)
    bench.sessions[0].answer(good(bytes(512)))
    assert (bench.outcomes, bench.results[0].attempts, len(bench.sessions[1].sent)) == ([Outcome.OK], 201, 0)


def test_a_device_that_stays_busy_costs_each_path_its_own_patience() -> None:
    """180 s of asking fail the first path, and 180 s more the second: not both for one BUSY each."""
    bench = linux(2, command_timeout_ns=SECOND_NS, command_retries=0)  # a patience of 1 s
    bench.read()
    asked = []
    for session in bench.sessions:
        count = 0
        while session.waiting and not bench.results:
            session.answer(busy())
            count += 1
            bench.clock.advance(0.003)
        asked.append(count)
    assert [path.state.display for path in bench.paths] == ["Failed", "Failed"]
    assert asked == [334, 334]


def test_without_a_path_linux_fails_what_waits_and_keeps_the_disk() -> None:
    bench = linux(1, no_path_retry=2)
    bench.read()
    bench.sessions[0].usable = False
    bench.disk.path_failed(bench.paths[0], "down")
    bench.sessions[0].answer(LOST)
    bench.clock.advance(9.9)
    assert bench.outcomes == []
    bench.clock.advance(0.2)
    assert (bench.outcomes, bench.disk.gone) == ([Outcome.FAILED], False)
    bench.read()
    assert len(bench.results) == 1  # refused, but not from within the call that submits
    bench.clock.advance(0)
    assert bench.outcomes == [Outcome.FAILED, Outcome.FAILED]
    bench.sessions[0].usable = True
    bench.disk.path_recovered(bench.paths[0], "up")
    bench.read()
    bench.sessions[0].answer(good(bytes(512)))
    assert bench.outcomes[-1] is Outcome.OK


@pytest.mark.parametrize("data", [bytes(512), b""])
def test_an_error_that_the_device_has_recovered_from_is_a_success_if_the_data_is_there(data: bytes) -> None:
    bench = Bench(1)
    bench.read()
    recovered = complaint(1, 0x18, 0x00)
    bench.sessions[0].answer(Completion(recovered.kind, recovered.status, recovered.sense, data))
    assert bench.outcomes == ([Outcome.OK] if data else [])  # a torn read is tried again


def test_a_deferred_failback_waits_anew_after_each_return() -> None:
    bench = Bench(
        2,
        policy_named("dm-service-time"),
        timers=LinuxTimers(),
        errors=LINUX,
        options=SelectorOptions(grouping="failover", failback=30),
    )
    for seconds in (20, 10):
        bench.disk.path_failed(bench.paths[0], "down")
        bench.disk.path_recovered(bench.paths[0], "up")
        bench.clock.advance(seconds)
    assert [path.state.display for path in bench.paths] == ["Standby", "Active"]
    bench.clock.advance(19)
    assert bench.paths[1].state.display == "Active"
    bench.clock.advance(2)
    assert [path.state.display for path in bench.paths] == ["Active", "Standby"]


def test_a_disk_whose_paths_are_all_in_transition_is_not_removed() -> None:
    bench = Bench(2, RR)
    states = (AccessState.TRANSITIONING, False)
    bench.disk.set_access({path.path_id: states for path in bench.paths})
    bench.read()
    bench.clock.advance(100)  # PDORemovePeriod is 20
    assert (bench.disk.gone, bench.disk.held) == (False, 1)
    bench.disk.set_access({path.path_id: (AccessState.ACTIVE_OPTIMIZED, False) for path in bench.paths})
    bench.sessions[0].answer(good(bytes(512)))
    assert bench.outcomes == [Outcome.OK]
