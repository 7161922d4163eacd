"""Each kind of step: what it does, and how it says that it could not."""

from __future__ import annotations

import pytest

from harness.narration import QuietNarrator
from harness.result import ExitCode, Result
from harness.steps import AnyStep
from initiator_model.dispatch import Dispatcher
from tests.support.runs import GROUP, LOGINS, NICS, PORTALS, SOURCES, Tables, failed, login, run, two_paths, workload


def states(**counts: int) -> Tables:
    """An expect step on the paths' states."""
    return {"do": "expect", "that": [{"check": "path_states", "volume": "logs", "states": counts}]}


def only(source: str) -> list[Tables]:
    """A small phase that must run over one path alone."""
    share = {"check": "share", "phase": "io", "path": source, "min": 1.0}
    return [workload(ios=20, iops=None), {"do": "expect", "that": [share]}]


def passes(*steps: Tables, **array: object) -> Result:
    result = run(two_paths(*steps, **array))
    assert not result.failures, result.failures
    return result


CABLE: Tables = {"do": "fault", "kind": "link_down", "nic": NICS[0], "name": "cable"}
UNTIL_LOST: Tables = {"do": "wait", "until": "path_lost", "volume": "logs", "within": "5s"}
UNTIL_BACK: Tables = {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2, "within": "10s"}


class Panes(QuietNarrator):
    """Keeps what the walkthrough would show."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self.lines: list[str] = []

    def pane(self, title: str, text: str) -> None:
        self.shown[title] = text

    def line(self, text: str, at_ns: int) -> None:
        self.lines.append(text)


class StepTimes(QuietNarrator):
    """Keeps when each step began."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def step(self, step: AnyStep, at_ns: int) -> None:
        self.at_s.append(at_ns / 1e9)


# Refusals


def test_a_step_that_is_refused_ends_the_run_with_the_reason() -> None:
    result = run(two_paths(login(), workload(ios=1)))
    assert "refused: the target name is not found" in failed(result, "step login")
    assert result.exit_code is ExitCode.CORRECTNESS
    assert result.io.submitted == 0


def test_a_refusal_that_was_expected_is_told_and_the_run_goes_on() -> None:
    panes = Panes()
    result = run(two_paths(login(expect_error="not found"), *LOGINS, workload(ios=1)), narrator=panes)
    assert result.verdict == "pass"
    assert result.io.ok == 1
    assert any(line.startswith("refused, as expected: the target name is not found") for line in panes.lines)


def test_another_refusal_than_the_expected_one_fails_with_both() -> None:
    why = failed(run(two_paths(login(expect_error="CHAP"))), "step login")
    assert why.startswith('refused with "the target name is not found')
    assert why.endswith('expected an error with "CHAP"')


def test_no_refusal_where_one_was_expected_fails() -> None:
    steps = [{"do": "discover", "expect_error": "no answer"}]
    assert failed(run(two_paths(*steps)), "step discover") == 'not refused; expected an error with "no answer"'


def test_round_robin_with_a_standby_path_is_refused_in_the_words_of_the_dsm() -> None:
    step = {"do": "set_policy", "volume": "logs", "policy": "round-robin", "standby": [SOURCES[1]]}
    passes(*LOGINS, step | {"expect_error": "Round Robin needs every path Active"})


def test_a_second_login_without_the_multipath_box_is_refused_as_windows_does() -> None:
    step = login(SOURCES[1], multipath=False, expect_error="already been logged in via an iSCSI session. (0xEFFF003F)")
    passes({"do": "discover"}, login(SOURCES[0]), step)


# Logins


def test_a_login_may_name_its_portal() -> None:
    result = passes({"do": "discover", "portal": GROUP}, login(SOURCES[0], portal=PORTALS[1]), {"do": "netstat"})
    established = [row for row in result.connections if row.state == "ESTABLISHED"]
    assert [(row.remote, row.via) for row in established] == [(f"{PORTALS[1]}:3260", None)]


def test_logging_out_one_source_leaves_the_other_path() -> None:
    passes(*LOGINS, {"do": "logout", "volume": "logs", "source": SOURCES[0]}, states(Active=1), *only(SOURCES[1]))


# Policies


def test_fail_over_only_leaves_the_active_path_active() -> None:
    policy = {"do": "set_policy", "volume": "logs", "policy": "failover-only"}
    passes(*LOGINS, policy, states(Active=1, Standby=1), *only(SOURCES[0]))


def test_a_preferred_path_takes_the_work_at_once() -> None:
    policy = {"do": "set_policy", "volume": "logs", "policy": "failover-only", "preferred": SOURCES[1]}
    passes(*LOGINS, policy, states(Active=1, Standby=1), *only(SOURCES[1]))


def test_a_preferred_path_that_has_failed_gets_the_work_when_it_is_back() -> None:
    policy = {"do": "set_policy", "volume": "logs", "policy": "failover-only", "preferred": SOURCES[0]}
    heal = {"do": "heal", "name": "cable"}
    passes(*LOGINS, CABLE, UNTIL_LOST, policy, states(Active=1, Failed=1), heal, UNTIL_BACK, *only(SOURCES[0]))


def test_the_path_left_standby_gives_the_work_to_the_other() -> None:
    policy = {"do": "set_policy", "volume": "logs", "policy": "failover-only", "standby": [SOURCES[0]]}
    passes(*LOGINS, policy, states(Active=1, Standby=1), *only(SOURCES[1]))


def test_round_robin_makes_every_path_active() -> None:
    policy = {"do": "set_policy", "volume": "logs", "policy": "round-robin"}
    share = {"check": "share", "phase": "io", "each": 0.5}
    passes(*LOGINS, policy, states(Active=2), workload(ios=20, iops=None), {"do": "expect", "that": [share]})


