"""Whole hosts of each stack in situations that are easily handled wrongly."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.runs import LOGINS, SOURCES, Tables, login, run, two_paths, workload


def at(profile: str, *steps: Tables, timers: Tables | None = None, nics: int = 2, **array: Any) -> Tables:
    tables = two_paths(*steps, nics=nics, timers=timers or {}, **array)
    tables["hosts"][0]["profile"] = profile
    return tables


def wait(duration: str) -> Tables:
    return {"do": "wait", "duration": duration}


def share(phase: str, source: str, **bounds: float) -> Tables:
    return {"do": "expect", "that": [{"check": "share", "phase": phase, "path": source, **bounds}]}


ALUA: Tables = {
    "portals": ["192.168.77.2", "192.168.77.3"],
    "placement": "round-robin",
    "alua": {
        "groups": [
            {"id": 1, "portals": ["192.168.77.2"]},
            {"id": 2, "portals": ["192.168.77.3"], "state": "active-non-optimized"},
        ]
    },
}
SWAP: list[Tables] = [
    {"do": "access_state", "group": 1, "state": "active-non-optimized"},
    {"do": "access_state", "group": 2, "state": "active-optimized"},
]


@pytest.mark.parametrize("verify", [False, True])
def test_a_host_that_was_idle_while_the_controllers_changed_places_uses_the_better_path(verify: bool) -> None:
    """Verification takes the unit attention, so it has to ask what it meant."""
    timers: Tables = {"path_verify_enabled": verify}
    settle = wait("2min") if verify else wait("1s")
    warm_up = [] if verify else [workload("warm up", ios=10, iops=None), wait("2s")]
    result = run(
        at(
            "msdsm-2008",
            *LOGINS,
            wait("1s"),
            *SWAP,
            settle,
            *warm_up,
            workload("after", ios=100, iops=None),
            share("after", SOURCES[1], min=0.99),
            timers=timers,
            **ALUA,
        )
    )
    assert not result.failures


def test_a_session_that_comes_back_by_another_portal_is_in_that_portals_group() -> None:
    result = run(
        at(
            "msdsm-2008",
            *LOGINS,
            wait("1s"),
            workload("before", ios=100, iops=None),
            share("before", SOURCES[0], min=0.99),
            {"do": "fault", "kind": "portal_down", "portal": "192.168.77.2", "name": "gone"},
            wait("1min"),
            workload("after", ios=100, iops=None),
            share("after", SOURCES[0], min=0.4, max=0.6),  # both are active/non-optimized now
            **ALUA,
        )
    )
    assert not result.failures


def test_a_windows_disk_survives_a_transition_longer_than_pdo_remove_period() -> None:
    slow = ALUA | {"alua": ALUA["alua"] | {"transition": "40s"}}
    steps = [{"do": "access_state", "group": group, "state": "active-optimized"} for group in (1, 2)]
    steps[0] = {"do": "access_state", "group": 1, "state": "active-non-optimized"}
    background = workload(background=True, iops=10)
    result = run(
        at("msdsm-2008", *LOGINS, wait("1s"), background, *steps, wait("60s"), {"do": "stop", "name": "io"}, **slow)
    )
    assert not result.failures
    assert result.io.failed == result.io.unknown == 0


def test_a_path_that_a_sense_has_failed_is_tried_again_though_its_session_blinked() -> None:
    """It is due after 40 s, when the session happens to be away for five."""
    result = run(
        at(
            "msdsm-2008",
            *LOGINS,
            {"do": "fault", "name": "f", "kind": "check_condition", "sense": "5/25/00", "volume": "logs", "count": 1},
            workload("io", ios=10, iops=None),
            wait("39s"),
            {"do": "drop", "source": SOURCES[0], "how": "fin"},
            {"do": "drop", "source": SOURCES[1], "how": "fin"},
            wait("90s"),
            {"do": "expect", "that": [{"check": "path_states", "volume": "logs", "states": {"Active": 2}}]},
        )
    )
    assert not result.failures


@pytest.mark.parametrize("profile", ["linux-dm-multipath", "esxi"])
def test_a_disk_that_refuses_does_not_stop_time(profile: str) -> None:
    """Without a path, and without pacing: every I/O fails at the instant it is asked for."""
    timers: Tables = {"apd_timeout": "1s"} if profile == "esxi" else {}
    result = run(
        at(
            profile,
            *LOGINS,
            {"do": "fault", "name": "a", "kind": "array_kill"},
            workload("io", duration="30s", iops=None),
            {"do": "heal", "name": "a"},
            {"do": "expect", "that": [{"check": "io", "failed_min": 100}]},
            timers=timers,
        )
    )
    assert not result.failures


def test_what_was_set_beside_a_policy_holds_after_a_reboot() -> None:
    logins = [LOGINS[0], login(SOURCES[0], persistent=True), login(SOURCES[1], persistent=True)]
    result = run(
        at(
            "esxi",
            *logins,
            {"do": "set_policy", "volume": "logs", "policy": "vmw-rr", "iops": 1},
            {"do": "fault", "kind": "host_reboot", "host": "w2k3", "name": "reboot"},
            wait("1s"),
            {"do": "heal", "name": "reboot"},
            {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2},
            workload("after", ios=100, iops=None),
            {"do": "expect", "that": [{"check": "share", "phase": "after", "each": 0.5}]},
        )
    )
    assert not result.failures


def test_esxi_keeps_its_own_policy_on_an_active_passive_array() -> None:
    result = run(
        at(
            "esxi",
            *LOGINS,
            workload("io", ios=40, iops=None),
            {"do": "expect", "that": [{"check": "policy", "volume": "logs", "policy": "vmw-rr"}]},
            share("io", SOURCES[0], min=1.0),
            active_passive=True,
        )
    )
    assert not result.failures


def test_logging_off_is_not_undone_by_the_host_kit() -> None:
    """The try for its second session is due while the Logout waits for an answer that the dead path never brings."""
    result = run(
        at(
            "eql-hit",
            LOGINS[0],
            {"do": "fault", "kind": "link_down", "nic": "w2k3/B", "name": "cable"},
            login(),
            wait("59s"),
            {"do": "heal", "name": "cable"},
            {"do": "fault", "kind": "link_down", "nic": "w2k3/A", "carrier": True, "name": "silence"},
            {"do": "logout", "volume": "logs"},
            wait("5min"),
            {"do": "expect", "that": [{"check": "target_state", "volume": "logs", "state": "Inactive"}]},
        )
    )
    assert not result.failures
