"""A whole run: it ends, whatever is broken; it heals what was left broken; it says which promise did not hold."""

from __future__ import annotations

import gc

import pytest

from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.patience import longest_io_ns
from harness.result import ExitCode
from initiator_model.dispatch import Dispatcher
from initiator_model.logical_io import LogicalIo
from sim.net.host import Host
from tests.support.runs import (
    LOGINS,
    NICS,
    PORTALS,
    SOURCES,
    Tables,
    failed,
    login,
    run,
    timers_of,
    two_paths,
    verdicts,
    workload,
)

BACKGROUND = workload(background=True)
A_WHILE: Tables = {"do": "wait", "duration": "200ms"}
KILL: Tables = {"do": "fault", "kind": "array_kill", "name": "kill"}
PERSISTENT = [{"do": "discover"}, login(SOURCES[0], persistent=True), login(SOURCES[1], persistent=True)]
REBOOT: Tables = {"do": "fault", "kind": "host_reboot", "host": "w2k3", "name": "reboot"}


def test_the_same_scenario_and_seed_are_the_same_run_and_another_seed_is_not() -> None:
    scenario = scenario_from(two_paths(*LOGINS, BACKGROUND, A_WHILE))
    first, second, other = run(scenario), run(scenario), run(scenario, seed=2)
    assert first.trace_sha256 == second.trace_sha256 != other.trace_sha256
    assert first.trace_sha256 is not None


def test_every_io_is_booked_once() -> None:
    io = run(two_paths(*LOGINS, workload(ios=100))).io
    assert (io.submitted, io.ok, io.failed, io.unknown) == (100, 100, 0, 0)


def test_background_io_drains_when_the_steps_are_over() -> None:
    result = run(two_paths(*LOGINS, BACKGROUND, A_WHILE))
    assert result.io.ok == result.io.submitted > 0
    assert result.phase("io") is not None


def test_a_fault_that_was_left_standing_is_healed_at_the_end() -> None:
    """Both cables are out when the steps end; the held I/O goes on once they are back."""
    cables = [{"do": "fault", "kind": "link_down", "nic": nic} for nic in NICS[:2]]
    result = run(two_paths(*LOGINS, BACKGROUND, A_WHILE, *cables, A_WHILE))
    assert not result.failures
    assert result.io.ok == result.io.submitted
    assert [failover.path for failover in result.failovers] == [*SOURCES[:2]]


def test_io_whose_paths_never_come_back_ends_after_pdo_remove_period() -> None:
    """2 s after the last path was given up the disk is removed, and everything it held has failed."""
    result = run(two_paths(*LOGINS, BACKGROUND, A_WHILE, KILL, {"do": "wait", "duration": "30s"}))
    assert failed(result, "accepted") == "I/O was refused: io: the disk was removed"
    assert result.exit_code is ExitCode.LIVENESS
    io = result.io
    assert io.submitted == io.ok + io.failed + io.unknown
    assert io.failed + io.unknown > 0
    phase = result.phase("io")
    assert phase is not None
    assert phase.end_s == pytest.approx(0.2 + 0.5 + 2.0, abs=0.1)


