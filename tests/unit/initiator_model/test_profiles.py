"""Profiles carry Microsoft's numbers, and say so when asked for a timer that does not exist."""

import pytest

from initiator_model.policies import LoadBalancePolicy
from initiator_model.profiles import PROFILES, SECOND_NS, OfferedKeys, Timers, profile_named


def test_the_two_hosts_differ_in_what_a_disk_starts_with() -> None:
    assert {name: profile.default_policy().display for name, profile in PROFILES.items()} == {
        "ms-iscsi-2.07": "Fail Over Only",
        "msdsm-2008": "Round Robin",
    }
    assert profile_named("ms-iscsi-2.07").tcp_profile == "windows-2003"
    assert profile_named("msdsm-2008").tcp_profile == "windows-2012"


def test_every_host_starts_with_fail_over_only_on_an_array_that_is_not_symmetric() -> None:
    for profile in PROFILES.values():
        assert profile.default_policy(symmetric=False) is LoadBalancePolicy.FAIL_OVER_ONLY


def test_registry_defaults() -> None:
    timers = Timers()
    assert timers.pdo_remove_period_ns == 20 * SECOND_NS
    assert (timers.retry_count, timers.retry_interval_ns) == (3, SECOND_NS)
    assert timers.link_down_time_ns == 15 * SECOND_NS
    assert timers.srb_timeout_ns == 75 * SECOND_NS
    assert timers.delay_between_reconnect_ns == 5 * SECOND_NS
    assert timers.enable_nop_out == 0
    assert timers.max_pending_requests == 255


def test_path_recovery_interval_is_twice_pdo_remove_period_unless_customised() -> None:
    assert Timers().recovery_interval_ns == 40 * SECOND_NS
    custom = Timers().overridden({"use_custom_path_recovery_interval": 1, "path_recovery_interval": 60 * SECOND_NS})
    assert custom.recovery_interval_ns == 60 * SECOND_NS


def test_offered_keys_are_those_of_the_microsoft_initiator() -> None:
    offered = OfferedKeys()
    assert (offered.max_burst_length, offered.first_burst_length) == (262_144, 65_536)
    assert offered.max_recv_data_segment_length == 65_536
    assert (offered.initial_r2t, offered.immediate_data, offered.error_recovery_level) == (False, True, 0)  # Windows: 2


def test_isid_starts_with_microsofts_enterprise_number() -> None:
    for profile in PROFILES.values():
        assert profile.isid_prefix[0] >> 6 == 0b01  # the enterprise number format
        assert int.from_bytes(profile.isid_prefix[1:4], "big") == 311


def test_timers_are_overridden_by_name_with_or_without_the_unit() -> None:
    before = profile_named("ms-iscsi-2.07")
    after = before.with_timers({"link_down_time": 35 * SECOND_NS, "pdo_remove_period_ns": 120 * SECOND_NS})
    assert after.timers.link_down_time_ns == 35 * SECOND_NS
    assert after.timers.pdo_remove_period_ns == 120 * SECOND_NS
    assert before.timers.link_down_time_ns == 15 * SECOND_NS


def test_an_unknown_timer_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no timer named 'link_up_time'; there are: path_verify_enabled, .*link_down"):
        profile_named("ms-iscsi-2.07").with_timers({"link_up_time": 1})


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [("enable_nop_out", 2, "is a switch, 0 or 1"), ("retry_count", -1, "is at least 0")],
)
def test_values_out_of_range_are_refused(name: str, value: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"timer {name} {complaint}"):
        Timers().overridden({name: value})


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'linux' is not one of: ms-iscsi-2\.07, msdsm-2008"):
        profile_named("linux")
