"""Profiles carry Microsoft's numbers, and say so when asked for a timer that does not exist."""

import pytest

from initiator_model.profiles import PROFILES, OfferedKeys, profile_named
from initiator_model.timers import SECOND_NS
from initiator_model.timers.esxi import EsxiTimers
from initiator_model.timers.linux import NO_PATH_RETRY_QUEUE, LinuxTimers
from initiator_model.timers.microsoft import MicrosoftTimers


def test_what_a_disk_starts_with() -> None:
    assert {name: profile.symmetric_policy.option for name, profile in PROFILES.items()} == {
        "ms-iscsi-2.07": "failover-only",
        "msdsm-2008": "round-robin",
        "msdsm-2012": "round-robin",
        "eql-hit": "least-queue-depth",
        "linux-dm-multipath": "dm-service-time",
        "linux-dm-multipath-eql": "dm-service-time",
        "esxi": "vmw-rr",
    }
    assert {name: profile.tcp_profile for name, profile in PROFILES.items()} == {
        "ms-iscsi-2.07": "windows-2003",
        "msdsm-2008": "windows-2012",
        "msdsm-2012": "windows-2012",
        "eql-hit": "windows-2012",
        "linux-dm-multipath": "linux",
        "linux-dm-multipath-eql": "linux",
        "esxi": "linux",
    }


def test_the_eqlogic_entry_makes_one_group_and_queues_for_150_seconds() -> None:
    plain, eqlogic = profile_named("linux-dm-multipath"), profile_named("linux-dm-multipath-eql")
    assert (plain.options.grouping, eqlogic.options.grouping) == ("failover", "multibus")
    assert (plain.timers.no_path_ns, eqlogic.timers.no_path_ns) == (0, 150 * SECOND_NS)


def test_multipathd_writes_its_fast_io_fail_tmo_over_replacement_timeout() -> None:
    timers = LinuxTimers()
    assert (timers.hold_ns(multipath=True), timers.hold_ns(multipath=False)) == (5 * SECOND_NS, 120 * SECOND_NS)
    assert timers.overridden({"fast_io_fail_tmo": 0}).hold_ns(multipath=True) == 120 * SECOND_NS


def test_iscsid_has_one_timer_for_connecting_and_logging_in() -> None:
    timers = LinuxTimers()
    assert timers.connect_ns == 15 * SECOND_NS
    assert timers.login_ns(4 * SECOND_NS) == 11 * SECOND_NS
    assert MicrosoftTimers().login_ns(4 * SECOND_NS) == 30 * SECOND_NS


def test_no_path_retry_queue_waits_for_ever() -> None:
    assert LinuxTimers(no_path_retry=NO_PATH_RETRY_QUEUE).no_path_ns is None
    assert EsxiTimers(apd_handling_enable=0).no_path_ns is None


def test_registry_defaults() -> None:
    timers = MicrosoftTimers()
    assert timers.pdo_remove_period_ns == 20 * SECOND_NS
    assert (timers.retry_count, timers.retry_interval_ns) == (3, SECOND_NS)
    assert timers.link_down_time_ns == 15 * SECOND_NS
    assert timers.request_ns == 75 * SECOND_NS
    assert timers.delay_between_reconnect_ns == 5 * SECOND_NS
    assert timers.enable_nop_out == 0
    assert timers.max_pending_requests == 255


def test_path_recovery_interval_is_twice_pdo_remove_period_unless_customised() -> None:
    assert MicrosoftTimers().recovery_ns == 40 * SECOND_NS
    custom = MicrosoftTimers().overridden(
        {"use_custom_path_recovery_interval": 1, "path_recovery_interval": 60 * SECOND_NS}
    )
    assert custom.recovery_ns == 60 * SECOND_NS


def test_offered_keys_are_those_of_the_microsoft_initiator() -> None:
    offered = OfferedKeys()
    assert (offered.max_burst_length, offered.first_burst_length) == (262_144, 65_536)
    assert offered.max_recv_data_segment_length == 65_536
    assert (offered.initial_r2t, offered.immediate_data, offered.error_recovery_level) == (False, True, 0)  # Windows: 2


def test_isids_start_with_their_makers_number() -> None:
    for name in ("ms-iscsi-2.07", "msdsm-2008", "msdsm-2012"):
        isid_prefix = profile_named(name).isid_prefix
        assert isid_prefix[0] >> 6 == 0b01  # the enterprise number format
        assert int.from_bytes(isid_prefix[1:4], "big") == 311
    assert profile_named("linux-dm-multipath").isid_prefix[:3].hex() == "00023d"  # OUI format


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
        MicrosoftTimers().overridden({name: value})


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'linux' is not one of: ms-iscsi-2\.07, msdsm-2008"):
        profile_named("linux")
