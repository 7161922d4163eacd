"""The oracle of path selection sees what a disk does with its paths, and lets honest disks pass."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.result import ExitCode
from initiator_model.dispatch import Dispatcher
from initiator_model.dsm import Dsm
from initiator_model.paths import Path
from initiator_model.policies import Promise, Selector
from initiator_model.policies.round_robin import RoundRobin
from initiator_model.requests import Io, IoRequest
from tests.support.runs import LOGINS, NICS, PORTALS, SOURCES, Tables, failed, run, two_paths, verdicts, workload


def policy(name: str, **more: object) -> Tables:
    return {"do": "set_policy", "volume": "logs", "policy": name, **more}


class Broken(Selector):
    """Raises whenever it is asked for a path."""

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        raise LookupError("no idea")


class Alone(Selector):
    """Promises turns, and uses the first path alone."""

    promises = frozenset({Promise.EVERY_PATH_ACTIVE, Promise.TURNS})

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        return paths[0]


class Careless(Selector):
    """Adds a promise about states that it does not keep."""

    promises = frozenset({Promise.ONE_ACTIVE})
    needs_every_path = False

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        return paths[0]


def test_a_run_that_keeps_the_rules_says_so() -> None:
    result = run(two_paths(*LOGINS, policy("round-robin"), workload(ios=40, iops=None)))
    assert ("path selection", "pass") in [(check.name, check.verdict) for check in result.checks]


def test_a_run_without_a_request_is_not_judged() -> None:
    assert "path selection" not in verdicts(run(two_paths({"do": "discover"})))


def test_a_policy_that_raises_neither_stops_the_run_nor_goes_unseen() -> None:
    result = run(two_paths(*LOGINS, policy(f"{__name__}:Broken"), workload(ios=40, iops=None)))
    why = failed(result, "path selection")
    assert why.startswith("w2k3 logs: Broken: choose raised LookupError: no idea (line ")
    assert why.endswith("; and 37 more")  # of 40 requests three are shown
    assert (result.io.ok, result.exit_code) == (40, ExitCode.CORRECTNESS)


def test_promised_turns_are_counted() -> None:
    why = failed(run(two_paths(*LOGINS, policy(f"{__name__}:Alone"), workload(ios=4, iops=None))), "path selection")
    assert f"requests since the last change: {SOURCES[0]}: 2, {SOURCES[1]}: 0" in why


def test_promised_states_are_looked_at() -> None:
    lone = policy(f"{__name__}:Careless")
    third = {"do": "login", "volume": "logs", "multipath": True, "source": SOURCES[2]}
    why = failed(run(two_paths(*LOGINS, lone, third, workload(ios=1, iops=None), nics=3)), "path selection")
    assert f"2 of 3 usable paths are Active: {SOURCES[0]}, {SOURCES[2]}" in why


def test_a_request_sent_down_a_failed_path_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(disk: Dispatcher, io: Io) -> None:
        path = disk.dsm.paths[0]
        disk._send(io, path, disk._sessions[path.path_id])  # type: ignore[arg-type]

    cable = {"do": "fault", "kind": "link_down", "nic": NICS[0], "name": "cable"}
    lost = {"do": "wait", "until": "path_lost", "volume": "logs"}
    monkeypatch.setattr(Dispatcher, "_dispatch", trusting)
    why = failed(run(two_paths(*LOGINS, cable, lost, workload(ios=1, iops=None))), "path selection")
    assert f"I/O 1 was sent down {SOURCES[0]}, which is Failed" in why


def test_a_request_held_while_a_path_is_usable_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dsm, "choose", lambda dsm, io: None)
    why = failed(run(two_paths(*LOGINS, workload(ios=1, iops=None))), "path selection")
    assert f"I/O 1 was held while {SOURCES[0]} was Active" in why


def test_a_built_in_policy_is_watched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoundRobin, "choose", lambda selector, paths, io: paths[0])
    result = run(two_paths(*LOGINS, policy("round-robin"), workload(ios=4, iops=None)))
    assert "Round Robin promises: while nothing changes" in failed(result, "path selection")


def test_turns_begin_anew_when_what_the_array_says_has_the_map_loaded_again() -> None:
    groups = [{"id": 1, "portals": [PORTALS[0]]}, {"id": 2, "portals": [PORTALS[1]], "state": "active-non-optimized"}]
    tables = two_paths(
        *LOGINS, policy("dm-round-robin", grouping="multibus"), workload(ios=40), timers={}, alua={"groups": groups}
    )
    tables["hosts"][0]["profile"] = "linux-dm-multipath"
    result = run(tables)
    assert [failure.why for failure in result.failures] == []


def test_a_policy_that_cannot_be_made_is_refused() -> None:
    result = run(two_paths(*LOGINS, policy("tests.unit.initiator_model.test_policies:NeedsAnArgument")))
    assert "cannot be made without arguments" in failed(result, "step set_policy")


def test_a_policy_of_ones_own_may_look_at_what_is_set_of_paths() -> None:
    own = policy(f"{__name__}:Alone", weights={SOURCES[0]: 3}, preferred=SOURCES[1])
    assert not [one for one in run(two_paths(*LOGINS, own)).failures if one.check.startswith("step")]
