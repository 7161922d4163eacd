"""Paths are lost while the host writes: no write fails, and each block reads back as it was last written.

How long a write waits follows from the host's timers. The upper bounds leave room for a slow machine, the lower ones
show that something was lost at all; the run ends with a table of the longest waits, and docs/linux-host.md has what was
measured. Tests with the same timers stand together: other timers want another login.
"""

from __future__ import annotations

import pytest

from tests.linux_host.array import GROUP, PORTALS, Login
from tests.linux_host.guest import NICS
from tests.linux_host.host import DEFAULT_TIMERS, FAST_TIMERS, Timers, Written, all_is_well, wait_until
from tests.linux_host.lab import Lab

pytestmark = [pytest.mark.linux_host, pytest.mark.timeout(600)]

SLACK_S = 20.0
"""What a write may wait beyond the timers."""

LOGOUT_S = 5
"""iscsid waits for two seconds between logout and login; multipathd looks at its paths every two to four seconds."""


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


def test_a_portal_disappears(lab: Lab) -> None:
    """The session goes back to the group address, which sends it elsewhere; it stays the same session and path."""
    lab.connect()
    lost, sessions = lab.host.portal_of("eth0"), lab.host.session_numbers()
    assert lost is not None
    before = lab.array.now
    lab.host.start_writing()
    lab.network.remove_address(lost)
    lab.array.ctl("portal", "down", lost)
    wait_until(lambda: lab.host.portal_of("eth0") not in (None, lost), "eth0 is at another portal")
    lab.host.wait_for_paths(2)
    lab.host.wait_for_writes(100)
    written = stop_writing(lab, "portal lost, default timers", DEFAULT_TIMERS.total_s)
    assert written.longest_s > DEFAULT_TIMERS.noop_timeout
    assert lab.host.session_numbers() == sessions
    assert lab.array.redirected(before) == [Login(NICS[0], GROUP, lab.host.portal_of("eth0"))]


def test_paths_are_rebalanced_by_asking_for_a_logout(lab: Lab) -> None:
    """Both paths are driven to one portal, then the balancer moves one of them away: the host follows each time."""
    lab.connect()
    crowded = lab.host.portal_of("eth1")
    assert crowded is not None
    others = [portal for portal in PORTALS if portal != crowded]
    sessions = lab.host.session_numbers()
    lab.host.start_writing()

    for portal in others:
        lab.array.ctl("drain", portal)
    wait_until(lambda: lab.host.portals() == [crowded] * 2, "both paths are at one portal")
    for portal in others:
        lab.array.ctl("undrain", portal)
    lab.host.wait_for_paths(2)
    lab.host.wait_for_writes(100)

    before = lab.array.now
    lab.array.ctl("rebalance")
    (move,) = lab.array.events("move", since=before)
    wait_until(lambda: len(set(lab.host.portals())) == 2, "the paths are at two portals")
    lab.host.wait_for_paths(2)
    lab.host.wait_for_writes(100)
    stop_writing(lab, "moved by async logout twice", LOGOUT_S)
    assert move["arrived_at"] == crowded
    assert len(lab.array.logouts(before)) == 1
    assert [(login.source, login.arrived_at) for login in lab.array.redirected(before)] == [(move["source"], GROUP)]
    assert lab.host.session_numbers() == sessions


@pytest.mark.parametrize("politely", [True, False], ids=["stopped", "killed"])
def test_the_array_is_restarted(lab: Lab, politely: bool) -> None:
    """It keeps the volume in a file. While it is away the host's writes wait; both sessions come back by themselves.

    Stopped, it first asks the host to log out, which the host does.
    """
    lab.connect()
    lab.host.start_writing()
    before = lab.array.now
    lab.array.stop(politely=politely)
    assert len(lab.array.logouts(before)) == (len(NICS) if politely else 0)
    lab.array.start()
    lab.host.wait_for_paths(2)
    lab.host.wait_for_writes(100)
    stop_writing(lab, f"array {'stopped' if politely else 'killed'} and started", DEFAULT_TIMERS.total_s)
    assert {login.source for login in lab.array.redirected(before)} == set(NICS)


def test_a_cable_is_pulled_with_fast_timers(lab: Lab) -> None:
    pull_a_cable(lab, FAST_TIMERS, "fast timers")


def test_the_group_redirects_to_a_portal_that_is_dead(lab: Lab) -> None:
    """The host comes back to the group again and again until the portal lives. It writes over the other path."""
    lab.connect(FAST_TIMERS)
    dead = lab.host.portal_of("eth0")
    assert dead is not None
    before = lab.array.now
    lab.host.start_writing()
    lab.network.remove_address(dead)  # and the array does not know
    sent_nowhere(lab, dead, before)
    lab.network.add_address(dead)
    lab.host.wait_for_paths(2)
    assert lab.host.portal_of("eth0") == dead
    lab.host.wait_for_writes(50)
    stop_writing(lab, "redirected to a portal that comes back, fast timers", FAST_TIMERS.total_s)
    assert len(lab.array.redirected(before)) < MANY


def test_the_group_redirects_to_nobody_until_it_redirects_elsewhere(lab: Lab) -> None:
    """As above, but the group has a change of mind."""
    lab.connect(FAST_TIMERS)
    before = lab.array.now
    lab.host.start_writing()
    lab.array.ctl("fault", "on", "redirect-to-dead", "--to", NOBODY)
    portal = lab.host.portal_of("eth0")
    assert portal is not None
    lab.array.ctl("drain", portal)  # it logs out, and asks the group where to go
    sent_nowhere(lab, NOBODY, before)
    lab.array.ctl("fault", "off", "redirect-to-dead")
    lab.host.wait_for_paths(2)
    assert lab.host.portal_of("eth0") not in (None, portal)
    lab.host.wait_for_writes(50)
    stop_writing(lab, "redirected to nobody, then elsewhere, fast timers", FAST_TIMERS.total_s)
    assert len(lab.array.redirected(before)) < MANY


NOBODY = "192.168.51.9"

MANY = 40
"""Redirects in a minute or so: the host goes round and round."""


def sent_nowhere(lab: Lab, dead: str, since: int) -> None:
    """Until eth0 was sent there twice, and has lost its path meanwhile; the other one carries on."""
    redirect = Login(NICS[0], GROUP, dead)
    wait_until(lambda: lab.array.redirected(since).count(redirect) >= 2, f"two redirects to {dead}")
    lab.host.wait_for_paths(1)
    lab.host.wait_for_writes(100)
