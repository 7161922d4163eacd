"""The stall a lost path must cause, from the timers alone."""

import pytest

from initiator_model.profiles import profile_named
from initiator_model.stalls import StallCause, expected_stall_ns, stall_bounds
from initiator_model.timers import SECOND_NS

PROFILE = profile_named("ms-iscsi-2.07")


@pytest.mark.parametrize(
    ("cause", "least_s", "most_s"),
    [
        (StallCause.CARRIER_LOST, 15, 15),
        (StallCause.FIN_OR_RST, 15, 15),
        (StallCause.SILENT_PINGED, 20, 25),
        (StallCause.SILENT, 90, 90),
    ],
)
def test_default_timers(cause: StallCause, least_s: int, most_s: int) -> None:
    profile = PROFILE.with_timers({"enable_nop_out": 1}) if cause is StallCause.SILENT_PINGED else PROFILE
    assert stall_bounds(profile, cause) == (least_s * SECOND_NS, most_s * SECOND_NS)
    assert expected_stall_ns(profile, cause) == most_s * SECOND_NS


def test_the_chain_of_linux() -> None:
    """Ping, its answer, and fast_io_fail_tmo; a reconnect waits for Time2Wait, and its retry for nothing."""
    linux = profile_named("linux-dm-multipath")
    assert stall_bounds(linux, StallCause.SILENT_PINGED) == (10 * SECOND_NS, 15 * SECOND_NS)
    alone = linux.with_timers({"fast_io_fail_tmo": 0})
    assert expected_stall_ns(alone, StallCause.SILENT_PINGED) == 130 * SECOND_NS
    assert expected_stall_ns(linux, StallCause.SILENT_PINGED, reconnects=True, time2wait_s=2) == 12 * SECOND_NS


def test_a_reconnect_ends_the_hold_early() -> None:
    assert expected_stall_ns(PROFILE, StallCause.FIN_OR_RST, reconnects=True) == (5 + 1) * SECOND_NS
    patient = PROFILE.with_timers({"delay_between_reconnect": 60 * SECOND_NS})
    assert expected_stall_ns(patient, StallCause.FIN_OR_RST, reconnects=True) == 15 * SECOND_NS


def test_tcp_may_give_up_before_the_request_does() -> None:
    stall_ns = expected_stall_ns(PROFILE, StallCause.SILENT, tcp_give_up_ns=20 * SECOND_NS)
    assert stall_ns == 35 * SECOND_NS
    assert expected_stall_ns(PROFILE, StallCause.SILENT, tcp_give_up_ns=200 * SECOND_NS) == 90 * SECOND_NS


def test_every_timer_of_the_chain_counts() -> None:
    longer = PROFILE.with_timers({"link_down_time": 35 * SECOND_NS, "srb_timeout_delta": 20 * SECOND_NS})
    assert expected_stall_ns(longer, StallCause.SILENT) == (60 + 20 + 35) * SECOND_NS
