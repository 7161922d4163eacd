"""The waits of a connection: login, signs of life, logout."""

from __future__ import annotations

from target.config import Limits
from target.liveness import Due, Liveness

SECOND = 1_000_000_000
LIMITS = Limits(login_timeout_s=15, nop_interval_s=20, nop_timeout_s=5)


def test_a_login_has_its_time() -> None:
    waits = Liveness(LIMITS, 100 * SECOND)
    assert waits.deadline_ns == 115 * SECOND
    assert waits.tick(114 * SECOND) is Due.NOTHING
    assert waits.tick(115 * SECOND) is Due.CLOSE
    assert waits.why == "no login within 15 s"
    assert waits.deadline_ns is None


def test_silence_is_answered_by_a_ping_and_more_silence_by_the_end() -> None:
    waits = Liveness(LIMITS, 0)
    waits.logged_in()
    assert waits.tick(20 * SECOND) is Due.PING
    assert waits.deadline_ns == 25 * SECOND
    assert waits.tick(25 * SECOND) is Due.ABANDON
    assert waits.why == "silent for 25 s"


def test_any_word_is_a_sign_of_life() -> None:
    waits = Liveness(LIMITS, 0)
    waits.logged_in()
    assert waits.tick(20 * SECOND) is Due.PING
    waits.last_heard_ns, waits.pinged_ns = 22 * SECOND, None
    assert waits.tick(25 * SECOND) is Due.NOTHING
    assert waits.deadline_ns == 42 * SECOND


def test_without_pings_nothing_is_waited_for() -> None:
    waits = Liveness(Limits(nop_interval_s=0), 0)
    waits.logged_in()
    assert waits.deadline_ns is None


def test_a_logout_that_was_asked_for_has_its_time_with_and_without_pings() -> None:
    for limits in (LIMITS, Limits(nop_interval_s=0)):
        waits = Liveness(limits, 0)
        waits.logged_in()
        waits.logout_requested(10, 0)
        assert waits.deadline_ns == 10 * SECOND
        assert waits.tick(10 * SECOND) is Due.DISMISS


def test_the_time_for_a_logout_begins_when_it_is_asked_for_however_long_nothing_was_heard() -> None:
    waits = Liveness(LIMITS, 0)
    waits.logged_in()
    waits.logout_requested(10, 15 * SECOND)
    assert waits.tick(24 * SECOND) is Due.PING
    assert waits.tick(25 * SECOND) is Due.DISMISS
