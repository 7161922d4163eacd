"""The failover recorder: how long I/O stood still, measured where the application feels it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.failovers import NO_FAULT, FailoverRecorder
from harness.result import Failover

MS = 1_000_000
SECOND = 1_000_000_000


@dataclass
class Story:
    """A recorder and a clock that stands where the test puts it."""

    now_ns: int = 0
    recorder: FailoverRecorder = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = FailoverRecorder(lambda: self.now_ns)

    def at(self, seconds: float) -> FailoverRecorder:
        self.now_ns = round(seconds * SECOND)
        return self.recorder

    @property
    def only(self) -> Failover:
        (failover,) = self.recorder.failovers()
        return failover


@pytest.fixture
def story() -> Story:
    """A host with I/O under way whose last completion was at 1 s."""
    story = Story()
    story.at(0).busy("w2k3")
    story.at(1).completed("w2k3")
    return story


def test_the_stall_lasts_from_the_fault_to_the_first_completion_after_the_path_was_given_up(story: Story) -> None:
    story.at(2).fault("cable")
    story.at(2).session_lost("w2k3", "10.0.0.1")
    story.at(17).path_failed("w2k3", "10.0.0.1")
    story.at(17.25).completed("w2k3")

    assert story.only == Failover(
        host="w2k3",
        path="10.0.0.1",
        cause="cable",
        fault_at_s=2.0,
        detected_at_s=2.0,
        resumed_at_s=17.25,
        stall_s=15.25,
    )


def test_what_the_other_path_completes_at_first_does_not_hide_the_stall(story: Story) -> None:
    """Under Round Robin the queue drains over the good path until every slot waits for the bad one."""
    story.at(2).fault("cable")
    story.at(2).session_lost("w2k3", "10.0.0.1")
    story.at(2.5).completed("w2k3")
    story.at(17).path_failed("w2k3", "10.0.0.1")
    story.at(17.5).completed("w2k3")

    assert (story.only.detected_at_s, story.only.stall_s) == (2.0, 15.0)


def test_a_host_that_asked_for_nothing_did_not_stall(story: Story) -> None:
    story.at(1.5).idle("w2k3")
    story.at(2).fault("cable")
    story.at(2).session_lost("w2k3", "10.0.0.1")
    story.at(17).path_failed("w2k3", "10.0.0.1")
    story.at(60).busy("w2k3")
    story.at(60.001).completed("w2k3")

    assert story.only.stall_s == pytest.approx(0.001)
    assert story.only.resumed_at_s == 60.001


def test_of_two_workloads_the_busy_one_counts(story: Story) -> None:
    """One that ends in the middle of the stall takes nothing away from the other."""
    story.at(1).busy("w2k3")
    story.at(2).fault("cable")
    story.at(2).session_lost("w2k3", "10.0.0.1")
    story.at(5).idle("w2k3")
    story.at(6).busy("w2k3")
    story.at(17).path_failed("w2k3", "10.0.0.1")
    story.at(18).completed("w2k3")

    assert story.only.stall_s == 16.0


def test_a_session_that_is_back_in_time_ends_the_stall_without_a_failover(story: Story) -> None:
    story.at(2).fault("portal")
    story.at(3).session_lost("w2k3", "10.0.0.1")
    story.at(8).session_back("w2k3", "10.0.0.1")
    story.at(8.5).completed("w2k3")

    assert (story.only.detected_at_s, story.only.stall_s) == (3.0, 6.5)


def test_io_that_never_comes_back_leaves_the_stall_open(story: Story) -> None:
    story.at(2).fault("cable")
    story.at(2).session_lost("w2k3", "10.0.0.1")
    story.at(17).path_failed("w2k3", "10.0.0.1")

    assert (story.only.resumed_at_s, story.only.stall_s) == (None, None)


def test_a_path_lost_twice_before_io_resumes_is_two_losses_and_both_resume(story: Story) -> None:
    story.at(2).fault("cable")
    for second in (2, 20):
        story.at(second).session_lost("w2k3", "10.0.0.1")
        story.at(second + 15).path_failed("w2k3", "10.0.0.1")
    story.at(36).completed("w2k3")

    first, second_loss = story.recorder.failovers()
    assert first.resumed_at_s == second_loss.resumed_at_s == 36.0
    assert first.stall_s == second_loss.stall_s == 34.0


def test_two_sessions_from_one_address_are_one_loss(story: Story) -> None:
    """Two volumes over one NIC: the cable is pulled once."""
    story.at(2).fault("cable")
    for _ in range(2):
        story.at(2).session_lost("w2k3", "10.0.0.1")
    for _ in range(2):
        story.at(17).path_failed("w2k3", "10.0.0.1")
    story.at(18).completed("w2k3")

    assert story.only.detected_at_s == 2.0


def test_another_host_is_another_story(story: Story) -> None:
    story.at(2).fault("cable")
    story.at(2).session_lost("w2k3", "10.0.0.1")
    story.at(17).path_failed("w2k3", "10.0.0.1")
    story.at(17.5).completed("bystander")

    assert story.only.resumed_at_s is None


def test_a_loss_before_anything_was_broken_says_so(story: Story) -> None:
    story.at(2).path_failed("w2k3", "10.0.0.1")
    story.at(2.5).completed("w2k3")

    assert (story.only.cause, story.only.fault_at_s) == (NO_FAULT, 2.0)


def test_a_fault_elsewhere_is_not_blamed() -> None:
    story = Story()
    story.at(1).fault("cable of A", ("192.168.50.105",))
    story.at(2).fault("cable of another host", ("192.168.50.40",))
    story.at(3).session_lost("w2k3", "192.168.50.105", "192.168.51.2")
    story.at(3).path_failed("w2k3", "192.168.50.105")
    (failover,) = story.recorder.failovers()
    assert (failover.cause, failover.fault_at_s) == ("cable of A", 1)


def test_a_fault_of_the_portal_is_blamed_too() -> None:
    story = Story()
    story.at(1).fault("portal .2", ("192.168.51.2",))
    story.at(3).session_lost("w2k3", "192.168.50.105", "192.168.51.2")
    story.at(3).path_failed("w2k3", "192.168.50.105")
    (failover,) = story.recorder.failovers()
    assert failover.cause == "portal .2"
