"""Mistakes one makes in a multipath stack, planted one at a time: each is caught, by the check that is there for it.

Every plant has a scenario that passes without it and fails with it. A check that stays green over its plant is worth
nothing; this file is the test of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from harness.result import ExitCode
from initiator_model.disk import IoResult, LogicalIo, Operation
from initiator_model.dispatch import Dispatcher
from initiator_model.host_records import HostSession
from initiator_model.live_connection import LiveConnection
from initiator_model.login_chain import LoggedIn
from initiator_model.path_claims import PathClaims
from initiator_model.paths import Path
from initiator_model.policies import first_active
from initiator_model.policies.round_robin import RoundRobin
from initiator_model.requests import Io, IoRequest
from initiator_model.session import IscsiSession
from iscsi.discovery import TargetAddress
from target.store import MemoryStore
from tests.support.runs import LOGINS, NICS, PORTALS, SHORT_TIMERS, Tables, failed, run, two_paths, workload
from tests.support.watching import watched

Plant = Callable[[pytest.MonkeyPatch], None]

ROUND_ROBIN: Tables = {"do": "set_policy", "volume": "logs", "policy": "round-robin"}


def expect(**check: Any) -> Tables:
    return {"do": "expect", "that": [check]}


def round_robin_that_skips_the_second_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(selector: RoundRobin, paths: Sequence[Path], io: IoRequest) -> Path | None:
        at = first_active(paths)
        return paths[at] if at >= 0 else None

    monkeypatch.setattr(RoundRobin, "choose", choose)


def a_disk_that_completes_an_io_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Dispatcher._end

    def end(disk: Dispatcher, io: LogicalIo, result: IoResult) -> None:
        honest(disk, io, result)
        if io.number == 17:
            io.done(result)

    monkeypatch.setattr(Dispatcher, "_end", end)


def a_failed_path_that_stays_active(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(claims: PathClaims, owner: HostSession, why: str) -> None:
        """The session has given up, and nobody tells its paths."""

    monkeypatch.setattr(PathClaims, "lost", lost)


def a_write_that_is_acknowledged_and_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, writes = MemoryStore.write, iter(range(1, 1_000_000))

    def write(store: MemoryStore, offset: int, data: bytes) -> None:
        if next(writes) != 30:
            honest(store, offset, data)

    monkeypatch.setattr(MemoryStore, "write", write)


def a_retry_that_runs_an_old_write_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first write of each block is kept, and sent once more when the block's next write has been acknowledged."""
    honest = Dispatcher._end
    kept: dict[int, LogicalIo] = {}

    def end(disk: Dispatcher, io: LogicalIo, result: IoResult) -> None:
        if io.operation is Operation.WRITE and result.ok and result.path is not None:
            old = kept.setdefault(io.lba, io)
            if old is not io:
                disk._sessions[result.path.path_id].submit(old.request, lambda completion: None)
        honest(disk, io, result)

    monkeypatch.setattr(Dispatcher, "_end", end)


def an_initiator_that_reconnects_to_the_redirected_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = IscsiSession._adopt

    def adopt(session: IscsiSession, logged_in: LoggedIn) -> LiveConnection:
        live = honest(session, logged_in)
        session.portal = TargetAddress.parse(session.remote)
        return live

    monkeypatch.setattr(IscsiSession, "_adopt", adopt)


class Case(NamedTuple):
    """A plant, the steps that bring it out, the check that must fail and words of its reason."""

    plant: Plant
    steps: list[Tables]
    check: str
    words: str
    code: ExitCode = ExitCode.CORRECTNESS


CASES = [
    Case(
        round_robin_that_skips_the_second_path,
        [ROUND_ROBIN, workload(ios=40, iops=None), expect(check="share", phase="io", each=0.5)],
        check="share io",
        words="100.0%",
    ),
    Case(
        a_disk_that_completes_an_io_twice,
        [workload(ios=40, iops=None)],
        check="exactly once",
        words="I/O 17 of io ended more than once",
    ),
    Case(
        a_failed_path_that_stays_active,
        [
            ROUND_ROBIN,
            {"do": "fault", "kind": "link_down", "nic": NICS[0]},
            {"do": "wait", "duration": "2s"},
            expect(check="path_states", volume="logs", states={"Active": 1, "Failed": 1}),
        ],
        check="path_states logs",
        words="2 Active; expected 1 Active, 1 Failed",
    ),
    Case(
        a_failed_path_that_stays_active,
        [
            {"do": "fault", "kind": "link_down", "nic": NICS[0]},
            {"do": "wait", "until": "path_lost", "volume": "logs", "within": "5s"},
        ],
        check="step wait",
        words="waited 5s until path_lost; w2k3 still sees Active, Standby",
        code=ExitCode.LIVENESS,
    ),
    Case(
        a_write_that_is_acknowledged_and_not_stored,
        [workload(op="write", ios=40, iops=None, pattern="sequential", region="1MiB")],
        check="lost writes",
        words="was acknowledged and never reached the medium (the medium: zeros)",
    ),
    Case(
        a_retry_that_runs_an_old_write_again,
        [workload(op="write", ios=20, iops=None, pattern="sequential", region="64KiB")],
        check="ghost writes",
        words="write 1 landed again, over write 17",
    ),
    Case(
        an_initiator_that_reconnects_to_the_redirected_portal,
        [
            workload(background=True),
            {"do": "fault", "kind": "portal_down", "portal": PORTALS[0]},
            {"do": "wait", "duration": "10s"},
            expect(check="path_states", volume="logs", states={"Active": 1, "Standby": 1}),
        ],
        check="path_states logs",
        words="1 Failed",
    ),
    Case(
        an_initiator_that_reconnects_to_the_redirected_portal,
        [
            {"do": "fault", "kind": "link_down", "nic": NICS[0], "name": "cable"},
            {"do": "wait", "duration": "1s"},
            {"do": "heal", "name": "cable"},
            {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2},
            expect(check="redirects", portals=[*PORTALS[:2], PORTALS[0]]),
        ],
        check="redirects w2k3",
        words="redirected 2 times",
    ),
]


