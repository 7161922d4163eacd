"""How long a run waits for one I/O: longer than the modeled host does, and not for ever."""

from __future__ import annotations

from harness.patience import longest_io_ns
from initiator_model.profiles import profile_named
from initiator_model.timers import SECOND_NS
from initiator_model.timers.microsoft import MicrosoftTimers
from tests.support.runs import LOGINS, NICS, run, two_paths, workload


def test_every_retry_and_every_timer_is_in_it() -> None:
    timers = profile_named("ms-iscsi-2.07").timers
    attempt_s = 75 + 15 + 60  # request time-out, unanswered abort, the longer of the two holds
    assert longest_io_ns(timers) == ((8 + 1) * (attempt_s + 3 * 1 + 1) + 20) * SECOND_NS


def test_shorter_timers_make_it_shorter() -> None:
    assert longest_io_ns(MicrosoftTimers(class_retry_count=0)) < longest_io_ns(MicrosoftTimers())
    assert longest_io_ns(MicrosoftTimers(disk_timeout_ns=SECOND_NS)) < longest_io_ns(MicrosoftTimers())


def test_a_run_waits_for_io_that_the_host_still_retries() -> None:
    """A target that is silent until the last of the class driver's retries, and then answers."""
    cut = [{"do": "fault", "kind": "blackhole", "nic": nic} for nic in NICS[:2]]
    heal = [{"do": "heal", "name": f"blackhole {nic}"} for nic in NICS[:2]]
    timers = {"link_down_time": "1h", "pdo_remove_period": "1h", "disk_timeout": "5s", "class_retry_count": 8}
    steps = [workload("background", background=True), *cut, {"do": "wait", "duration": "20s"}, *heal]
    result = run(two_paths(*LOGINS, *steps, {"do": "stop", "name": "background"}, timers=timers))
    assert not result.failures
