"""The target port groups of an array: what of them cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi.port_groups import AccessState
from target.access_config import AccessConfig, PortGroupConfig
from target.config import ConfigError
from tests.support.array import GROUP_ADDRESS, PORTALS, config

BOTH = (PortGroupConfig(1, PORTALS[:2]), PortGroupConfig(2, PORTALS[2:], AccessState.STANDBY))


def test_every_portal_is_in_one_group() -> None:
    settings = config(access=AccessConfig(BOTH))
    assert settings.access is not None
    assert [group.portals for group in settings.access.groups] == [PORTALS[:2], PORTALS[2:]]
    assert [settings.relative_port(address) for address in (*PORTALS, GROUP_ADDRESS)] == [1, 2, 3, 1]


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        (BOTH[:1], f"portal {PORTALS[2]} is in no port group"),
        ((*BOTH, PortGroupConfig(3, PORTALS[:1])), f"portal {PORTALS[0]} is in two port groups"),
        ((*BOTH, PortGroupConfig(3, (GROUP_ADDRESS,))), f"{GROUP_ADDRESS} is in a port group, but is no portal"),
        ((*BOTH, PortGroupConfig(3, ())), "port group 3 has no portal"),
        ((*BOTH, PortGroupConfig(2, PORTALS[:1])), "port group 2 is given twice"),
        ((PortGroupConfig(0, PORTALS),), "is 1 to 65535, not 0"),
        ((PortGroupConfig(65536, PORTALS),), "is 1 to 65535, not 65536"),
        ((PortGroupConfig(1, PORTALS, AccessState.LBA_DEPENDENT),), "port group 1 cannot be lba-dependent here"),
    ],
)
def test_groups_that_cannot_be_meant(groups: tuple[PortGroupConfig, ...], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        config(access=AccessConfig(groups))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"implicit": False}, "implicit, explicit or both"),
        ({"implicit": False, "explicit": True, "failover": True}, "so it wants implicit"),
        ({"transition_s": 255.1}, "transition must be 0 to 255 s"),
        ({"transition_s": -1.0}, "transition must be 0 to 255 s"),
        ({"non_optimized_latency_s": -0.1}, "non_optimized_latency must be 0 to 255 s"),
    ],
)
def test_settings_that_cannot_be_meant(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        AccessConfig(BOTH, **changes)


def test_two_ways_to_say_who_serves_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="give one"):
        config(access=AccessConfig(BOTH), active_passive=True)
