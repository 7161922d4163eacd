"""Paths are lost while the host writes: no write fails, and each block reads back as it was last written.

How long a write waits follows from the host's timers. The upper bounds leave room for a slow machine, the lower ones
show that something was lost at all; the run ends with a table of the longest waits, and docs/linux-host.md has what was
measured. Tests with the same timers stand together: other timers want another login.
"""

from __future__ import annotations

import pytest

from tests.linux_host.array import GROUP
from tests.linux_host.guest import NICS
from tests.linux_host.host import DEFAULT_TIMERS, FAST_TIMERS, Timers, Written, all_is_well, wait_until
from tests.linux_host.lab import Lab

pytestmark = [pytest.mark.linux_host, pytest.mark.timeout(600)]

SLACK_S = 20.0
"""What a write may wait beyond the timers."""


def stop_writing(lab: Lab, what: str, at_most_s: float) -> Written:
    """The writer's result, once it is sure that nothing was lost and nobody waited too long."""
    written = lab.host.stop_writing()
    lab.note_wait(what, written)
    all_is_well(written)
    assert written.longest_s < at_most_s + SLACK_S
    return written


def pull_a_cable(lab: Lab, timers: Timers, what: str) -> None:
    lab.connect(timers)
    lab.host.start_writing()
    lab.network.cable(0, plugged=False)
    lab.host.wait_for_paths(1)
    lab.host.wait_for_writes(100)
    lab.network.cable(0, plugged=True)
    lab.host.wait_for_paths(2)
    lab.host.wait_for_writes(50)
    written = stop_writing(lab, f"cable pulled, {what}", timers.total_s)
    # Somebody waited for an answer to the ping, and then for the path to be given up.
    assert written.longest_s > timers.noop_timeout + timers.fast_io_fail


def test_a_cable_is_pulled_with_default_timers(lab: Lab) -> None:
    pull_a_cable(lab, DEFAULT_TIMERS, "default timers")


@pytest.mark.parametrize("politely", [True, False], ids=["stopped", "killed"])
def test_the_array_is_restarted(lab: Lab, politely: bool) -> None:
    """It keeps the volume in a file. While it is away the host's writes wait; both sessions come back by themselves.

    Stopped, it first asks the host to log out, which the host does.
    """
    lab.connect()
    lab.host.start_writing()
    before = len(lab.array.said())
    lab.array.stop(politely=politely)
    goodbyes = [line for line in lab.array.said()[before:] if line.endswith(": logout")]
    assert len(goodbyes) == (len(NICS) if politely else 0)
    lab.array.start()
    lab.host.wait_for_paths(2)
    lab.host.wait_for_writes(100)
    stop_writing(lab, f"array {'stopped' if politely else 'killed'} and started", DEFAULT_TIMERS.total_s)
    assert {source for source, _, _ in lab.array.redirected(before)} == set(NICS)


def test_a_cable_is_pulled_with_fast_timers(lab: Lab) -> None:
    pull_a_cable(lab, FAST_TIMERS, "fast timers")


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
    stop_writing(lab, "redirected to a dead portal, fast timers", FAST_TIMERS.total_s)
    assert len(lab.array.redirected(before)) < 40, "the host goes round and round"
