"""More mistakes of a host's multipath layer, planted one at a time, each caught by a named check of a run.

Wrong policies by themselves are the affair of `mpiolab check` (tests/planted/test_planted_policies.py); here they are
put into the place of a right one in a whole host, and a scenario's own expectations have to see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from harness.result import ExitCode
from initiator_model.dispatch import Dispatcher
from initiator_model.host_records import HostSession
from initiator_model.path_claims import PathClaims
from initiator_model.paths import Path, PathState
from initiator_model.policies.fail_over_only import FailOverOnly
from initiator_model.requests import IoRequest
from initiator_model.session import IscsiSession
from initiator_model.session_events import SessionState
from tests.planted.test_planted_bugs import Case, expect, ids
from tests.support.runs import LOGINS, NICS, SOURCES, Tables, failed, run, two_paths, workload

SETTLE: Tables = {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2}
LOST: Tables = {"do": "wait", "until": "path_lost", "volume": "logs"}


def pulled(*nics: str) -> list[Tables]:
    return [{"do": "fault", "kind": "link_down", "nic": nic, "name": nic[-1]} for nic in nics]


def plugged(*nics: str) -> list[Tables]:
    return [{"do": "heal", "name": nic[-1]} for nic in nics]


def policy(name: str, **more: Any) -> Tables:
    return {"do": "set_policy", "volume": "logs", "policy": name, **more}


def a_policy_that_never_fails_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FailOverOnly, "_fails_back", lambda selector, arrived, working: None)


def a_policy_that_fails_back_without_a_preference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FailOverOnly, "_fails_back", lambda selector, arrived, working: "because it was first")


def a_policy_that_takes_standby_for_active(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(selector: FailOverOnly, paths: Sequence[Path], io: IoRequest) -> Path | None:
        return next((path for path in reversed(paths) if path.works), None)

    monkeypatch.setattr(FailOverOnly, "choose", choose)


def a_disk_that_keeps_the_path_of_a_session_that_was_logged_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PathClaims, "released", lambda claims, owner, why: owner.paths.clear())


def a_session_that_drops_its_queue_when_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def hold_is_over(session: IscsiSession) -> None:
        session._hold_timer = None
        session._enter(SessionState.LOST, "too long")
        session._held.clear()
        session.observer.on_lost(session, "too long")

    monkeypatch.setattr(IscsiSession, "_hold_is_over", hold_is_over)


def a_disk_that_ignores_pdo_remove_period(monkeypatch: pytest.MonkeyPatch) -> None:
    def await_for_ever(disk: Dispatcher) -> None:
        """No clock is started."""

    monkeypatch.setattr(Dispatcher, "_await_path_or_removal", await_for_ever)


def a_path_that_forgets_what_came_back_while_it_was_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Path.release

    def release(path: Path, size_bytes: int) -> None:
        if path.state is not PathState.FAILED:
            honest(path, size_bytes)

    monkeypatch.setattr(Path, "release", release)


def a_host_that_never_hears_that_a_session_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def back(claims: PathClaims, owner: HostSession) -> None:
        """The session is back, and nobody tells its paths."""

    monkeypatch.setattr(PathClaims, "back", back)


CASES = [
    Case(
        a_policy_that_never_fails_back,
        [
            policy("failover-only", preferred=SOURCES[0]),
            *pulled(NICS[0]),
            LOST,
            *plugged(NICS[0]),
            SETTLE,
            workload("after", ios=40, iops=None),
            expect(check="share", phase="after", path=SOURCES[0], min=1.0),
        ],
        check="share after",
        words="carried 0.0%",
    ),
    Case(
        a_policy_that_fails_back_without_a_preference,
        [
            *pulled(NICS[0]),
            LOST,
            *plugged(NICS[0]),
            SETTLE,
            workload("after", ios=40, iops=None),
            expect(check="share", phase="after", path=SOURCES[1], min=1.0),
        ],
        check="share after",
        words="carried 0.0%",
    ),
    Case(
        a_policy_that_takes_standby_for_active,
        [workload("io", ios=40, iops=None), expect(check="share", phase="io", path=SOURCES[0], min=1.0)],
        check="share io",
        words="carried 0.0%",
    ),
    Case(
        a_disk_that_keeps_the_path_of_a_session_that_was_logged_out,
        [
            workload(background=True),
            {"do": "wait", "duration": "200ms"},
            {"do": "logout", "volume": "logs", "source": SOURCES[1]},
            {"do": "wait", "duration": "200ms"},
            expect(check="path_states", volume="logs", states={"Active": 1}),
        ],
        check="path_states logs",
        words="1 Standby; expected 1 Active",
    ),
    Case(
        a_session_that_drops_its_queue_when_it_is_lost,
        [
            workload(background=True),
            {"do": "wait", "duration": "200ms"},
            *pulled(NICS[0]),
            {"do": "wait", "duration": "2s"},
            {"do": "stop", "name": "io"},
        ],
        check="step stop",
        words="I/Os of io came back within",
        code=ExitCode.LIVENESS,
    ),
    Case(
        a_disk_that_ignores_pdo_remove_period,
        [
            workload(background=True),
            {"do": "wait", "duration": "200ms"},
            *pulled(*NICS[:2]),
            {"do": "wait", "duration": "10s"},
            expect(check="path_states", volume="logs", states={"Active": 0}),
            expect(check="io", failed_min=1, refused=True),
        ],
        check="path_states logs",
        words="2 Failed",
    ),
    Case(
        a_path_that_forgets_what_came_back_while_it_was_failed,
        [
            policy("least-queue-depth"),
            workload(op="read", background=True, iops=None, depth=16),
            {"do": "wait", "duration": "100ms"},
            *pulled(NICS[0]),
            LOST,
            {"do": "stop", "name": "io"},
            *plugged(NICS[0]),
            SETTLE,
            workload("after", ios=400, iops=None, depth=8),
            expect(check="share", phase="after", each=0.5, within=0.2),
        ],
        check="share after",
        words="expected 50.0% each",
    ),
    Case(
        a_host_that_never_hears_that_a_session_is_back,
        [*pulled(NICS[0]), LOST, *plugged(NICS[0]), SETTLE | {"within": "10s"}],
        check="step wait",
        words="still sees Failed, Active",
        code=ExitCode.LIVENESS,
    ),
]


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
