"""From a fault to what the host notices of it, and so to the stall its timers allow."""

from __future__ import annotations

from typing import Any

import pytest

from harness.load import scenario_from
from harness.stall_causes import StallCauses, tcp_give_up_ns, tcp_option_bytes
from initiator_model.profiles import Profile, profile_named
from initiator_model.timers import SECOND_NS
from sim.net.segment import TIMESTAMP_OPTION_BYTES
from sim.net.tcp_profiles import profile as tcp_profile
from tests.support.runs import NICS, PORTALS, Tables, two_paths

W2K3 = profile_named("ms-iscsi-2.07")


def stall_s(fault: Tables, profile: Profile = W2K3, **array: Any) -> float | None:
    causes = StallCauses(scenario_from(two_paths({"do": "fault", "name": "it", **fault}, **array)))
    expected_ns = causes.expected_stall_ns("it", profile)
    return None if expected_ns is None else expected_ns / SECOND_NS


LINK_DOWN_TIME_S = 15.0


def test_a_pulled_cable_is_seen_at_once() -> None:
    assert stall_s({"kind": "link_down", "nic": NICS[0]}) == LINK_DOWN_TIME_S


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "array_kill"},
        {"kind": "latency", "nic": NICS[0], "extra": "1ms"},
        {"kind": "rate", "nic": NICS[0], "rate": "100Mbit"},
        {"kind": "loss", "nic": NICS[0], "share": 0.1},
        {"kind": "reorder", "nic": NICS[0], "share": 0.1, "delay": "1ms"},
        {"kind": "jitter", "nic": NICS[0], "extra": "1ms"},
        {"kind": "corrupt", "nic": NICS[0], "share": 0.1},
        {"kind": "queue_limit", "nic": NICS[0], "limit": "10KB"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_the_timers_say_nothing_where_no_path_is_left_or_none_is_lost(fault: Tables) -> None:
    assert stall_s(fault) is None


def test_a_silent_loss_takes_as_long_as_tcp_does() -> None:
    tcp_s = tcp_give_up_ns(tcp_profile(W2K3.tcp_profile)) / SECOND_NS
    for fault in (
        {"kind": "blackhole", "nic": NICS[0]},
        {"kind": "blackhole", "nic": NICS[0], "direction": "in"},
        {"kind": "clog", "nic": NICS[0]},
        {"kind": "link_down", "nic": NICS[0], "carrier": True},
    ):
        assert stall_s(fault) == tcp_s + LINK_DOWN_TIME_S


def test_with_nop_out_silence_is_noticed_sooner() -> None:
    pinging = W2K3.with_timers({"enable_nop_out": 1, "nop_out_interval": SECOND_NS, "nop_out_timeout": SECOND_NS})
    assert stall_s({"kind": "blackhole", "nic": NICS[0]}, pinging) == 2.0 + LINK_DOWN_TIME_S


def test_a_lost_portal_is_replaced_by_the_redirect_and_the_hold_ends_early() -> None:
    pinging = W2K3.with_timers({"enable_nop_out": 1, "nop_out_interval": SECOND_NS, "nop_out_timeout": SECOND_NS})
    reconnect_s = 5.0 + 1.0  # DelayBetweenReconnect, then RetryInterval for the new nexus's unit attention
    for kind in ("portal_down", "link_down"):
        assert stall_s({"kind": kind, "portal": PORTALS[0]}, pinging) == 2.0 + reconnect_s


def test_an_array_that_lists_its_portals_redirects_nobody() -> None:
    tables = two_paths({"do": "fault", "name": "it", "kind": "portal_down", "portal": PORTALS[0]}, kind="listed")
    del tables["array"]["group"]
    pinging = W2K3.with_timers({"enable_nop_out": 1, "nop_out_interval": SECOND_NS, "nop_out_timeout": SECOND_NS})
    expected_ns = StallCauses(scenario_from(tables)).expected_stall_ns("it", pinging)
    assert expected_ns == (2.0 + LINK_DOWN_TIME_S) * SECOND_NS


def test_what_no_fault_explains_has_no_expectation() -> None:
    causes = StallCauses(scenario_from(two_paths({"do": "discover"})))
    assert causes.expected_stall_ns("no fault of the scenario", W2K3) is None


@pytest.mark.parametrize("name", ["windows-2003", "windows-2012", "linux"])
def test_tcp_gives_up_after_its_retransmissions_each_twice_as_late(name: str) -> None:
    tcp = tcp_profile(name)
    timers = [min(tcp.min_rto_ns << step, tcp.max_rto_ns) for step in range(tcp.data_retries + 1)]
    assert tcp_give_up_ns(tcp) == sum(timers)


@pytest.mark.parametrize("host", ["ms-iscsi-2.07", "msdsm-2008"])
def test_timestamps_cost_their_bytes_where_the_host_offers_them(host: str) -> None:
    profile = profile_named(host)
    offers = tcp_profile(profile.tcp_profile).timestamps
    assert tcp_option_bytes(profile) == (TIMESTAMP_OPTION_BYTES if offers else 0)