def test_io_that_does_not_drain_is_a_liveness_failure_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that loses what it holds, behind cables that stay out: the run ends and names what is open."""
    monkeypatch.setattr("sim.faults.LinkDown._heal", lambda self: None)
    monkeypatch.setattr(Dispatcher, "_await_path_or_removal", lambda disk: None)
    cables = [{"do": "fault", "kind": "link_down", "nic": nic} for nic in NICS[:2]]
    tables = two_paths(*LOGINS, BACKGROUND, A_WHILE, *cables, A_WHILE)
    result = run(tables)
    bound_s = longest_io_ns(timers_of(tables)) / 1e9
    assert f"I/Os did not end {bound_s:g} s after the last step" in failed(result, "drain")
    assert result.exit_code is ExitCode.LIVENESS
    assert result.io.unknown > 0
    assert bound_s < result.virtual_seconds < bound_s + 10


def test_a_failed_step_ends_the_steps_but_not_the_winding_up() -> None:
    wait = {"do": "wait", "until": "no_paths", "volume": "logs", "within": "1s"}
    result = run(two_paths(*LOGINS, BACKGROUND, A_WHILE, wait, workload("never", ios=1)))
    assert [failure.check for failure in result.failures] == ["step wait"]
    assert [phase.name for phase in result.phases] == ["io"]
    assert verdicts(result)["linearizability"] == "pass"


def test_correctness_comes_before_liveness_in_the_exit_code() -> None:
    wait = {"do": "wait", "until": "no_paths", "volume": "logs", "within": "1s"}
    impossible = {"check": "path_states", "volume": "logs", "states": {"Active": 9}}
    result = run(two_paths(*LOGINS, {"do": "expect", "that": [impossible]}, wait))
    assert [failure.kind for failure in result.failures] == ["correctness", "liveness"]
    assert result.exit_code is ExitCode.CORRECTNESS


def test_checks_of_the_whole_run_are_judged_though_a_step_failed() -> None:
    expect = {"do": "expect", "that": [{"check": "io"}, {"check": "share", "phase": "late", "each": 0.5}]}
    late = workload("late", ios=1)
    result = run(two_paths(login(), *LOGINS, late, expect))
    assert [failure.check for failure in result.failures] == ["step login", "share late"]
    assert ("io", "pass") in [(check.name, check.verdict) for check in result.checks]


def test_steps_of_the_other_network_are_left_out() -> None:
    result = run(two_paths(*LOGINS, workload(ios=1), workload("real", ios=1, net="tcp")))
    assert [phase.name for phase in result.phases] == ["io"]


# Overlapping faults


def test_an_array_killed_twice_runs_when_both_are_healed() -> None:
    steps = [KILL, KILL | {"name": "again"}, A_WHILE, {"do": "heal", "name": "kill"}, A_WHILE]
    assert not run(two_paths(*LOGINS, *steps, {"do": "heal", "name": "again"}, workload(ios=10))).failures


def test_an_array_restarted_while_a_portal_is_down_serves_the_others() -> None:
    portal = {"do": "fault", "kind": "portal_down", "portal": PORTALS[0], "name": "portal"}
    steps = [portal, KILL, A_WHILE, {"do": "heal", "name": "kill"}, workload(ios=10), {"do": "heal", "name": "portal"}]
    assert not run(two_paths(*LOGINS, *steps)).failures


def test_a_portal_with_two_faults_is_back_after_both() -> None:
    steps = [
        {"do": "fault", "kind": "portal_down", "portal": PORTALS[0], "name": "address"},
        {"do": "fault", "kind": "link_down", "portal": PORTALS[0], "name": "cable"},
        {"do": "heal", "name": "cable"},
        A_WHILE,
        {"do": "heal", "name": "address"},
        workload(ios=10),
    ]
    assert not run(two_paths(*LOGINS, *steps)).failures


# Reboots


def test_a_workload_goes_down_with_its_host_and_its_reads_fail() -> None:
    result = run(two_paths(*PERSISTENT, BACKGROUND, A_WHILE, REBOOT, A_WHILE))
    assert not result.failures
    phase = result.phase("io")
    assert phase is not None
    assert phase.end_s == pytest.approx(0.2, abs=0.01)


def test_a_host_left_down_is_up_again_before_the_audit() -> None:
    result = run(two_paths(*PERSISTENT, workload(ios=50, op="write"), REBOOT, A_WHILE))
    assert verdicts(result)["paths agree"] == "pass"
    assert not result.failures


def test_a_host_that_went_down_twice_boots_once() -> None:
    steps = [REBOOT, REBOOT | {"name": "again"}, {"do": "heal", "name": "reboot"}, {"do": "heal", "name": "again"}]
    back = {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2, "within": "10s"}
    expect = {
        "do": "expect",
        "that": [{"check": "path_states", "volume": "logs", "states": {"Active": 1, "Standby": 1}}],
    }
    assert not run(two_paths(*PERSISTENT, *steps, back, expect)).failures


def test_no_listener_or_connection_of_the_array_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    machines: list[Host] = []
    made = Host.__init__

    def remembered(self: Host, *arguments: object) -> None:
        made(self, *arguments)  # type: ignore[arg-type]
        machines.append(self)

    monkeypatch.setattr(Host, "__init__", remembered)
    run(two_paths(*LOGINS, workload(ios=10)))
    left = [row for machine in machines for row in machine.connections() if row.state in ("LISTENING", "ESTABLISHED")]
    assert left == []


# Real TCP


def test_a_fault_without_meaning_on_real_tcp_is_refused_before_anything_runs() -> None:
    cable = {"do": "fault", "kind": "link_down", "nic": NICS[0]}
    with pytest.raises(ScenarioError, match=r'steps\[3\]\.kind: "link_down" has no meaning on real TCP'):
        run(two_paths(*LOGINS, cable), net="tcp")


def test_two_volumes_of_one_target_name_are_refused() -> None:
    rows = [{"name": name, "size": "1MiB", "access": [{"source": "0.0.0.0/0"}]} for name in ("logs", "LOGS")]
    with pytest.raises(ScenarioError, match="is given twice"):
        run(two_paths({"do": "discover"}, volumes=rows))


def test_what_an_io_needed_is_free_when_it_has_ended() -> None:
    """The collector rests during a run: I/Os that knew themselves in a circle would keep their data to its end."""
    gc.disable()
    try:
        run(two_paths(*LOGINS, workload(ios=300, iops=None)))
        left = [one for one in gc.get_objects() if type(one) is LogicalIo]
    finally:
        gc.enable()
    assert len(left) < 10
