"""One to 32 paths to a disk, and paths that come and go while I/O runs."""

from __future__ import annotations

import pytest

from tests.support.runs import Tables, failed, run

PORTALS = [f"192.168.77.{n}" for n in range(2, 6)]


def scenario(paths: int, *steps: Tables, policy: str = "round-robin", profile: str = "msdsm-2008") -> Tables:
    """A host with as many NICs as the disk is to have paths."""
    nics = [{"name": f"n{n}", "address": f"192.168.76.{n}/22"} for n in range(1, paths + 1)]
    return {
        "name": "paths",
        "network": {"subnet": "192.168.76.0/22"},
        "array": {
            "group": "192.168.77.1/22",
            "portals": PORTALS,
            "volumes": [{"name": "logs", "size": "64MiB", "access": [{"source": "192.168.76.0/22"}]}],
        },
        "hosts": [{"name": "h", "profile": profile, "iqn": "iqn.1991-05.com.microsoft:h", "nics": nics}],
        "steps": [
            {"do": "discover"},
            *(login(n) for n in range(1, paths + 1)),
            {"do": "set_policy", "volume": "logs", "policy": policy},
            *steps,
        ],
    }


def login(number: int) -> Tables:
    return {"do": "login", "volume": "logs", "source": f"192.168.76.{number}", "multipath": True}


def logout(number: int) -> Tables:
    return {"do": "logout", "volume": "logs", "source": f"192.168.76.{number}"}


def work(**more: object) -> Tables:
    base: Tables = {"do": "workload", "name": "io", "volume": "logs", "op": "mixed", "block": "4KiB", "depth": 64}
    return base | {"region": "4MiB", "pattern": "random"} | more


@pytest.mark.parametrize("policy", ["round-robin", "dm-round-robin", "least-queue-depth", "dm-service-time"])
@pytest.mark.parametrize("paths", [1, 2, 3, 8, 32])
def test_every_path_carries_its_share(paths: int, policy: str) -> None:
    steps = [work(ios=64 * paths)]
    if policy.endswith("round-robin"):
        steps.append({"do": "expect", "that": [{"check": "share", "phase": "io", "each": 1 / paths, "within": 0.0001}]})
    states = {"check": "path_states", "volume": "logs", "states": {"Active": paths}}
    profile = "linux-dm-multipath-eql" if policy.startswith("dm-") else "msdsm-2008"
    result = run(scenario(paths, *steps, {"do": "expect", "that": [states]}, policy=policy, profile=profile))
    assert not result.failures
    assert result.io.ok == 64 * paths
    assert all(path.ios for path in result.phases[0].paths)


def test_a_disk_has_no_33rd_path() -> None:
    result = run(scenario(33))
    assert "a disk has at most 32 paths" in failed(result, "step login")


@pytest.mark.parametrize("policy", ["round-robin", "failover-only", "least-queue-depth", "weighted-paths"])
def test_paths_are_added_and_removed_under_io(policy: str) -> None:
    """Four of eight paths are logged out, one of them the first, and come back, while writes go on."""
    pause: Tables = {"do": "wait", "duration": "20ms"}
    changes = [step for n in (1, 3, 5, 7) for step in (logout(n), pause)]
    changes += [step for n in (7, 5, 3, 1) for step in (login(n), pause)]
    steps = [work(background=True, iops=2000, depth=16), pause, *changes, {"do": "stop", "name": "io"}]
    count = {"Active": 1, "Standby": 7} if policy == "failover-only" else {"Active": 8}
    expected: Tables = {
        "do": "expect",
        "that": [{"check": "path_states", "volume": "logs", "states": count}, {"check": "io", "failed": 0}],
    }
    result = run(scenario(8, *steps, expected, policy=policy))
    assert not result.failures
    assert result.io.ok > 100
