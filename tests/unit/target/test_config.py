"""What a configuration refuses, and how it says so."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from target.config import AccessRule, ArrayKind, ConfigError, Limits, LunConfig, PortalConfig
from tests.support.array import GROUP_ADDRESS, HOST, PORTALS, config, volume


def test_the_array_listens_on_the_group_address_first() -> None:
    assert config().addresses == (GROUP_ADDRESS, *PORTALS)
    assert config(kind=ArrayKind.LISTED).addresses == PORTALS


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"portals": ()}, "portals: an array needs at least one"),
        ({"group_address": None}, "group_address: a redirecting array needs one"),
        ({"kind": ArrayKind.LISTED, "group_address": GROUP_ADDRESS}, "group_address: an array that lists"),
        ({"group_address": PORTALS[1]}, "address 192.168.51.3 is given twice"),
        ({"portals": (PortalConfig("eth0", "nonsense"),)}, "'nonsense' is not an IPv4 address"),
        ({"placement": "random"}, "placement: expected least-connections, round-robin, hash-source or fixed"),
        ({"placement": "fixed"}, "fixed_portal: placement fixed wants one of the portals"),
        ({"placement": "fixed", "fixed_portal": "192.168.51.9"}, "fixed_portal: placement fixed wants one"),
        ({"port": 0}, "port must be 1 to 65535, not 0"),
        ({"tpgt": 65536}, "tpgt must be 0 to 65535, not 65536"),
    ],
)
def test_an_array_that_cannot_be(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        config(**changes)


def test_a_target_name_stands_for_one_volume_however_it_is_spelled() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        config(volume("iqn.2001-05.com.equallogic:a"), volume("iqn.2001-05.com.equallogic:A"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"block_size": 520}, "block_size is 512 or 4096, not 520"),
        ({"size_bytes": 0}, "positive multiple of the block size 512, not 0"),
        ({"size_bytes": 1000}, "positive multiple of the block size 512, not 1000"),
        ({"size_bytes": (1 << 63) + 512}, "size_bytes is at most 9223372036854775808"),
        ({"more_luns": (LunConfig(1, 512), LunConfig(1, 1024))}, "volume exchange-logs: LUN 1 is given twice"),
        ({"more_luns": (LunConfig(0, 512),)}, "volume exchange-logs: LUN 0 is given twice"),
        ({"name": "a" * 256}, "no name for an initiator to read"),
        ({"name": "a\0b"}, "no name for an initiator to read"),
    ],
)
def test_a_volume_that_cannot_be(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        volume(**changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"max_connections": 0}, "max_connections must be 1 to 65535, not 0"),
        ({"max_connections": 65536}, "max_connections must be 1 to 65535, not 65536"),  # a TSIH has 16 bits
        ({"max_connections_per_session": 0}, "max_connections_per_session must be 1 to 65535, not 0"),
        ({"error_recovery_level": 3}, "error_recovery_level must be 0 to 2, not 3"),
        ({"time2retain_s": 3601}, "time2retain_s must be 0 to 3600, not 3601"),
        ({"time2wait_s": 0.5}, "time2wait_s must be whole seconds, not 0.5"),
        ({"command_window": 0}, "command_window must be 1 to 65535, not 0"),
        ({"output_high_bytes": 0}, "output_high_bytes must be at least 1"),
        ({"login_timeout_s": 0}, "login_timeout_s must be more than 0 s"),
        ({"nop_interval_s": -1}, "nop_interval_s must be 0 s or more"),
        ({"max_burst_length": 511}, "max_burst_length must be 512 to 16777215, not 511"),
        ({"max_recv_data_segment_length": 1 << 24}, "max_recv_data_segment_length must be 512 to 16777215"),
        ({"first_burst_length": 262145}, "first_burst_length 262145 is above max_burst_length 262144"),
    ],
)
def test_limits_that_cannot_be(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Limits(**changes)


@pytest.mark.parametrize(
    ("rule", "initiator", "source", "let_in"),
    [
        (AccessRule(), HOST, "10.0.0.1", True),
        (AccessRule(initiator=HOST.upper()), HOST, "10.0.0.1", True),
        (AccessRule(initiator=HOST), HOST + "x", "10.0.0.1", False),
        (AccessRule(source=ipaddress.IPv4Network("192.168.48.0/22")), HOST, "192.168.51.255", True),
        (AccessRule(source=ipaddress.IPv4Network("192.168.48.0/22")), HOST, "192.168.52.0", False),
        (AccessRule(initiator=HOST, source=ipaddress.IPv4Network("10.0.0.0/8")), HOST, "192.168.51.9", False),
    ],
)
def test_every_part_of_an_access_rule_that_is_given_must_match(
    rule: AccessRule, initiator: str, source: str, let_in: bool
) -> None:
    assert rule.matches(initiator, source) is let_in
