"""The stall a lost path must cause, from the timers alone."""

import pytest

from initiator_model.profiles import SECOND_NS, profile_named
from initiator_model.stalls import StallCause, expected_stall_ns, stall_bounds

PROFILE = profile_named("ms-iscsi-2.07")


@pytest.mark.parametrize(
    ("cause", "least_s", "most_s"),
    [
        (StallCause.CARRIER_LOST, 15, 15),
        (StallCause.FIN_OR_RST, 15, 15),
        (StallCause.SILENT_NOP_ON, 20, 25),
        (StallCause.SILENT_NOP_OFF, 90, 90),
    ],
)
def test_default_timers(cause: StallCause, least_s: int, most_s: int) -> None:
    assert stall_bounds(PROFILE, cause) == (least_s * SECOND_NS, most_s * SECOND_NS)
    assert expected_stall_ns(PROFILE, cause) == most_s * SECOND_NS


def test_a_reconnect_ends_the_hold_early() -> None:
    assert expected_stall_ns(PROFILE, StallCause.FIN_OR_RST, reconnects=True) == (5 + 1) * SECOND_NS
    patient = PROFILE.with_timers({"delay_between_reconnect": 60 * SECOND_NS})
    assert expected_stall_ns(patient, StallCause.FIN_OR_RST, reconnects=True) == 15 * SECOND_NS


def test_tcp_may_give_up_before_the_request_does() -> None:
    stall_ns = expected_stall_ns(PROFILE, StallCause.SILENT_NOP_OFF, tcp_give_up_ns=20 * SECOND_NS)
    assert stall_ns == 35 * SECOND_NS
    assert expected_stall_ns(PROFILE, StallCause.SILENT_NOP_OFF, tcp_give_up_ns=200 * SECOND_NS) == 90 * SECOND_NS


def test_every_timer_of_the_chain_counts() -> None:
    longer = PROFILE.with_timers({"link_down_time": 35 * SECOND_NS, "srb_timeout_delta": 20 * SECOND_NS})
    assert expected_stall_ns(longer, StallCause.SILENT_NOP_OFF) == (60 + 20 + 35) * SECOND_NS