def test_of_weighted_paths_the_lightest_has_the_work() -> None:
    policy = {"do": "set_policy", "volume": "logs", "policy": "weighted-paths", "weights": {SOURCES[0]: 5}}
    passes(*LOGINS, policy, states(Active=2), *only(SOURCES[1]))


def test_a_subset_leaves_the_others_standby() -> None:
    policy = {"do": "set_policy", "volume": "logs", "policy": "round-robin-subset", "standby": [SOURCES[0]]}
    passes(*LOGINS, policy, states(Active=1, Standby=1), *only(SOURCES[1]))


@pytest.mark.parametrize("key", ["preferred", "standby"])
def test_a_source_the_disk_has_no_path_from_is_told(key: str) -> None:
    value = SOURCES[1] if key == "preferred" else [SOURCES[1]]
    policy = {"do": "set_policy", "volume": "logs", "policy": "failover-only", key: value}
    why = failed(run(two_paths({"do": "discover"}, login(SOURCES[0]), policy)), "step set_policy")
    assert why == f"refused: logs has no path from {SOURCES[1]}; there are paths from: {SOURCES[0]}"


# Waits


def test_waiting_takes_exactly_the_time_asked_for() -> None:
    assert run(two_paths({"do": "wait", "duration": "1500ms"})).virtual_seconds == 1.5


def test_a_step_with_a_time_waits_for_it_and_one_that_is_late_does_not() -> None:
    steps = [{"do": "discover", "at": "3s"}, {"do": "discover", "at": "1s"}]
    assert 3.0 < run(two_paths(*steps)).virtual_seconds < 3.1


def test_a_wait_for_paths_that_never_come_fails_on_liveness_within_its_bound() -> None:
    wait = {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2, "within": "7s"}
    result = run(two_paths({"do": "discover"}, login(SOURCES[0]), wait))
    assert failed(result, "step wait") == "waited 7s until paths_usable; w2k3 still sees Active"
    assert result.exit_code is ExitCode.LIVENESS
    assert 7.0 <= result.virtual_seconds < 7.1


def test_a_wait_without_a_disk_says_that_there_is_no_path() -> None:
    wait = {"do": "wait", "until": "paths_usable", "volume": "logs", "within": "1s"}
    assert failed(run(two_paths(wait)), "step wait") == "waited 1s until paths_usable; w2k3 still sees no path"


def test_waits_end_as_soon_as_the_paths_are_so() -> None:
    """The path is lost LinkDownTime (500 ms) after the cable; the last path takes the disk with it 2 s later."""
    cables = [{"do": "fault", "kind": "link_down", "nic": nic} for nic in NICS[:2]]
    gone = {"do": "wait", "until": "no_paths", "volume": "logs", "within": "5s"}
    after = {"do": "wait", "duration": "1ms"}
    told = StepTimes()
    assert run(two_paths(*LOGINS, *cables, UNTIL_LOST, gone, after), narrator=told).verdict == "pass"
    assert 0.5 <= told.at_s[-1] < 0.6


# Panes


def test_the_panes_are_those_of_the_applet_and_of_the_commands() -> None:
    panes = Panes()
    show = [{"do": "targets"}, {"do": "devices", "volume": "logs"}, {"do": "netstat"}]
    run(two_paths(*LOGINS, *show, {"do": "mpclaim"}, {"do": "mpclaim", "volume": "logs"}), narrator=panes)

    assert "Connected" in panes.shown["iSCSI Initiator Properties: Targets"]
    assert panes.shown["Device Details: MPIO"].count(SOURCES[0]) >= 1
    assert panes.shown[r"C:\>netstat -nt"].count("ESTABLISHED") == 2
    assert "MPIO Disk0" in panes.shown[r"C:\>mpclaim -s -d"]
    assert "Standby" in panes.shown[r"C:\>mpclaim -s -d 0"]


def test_the_connections_are_those_of_the_last_netstat() -> None:
    result = run(two_paths(*LOGINS, {"do": "netstat"}, {"do": "logout", "volume": "logs"}))
    assert [row.local.partition(":")[0] for row in result.connections if row.state == "ESTABLISHED"] == [*SOURCES[:2]]


# Workloads


def test_a_background_workload_runs_until_it_is_stopped() -> None:
    steps = [workload(background=True), {"do": "wait", "duration": "1s"}, {"do": "stop", "name": "io"}]
    result = run(two_paths(*LOGINS, *steps, {"do": "wait", "duration": "5s"}))
    (phase,) = result.phases
    assert phase.end_s - phase.start_s == pytest.approx(1.0, abs=0.01)
    assert 195 <= phase.ios <= 205


def test_a_foreground_workload_whose_io_never_comes_back_fails_on_liveness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that loses I/O must not make the run wait for ever."""
    monkeypatch.setattr(Dispatcher, "_dispatch", lambda self, io: None)
    result = run(two_paths(*LOGINS, workload(op="read", ios=10, iops=None)))
    assert "none of 4 I/Os of io came back within" in failed(result, "step workload")
    assert "4 I/Os did not end" in failed(result, "drain")
    assert "w2k3 logs: read of 8 blocks at 96 waits for a path or a fence (after attempt 0)" in failed(result, "drain")
    assert result.exit_code is ExitCode.LIVENESS
    assert (result.io.submitted, result.io.failed) == (4, 4), "ended by the logout"


def test_stopping_what_has_ended_by_itself_does_nothing() -> None:
    steps = [workload(background=True, ios=5), {"do": "wait", "duration": "1s"}, {"do": "stop", "name": "io"}]
    assert passes(*LOGINS, *steps).phases[0].ios == 5
