"""Every logical I/O ends exactly once, whatever sessions and paths do.

The sessions here are the worst ones allowed, and worse: they answer late, out of order, twice, with any complaint, or
not at all until they are lost, and sometimes only after the path has come back. Whatever happens:

* `done` is called once per I/O, and at the latest when everything has healed or the disk was removed;
* no request is sent down a path that is not active, or through a session that has given up;
* accepted = ended + under way, at each instant; per-path counts never go below zero and end at zero.
"""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from initiator_model.disk import IoResult, LogicalIo, MpioDisk, Operation, Outcome
from initiator_model.dsm import Dsm, PolicyRequest
from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy
from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from initiator_model.timers.microsoft import MicrosoftTimers
from iscsi.constants import ScsiStatus
from tests.support.paths_by_hand import LOST, HandClock, complaint, good, new_path

FOO, RR = LoadBalancePolicy.FAIL_OVER_ONLY, LoadBalancePolicy.ROUND_ROBIN

ANSWERS = (
    complaint(6, 0x29, 0x00),  # power on: retried
    complaint(6, 0x2A, 0x04),  # reservations released: at once on the same path
    complaint(2, 0x04, 0x0A),  # in transition: retried uncounted
    complaint(3, 0x11, 0x00),  # medium error: handed up
    complaint(5, 0x25, 0x00),  # LUN not supported: the path is dead
    Completion(CompletionKind.COMPLETED, ScsiStatus.BUSY),
    Completion(CompletionKind.BUS_RESET),
    Completion(CompletionKind.TIMED_OUT),
    Completion(CompletionKind.COMPLETED, ScsiStatus.GOOD, b"", b"short"),
)


class BadSession:
    def __init__(self) -> None:
        self.usable = True
        self.unanswered: list[tuple[ScsiRequest, Callable[[Completion], None]]] = []
        self.answered: list[Callable[[Completion], None]] = []

    def submit(self, request: ScsiRequest, done: Callable[[Completion], None], /) -> None:
        self.unanswered.append((request, done))

    def answer(self, index: int, completion: Completion | None = None) -> None:
        request, done = self.unanswered.pop(index)
        self.answered.append(done)
        done(completion if completion is not None else good(bytes(request.read_length)))


class DiskMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.sessions: dict[str, BadSession] = {}  # by path label; sessions of removed paths stay and answer late
        self.paths: list[Path] = []
        self.accepted: list[LogicalIo] = []
        self.ended: dict[int, IoResult] = {}
        self.targets = 0

    @initialize(policy=st.sampled_from([FOO, RR]), paths=st.integers(1, 3))
    def start(self, policy: LoadBalancePolicy, paths: int) -> None:
        self.disk = MpioDisk(dsm=Dsm(policy), timers=MicrosoftTimers(), blocks=64, call_later=self.clock.call_later)
        self.disk.on_attempt.append(self.on_attempt)
        for _ in range(paths):
            self.add_path()

    def on_attempt(self, io: LogicalIo, path: Path) -> None:
        assert path.state is PathState.ACTIVE_OPTIMIZED
        assert self.sessions[path.label].usable
        assert io.number not in self.ended

    def submit(self, operation: Operation) -> None:
        number = len(self.accepted) + 1

        def done(result: IoResult) -> None:
            assert number not in self.ended, "ended twice"
            self.ended[number] = result

        if operation is Operation.READ:
            self.accepted.append(self.disk.submit_read(number % 64, 1, done))
        else:
            self.accepted.append(self.disk.submit_write(number % 64, bytes(512), done))
        assert self.accepted[-1].number == number

    def pick(self, data: st.DataObject, paths: list[Path]) -> tuple[Path, BadSession]:
        path = data.draw(st.sampled_from(paths))
        return path, self.sessions[path.label]

    @precondition(lambda self: not self.disk.gone)
    @rule(operation=st.sampled_from([Operation.READ, Operation.WRITE]), count=st.integers(1, 4))
    def submit_some(self, operation: Operation, count: int) -> None:
        for _ in range(count):
            self.submit(operation)

    @rule(data=st.data(), good_one=st.booleans())
    def answer_any(self, data: st.DataObject, good_one: bool) -> None:
        waiting = [session for session in self.sessions.values() if session.unanswered]
        if waiting:
            session = data.draw(st.sampled_from(waiting))
            index = data.draw(st.integers(0, len(session.unanswered) - 1))
            session.answer(index, None if good_one else data.draw(st.sampled_from(ANSWERS)))

    @rule(data=st.data())
    def answer_again(self, data: st.DataObject) -> None:
        talkative = [session for session in self.sessions.values() if session.answered]
        if talkative:
            session = data.draw(st.sampled_from(talkative))
            late = self.disk.late_completions
            data.draw(st.sampled_from(session.answered))(data.draw(st.sampled_from([LOST, good(bytes(512))])))
            assert self.disk.late_completions == late + 1

    @precondition(lambda self: self.paths)
    @rule(data=st.data(), answers_now=st.booleans(), tells=st.booleans())
    def lose(self, data: st.DataObject, answers_now: bool, tells: bool) -> None:
        path, session = self.pick(data, self.paths)
        session.usable = False
        if tells:
            self.disk.path_failed(path, "session lost")
        if answers_now:
            for _ in range(len(session.unanswered)):
                session.answer(0, LOST)

    @precondition(lambda self: self.paths)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        path, session = self.pick(data, self.paths)
        session.usable = True
        self.disk.path_recovered(path, "session back")

    @precondition(lambda self: len(self.paths) < 4 and not self.disk.gone)
    @rule()
    def add_path(self) -> None:
        self.targets += 1
        path, session = new_path(self.targets % 256), BadSession()
        self.sessions[path.label] = session
        self.paths.append(path)
        self.disk.add_path(path, session)

    @precondition(lambda self: self.paths)
    @rule(data=st.data())
    def log_out(self, data: st.DataObject) -> None:
        path, _ = self.pick(data, self.paths)
        self.paths.remove(path)
        self.disk.remove_path(path, "logged out")

    @precondition(lambda self: self.paths)
    @rule(data=st.data(), policy=st.sampled_from([FOO, RR]))
    def set_policy(self, data: st.DataObject, policy: LoadBalancePolicy) -> None:
        path, _ = self.pick(data, self.paths)
        request = PolicyRequest.one_active(self.paths, path) if policy is FOO else None
        self.disk.dsm.set_policy(request or PolicyRequest.all_active(RR, self.paths))

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 21.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def nothing_is_lost_or_made_up(self) -> None:
        if not hasattr(self, "disk"):
            return
        assert len(self.accepted) == len(self.ended) + self.disk.outstanding
        in_flight = [path.in_flight for path in self.paths]
        assert min(in_flight, default=0) >= 0
        assert sum(in_flight) + self.disk.held <= self.disk.outstanding
        if self.disk.gone:
            assert self.disk.outstanding == 0

    def teardown(self) -> None:
        if not hasattr(self, "disk"):
            return
        for path in self.paths:
            self.sessions[path.label].usable = True
            self.disk.path_recovered(path, "healed")
        for _ in range(100):
            for session in list(self.sessions.values()):
                for _ in range(len(session.unanswered)):
                    session.answer(0)
            if not self.disk.outstanding:
                break
            self.clock.advance(1)
        assert len(self.ended) == len(self.accepted)
        assert all(path.in_flight == 0 for path in self.paths)
        for io in self.accepted:
            if io.operation is Operation.READ:
                assert self.ended[io.number].outcome is not Outcome.UNKNOWN


DiskMachine.TestCase.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
TestDisk = DiskMachine.TestCase
