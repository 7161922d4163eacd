"""A small whole scenario and the result of a run, to change one thing of in each test."""

import tomllib
from typing import Any

import pytest

from harness.result import (
    CheckVerdict,
    Connection,
    Failover,
    IoCounts,
    LatencyUs,
    PathShare,
    Phase,
    Result,
)

TWO_PATHS = """
name = "two_paths"
title = "Two NICs, one group address."

[array]
name = "PS100"
group = "192.168.51.1/22"
portals = ["192.168.51.2", "192.168.51.3"]
[[array.volumes]]
name = "logs"
size = "1GiB"
[[array.volumes.access]]
initiator = "iqn.1991-05.com.microsoft:w2k3"

[[hosts]]
name = "w2k3"
iqn = "iqn.1991-05.com.microsoft:w2k3"
[[hosts.nics]]
name = "3A_iSCSI"
address = "192.168.50.105/22"
[[hosts.nics]]
name = "3B_iSCSI"
address = "192.168.50.125/22"

[[steps]]
do = "login"
volume = "logs"
source = "192.168.50.105"
multipath = true
note = "Log on"
[[steps]]
do = "workload"
name = "reads"
volume = "logs"
op = "read"
duration = "2s"
[[steps]]
do = "expect"
[[steps.that]]
check = "io"
"""


@pytest.fixture
def toml() -> str:
    """The text of a scenario file without a mistake."""
    return TWO_PATHS


@pytest.fixture
def tables() -> dict[str, Any]:
    """The same as tables, the test's own to change."""
    return tomllib.loads(TWO_PATHS)


@pytest.fixture
def result() -> Result:
    """A run that passed: 3,000 reads of 64 KiB in two seconds, half over each of two paths, one of them lost later."""
    half = 1500
    block = 65536
    return Result(
        scenario="two_paths",
        seed=1,
        net="sim",
        verdict="pass",
        failures=(),
        checks=(CheckVerdict("io", "pass"),),
        trace_sha256="ab" * 32,
        virtual_seconds=20.5,
        wall_seconds=0.25,
        connections=(
            Connection("w2k3", "192.168.50.105:2817", "192.168.51.2:3260", "ESTABLISHED", True, "192.168.51.1:3260"),
            Connection("w2k3", "192.168.50.105:2816", "192.168.51.1:3260", "TIME_WAIT", True, None),
        ),
        phases=(
            Phase(
                name="reads",
                policy="round-robin",
                start_s=1.0,
                end_s=3.0,
                ios=2 * half,
                bytes=2 * half * block,
                iops=1500.0,
                throughput_bytes_per_s=1500.0 * block,
                latency_us=LatencyUs(500.0, 900.0, 1200.0),
                paths=(
                    PathShare("1", "192.168.50.105", "192.168.51.2", "Active", half, half * block, 0.5),
                    PathShare("2", "192.168.50.125", "192.168.51.3", "Active", half, half * block, 0.5),
                ),
            ),
        ),
        failovers=(Failover("w2k3", "192.168.50.105 → 192.168.51.2", "link down", 5.0, 5.0, 20.25, 15.25),),
        io=IoCounts(submitted=3000, ok=3000, failed=0, unknown=0),
    )
