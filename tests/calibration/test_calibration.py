"""The modeled Linux host does what the real one did, to within 10 % or a second, and docs/calibration.md says so."""

from __future__ import annotations

import pytest

from initiator_model.path_checker import TICK_S
from initiator_model.stalls import StallCause, expected_stall_ns
from initiator_model.timers import SECOND_NS
from tests.calibration.page import PAGE, page
from tests.calibration.rows import GUEST_LOGIN_S, ROWS, Row, login_s, run_row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_timers_alone_give_what_was_measured(row: Row) -> None:
    high = row.measured_s[1]
    assert abs(row.derived_s - high) <= max(1.0, 0.1 * high)


@pytest.mark.parametrize("row", ROWS[:-1], ids=lambda row: row.name)
def test_the_terms_are_what_the_profile_says(row: Row) -> None:
    """Only the login of the slow guest is no timer of the profile."""
    reconnects = row.fault["kind"] == "portal_down"
    ns = expected_stall_ns(row.profile, StallCause.SILENT_PINGED, reconnects=reconnects, time2wait_s=2)
    assert row.derived_s == ns / SECOND_NS + (GUEST_LOGIN_S if reconnects else 0)


def test_the_terms_of_a_return_are_what_the_profile_says() -> None:
    timers = ROWS[-1].profile.timers
    seconds = (timers.reconnect_after_refusal_ns + timers.recovery_ns) / SECOND_NS
    assert ROWS[-1].derived_s == seconds + GUEST_LOGIN_S + TICK_S


def test_the_guests_slowness_is_given_to_the_network_by_its_logins() -> None:
    assert login_s() == pytest.approx(GUEST_LOGIN_S, rel=0.02)


def test_every_row_agrees_and_the_page_holds_what_came_out() -> None:
    outcomes = [run_row(row) for row in ROWS]
    assert [one.row.name for one in outcomes if not one.agrees] == []
    assert PAGE.read_text(encoding="utf-8") == page(outcomes, login_s()), "make calibration writes it anew"