def ids(case: Case) -> str:
    return f"{case.plant.__name__}-{case.check.replace(' ', '-')}"


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_without_the_plant_the_scenario_passes(case: Case) -> None:
    result = run(two_paths(*LOGINS, *case.steps))
    assert not result.failures, [f"{failure.check}: {failure.why}" for failure in result.failures]


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_with_the_plant_its_check_fails(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.plant(monkeypatch)
    result = run(two_paths(*LOGINS, *case.steps))
    assert case.words in failed(result, case.check)
    assert result.exit_code is case.code


@pytest.mark.parametrize(("hold", "verdict"), [("500ms", "fail"), ("3s", "fail"), ("10s", "pass")])
def test_a_ghost_that_needs_no_plant(hold: str, verdict: str) -> None:
    """Why LinkDownTime is long: a host that gives up sooner than a slow link delivers retries a write that still runs.

    64 KiB take 2.6 s at 200 Kbit/s, and a queue of them longer. A host that gives up meanwhile sends its
    writes over the other path, where they and newer ones are acknowledged before the old data arrives and is written.
    """
    slow = {"do": "fault", "kind": "rate", "nic": NICS[0], "rate": "200Kbit", "at": "710ms"}
    work = workload(background=True, block="64KiB", region="64KiB")
    nop = {"enable_nop_out": True, "nop_out_interval": "300ms", "nop_out_timeout": "200ms"}
    timers = SHORT_TIMERS | nop | {"pdo_remove_period": "60s", "link_down_time": hold}
    steps = [ROUND_ROBIN, work, slow, {"do": "wait", "duration": "10ms", "at": "6s"}]
    tables = two_paths(*LOGINS, *steps, timers=timers)
    tables["hosts"][0]["profile"] = "msdsm-2008"  # its TCP has windows large enough to fill the slow link
    result = run(tables)
    assert result.verdict == verdict
    if verdict == "fail":
        assert "landed again" in failed(result, "ghost writes")


def test_the_properties_watch_sees_the_skipped_path_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `tests/properties/test_multipath_faults.py` holds every drawn scenario against."""
    round_robin_that_skips_the_second_path(monkeypatch)
    with watched() as watch:
        run(two_paths(*LOGINS, ROUND_ROBIN, workload(ios=4, iops=None, depth=1)))
    assert watch.complaints()[0] == "Round Robin used 2 Active paths [2, 0] times"


def test_the_properties_watch_sees_io_on_a_failed_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DSM that hands out a path in any state, over sessions that say they can carry anything."""
    monkeypatch.setattr(RoundRobin, "choose", lambda selector, paths, io: paths[0])
    monkeypatch.setattr(Dispatcher, "_dispatch", _trusting)
    cable = {"do": "fault", "kind": "link_down", "nic": NICS[0], "name": "cable"}
    lost = {"do": "wait", "until": "path_lost", "volume": "logs"}
    with watched() as watch:
        run(two_paths(*LOGINS, ROUND_ROBIN, cable, lost, workload(ios=1, iops=None)))
    assert any("which is Failed" in complaint for complaint in watch.complaints())


def _trusting(disk: Dispatcher, io: LogicalIo) -> None:
    path = disk.dsm.choose(Io())
    assert path is not None
    disk._send(io, path, disk._sessions[path.path_id])


def test_the_properties_watch_sees_an_io_that_ends_twice_and_one_that_never_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = Dispatcher._end

    def end(disk: Dispatcher, io: LogicalIo, result: IoResult) -> None:
        if io.number == 5:
            del disk._under_way[io.number]
            return
        honest(disk, io, result)
        if io.number == 3:
            for told in disk.on_complete:
                told(io, result)

    monkeypatch.setattr(Dispatcher, "_end", end)
    with watched() as watch:
        result = run(two_paths(*LOGINS, workload(ios=10, iops=None)))
    assert "none of 1 I/Os of io came back" in failed(result, "step workload")
    assert watch.complaints() == ["I/O 3 ended 2 times", "I/Os [5] never ended"]
