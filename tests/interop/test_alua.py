"""Asymmetric access as libiscsi meets it: its tools at portals of different groups, its suite at a slow one.

The tools log in at a portal itself, so that it is known which group they come through.
"""

from __future__ import annotations

import re

import pytest

from tests.interop.conformance import Outcome, run_tool
from tests.interop.served import GROUP, Serve, Served
from tests.interop.support import Require, run

pytestmark = pytest.mark.interop

FAST, SLOW, CLOSED = "127.0.51.2", "127.0.51.3", "127.0.51.4"
"""Portals: optimized, non-optimized, standby."""

ALUA = """
[array.alua]
explicit = true
non_optimized_latency = "1ms"
groups = [
    { id = 1, portals = ["192.168.51.2"], preferred = true },
    { id = 2, portals = ["192.168.51.3"], state = "active-non-optimized" },
    { id = 3, portals = ["192.168.51.4"], state = "standby" },
]
"""


def at(served: Served, portal: str) -> str:
    """The volume through one of the portals."""
    return served.url().replace(GROUP, portal)


def test_the_tools_are_told_the_port_and_its_group(serve: Serve, require: Require) -> None:
    served = serve(options=ALUA)
    for portal in (FAST, SLOW):
        page = run(require("iscsi-inq"), "-e", "1", "-c", "131", at(served, portal))
        assert page.returncode == 0, page
        kinds = [line.partition(") ")[2] for line in page.stdout.splitlines() if line.startswith("Designator Type")]
        assert {"TARGET_PORT_GROUP", "RELATIVE_TARGET_PORT", "NAA"} <= set(kinds)


def test_a_portal_in_standby_is_not_ready_until_its_group_is_active(serve: Serve, require: Require) -> None:
    """libiscsi asks whether the unit is ready as part of its login, and tells the sense when it is not."""
    served, tool = serve(options=ALUA), require("iscsi-readcapacity16")
    closed = run(tool, at(served, CLOSED))
    assert "NOT READY(2)" in closed.stderr
    assert "0x040b" in closed.stderr
    for state, code in (("unavailable", "0x040c"), ("transitioning", "0x040a"), ("offline", "0x0412")):
        assert served.mpiolab("ctl", "access-state", "3", state).returncode == 0
        assert code in run(tool, at(served, CLOSED)).stderr
    done = served.mpiolab("ctl", "access-state", "3", "active-non-optimized", "--volume", "exchange-logs")
    assert done.stdout == "volume exchange-logs: port group 3 is active-non-optimized (by the operator)\n"
    opened = run(tool, at(served, CLOSED))
    assert opened.returncode == 0, opened
    assert f"Total size:{64 << 20}" in opened.stdout
    assert [group["state"] for group in served.status()["volumes"][0]["port_groups"]] == [
        "active-optimized",
        "active-non-optimized",
        "active-non-optimized",
    ]


def test_many_reads_at_once_through_the_slower_group(serve: Serve, require: Require) -> None:
    """With 16 at a time, each a millisecond later, there are at most 16,000 a second."""
    timeout, tool, served = require("timeout"), require("iscsi-perf"), serve(options=ALUA)
    reads = run(timeout, "-k", "1", "10", tool, "-r", "-m", "16", "-b", "8", "-t", "1", at(served, SLOW))
    assert reads.returncode == 0, reads
    assert "finished" in reads.stdout
    traffic = {portal["address"]: portal["totals"]["reads"] for portal in served.status()["portals"]}
    assert 100 < traffic[SLOW] <= 2 * 16_000


def test_the_conformance_suite_finds_nothing_wrong_with_answers_that_come_later(serve: Serve) -> None:
    """The whole family over two paths of the slower group; what it prints on the way is docs/conformance.md's."""
    served = serve(options=ALUA.replace("standby", "active-non-optimized"))
    ended = run_tool("ALL", [at(served, SLOW), at(served, CLOSED)], limit_s=240)
    assert ended.outcome in (Outcome.PASSED, Outcome.COMPLAINED, Outcome.SKIPPED), ended.output
    assert re.search(r"^ +tests +(\d+) +\1 +\1 +0 ", ended.output, re.MULTILINE), ended.output
