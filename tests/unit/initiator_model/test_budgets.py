"""How often a logical I/O can be tried at most, worked out from the stack's own timers."""

from __future__ import annotations

import pytest

from initiator_model.budgets import ATTEMPTS_MAX, CHANGES_MAX, attempts_limit
from initiator_model.profiles import PROFILES
from initiator_model.timers.linux import LinuxTimers


def test_a_command_that_is_put_off_is_tried_again_as_long_as_the_stack_waits() -> None:
    timers = LinuxTimers()
    put_off = timers.requeue_patience_ns // timers.requeue_ns
    assert put_off > 10_000  # every three milliseconds for minutes
    assert attempts_limit(timers) == ATTEMPTS_MAX * (1 + put_off) + CHANGES_MAX


@pytest.mark.parametrize("name", PROFILES)
def test_every_stack_has_a_limit(name: str) -> None:
    assert attempts_limit(PROFILES[name].timers) >= ATTEMPTS_MAX + CHANGES_MAX
