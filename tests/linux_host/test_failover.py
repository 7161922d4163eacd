"""Paths are lost while the host writes: no write fails, and each block reads back as it was last written.

How long a write waits is the sum of the host's timers, which is the bound here; what was measured is in
docs/linux-host.md. The upper bounds leave room for a slow machine, the lower ones show that something was lost at all.
"""

from __future__ import annotations

import pytest

from tests.linux_host.array import GROUP
from tests.linux_host.guest import NICS
from tests.linux_host.host import DEFAULT_TIMERS, FAST_TIMERS, Timers, wait_until
from tests.linux_host.lab import Lab
from tests.linux_host.test_connecting import all_is_well

pytestmark = [pytest.mark.linux_host, pytest.mark.timeout(600)]

SLACK_S = 20.0
"""What a write may wait beyond the timers."""


@pytest.mark.parametrize("timers", [DEFAULT_TIMERS, FAST_TIMERS], ids=["default timers", "fast timers"])
def test_a_cable_is_pulled(lab: Lab, timers: Timers, record_property: pytest.RecordProperty) -> None:
    lab.connect(timers)
    lab.host.start_writing()
    lab.network.cable(0, plugged=False)
    lab.host.wait_for_paths(1)
    lab.host.wait_for_writes(100)
    lab.network.cable(0, plugged=True)
    lab.host.wait_for_paths(2)
    lab.host.wait_for_writes(50)
    written = lab.host.stop_writing()
    all_is_well(written)
    print(written)
    assert timers.noop_timeout < written.longest_s < timers.total_s + SLACK_S


def test_a_redirect_to_a_dead_portal(lab: Lab) -> None:
    """The group sends the host where nobody answers; it comes back to the group again and again until somebody does.

    Meanwhile it writes over the other path.
    """
    lab.connect(FAST_TIMERS)
    dead = lab.host.portal_of("eth0")
    assert dead is not None
    before = len(lab.array.said())
    lab.host.start_writing()
    lab.network.remove_address(dead)  # and the array does not know
    wait_until(lambda: lab.array.redirected(before).count((NICS[0], GROUP, dead)) >= 2, "two redirects to nobody")
    assert lab.host.ready_paths() == 1
    lab.host.wait_for_writes(100)
    lab.network.add_address(dead)
    lab.host.wait_for_paths(2)
    assert lab.host.portal_of("eth0") == dead
    lab.host.wait_for_writes(50)
    all_is_well(lab.host.stop_writing())
    assert (NICS[0], GROUP) in {(source, asked) for source, asked, _ in lab.array.redirected(before)}
    assert len(lab.array.redirected(before)) < 40, "the host went round and round"


@pytest.mark.parametrize("politely", [True, False], ids=["stopped", "killed"])
def test_the_array_is_restarted(lab: Lab, politely: bool) -> None:
    """It keeps the volume in a file; while it is away the host's writes wait."""
    lab.connect()
    lab.host.start_writing()
    lab.array.stop(politely=politely)
    lab.array.start()
    lab.host.wait_for_paths(2)
    lab.host.wait_for_writes(100)
    written = lab.host.stop_writing()
    print(written)
    all_is_well(written)
    assert lab.host.sessions()[0].state == "LOGGED IN"
