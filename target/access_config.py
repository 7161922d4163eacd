"""What an array with asymmetric logical unit access is told before it starts: its target port groups.

Every portal is a target port of the SCSI kind and belongs to one group. The groups have numbers of their own, which
have nothing to do with the portal group tag of iSCSI.

Source: SPC-4 5.15.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from iscsi.port_groups import AccessState
from target.config_error import ConfigError

MAX_TRANSITION_S: Final = 255.0
"""IMPLICIT TRANSITION TIME has one byte (SPC-4 6.37)."""

STATES: Final = tuple(state for state in AccessState if state is not AccessState.LBA_DEPENDENT)
"""The states a group can be in here."""


@dataclass(frozen=True, slots=True)
class PortGroupConfig:
    """One group: its number, its portals by address, the state it starts in for every volume, and the PREF bit."""

    number: int
    portals: tuple[str, ...]
    state: AccessState = AccessState.ACTIVE_OPTIMIZED
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class AccessConfig:
    """The groups, and who may change their states: ``implicit``: the array; ``explicit``: hosts.

    A change takes ``transition_s``, in which the group is transitioning. A command for the medium that comes through an
    active/non-optimized group is answered ``non_optimized_latency_s`` later. With ``failover`` the array makes another
    group optimized when the last portal of the optimized ones is gone.
    """

    groups: tuple[PortGroupConfig, ...]
    implicit: bool = True
    explicit: bool = False
    failover: bool = False
    transition_s: float = 0.0
    non_optimized_latency_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.implicit and not self.explicit:
            raise ConfigError("access: somebody has to be able to change the states: implicit, explicit or both")
        if self.failover and not self.implicit:
            raise ConfigError("access: failover is a change by the array itself, so it wants implicit")
        if not 0 <= self.transition_s <= MAX_TRANSITION_S:
            raise ConfigError(f"access: transition must be 0 to {MAX_TRANSITION_S:g} s, not {self.transition_s:g}")
        if not 0 <= self.non_optimized_latency_s <= MAX_TRANSITION_S:
            most, given = MAX_TRANSITION_S, self.non_optimized_latency_s
            raise ConfigError(f"access: non_optimized_latency must be 0 to {most:g} s, not {given:g}")
        numbers = [group.number for group in self.groups]
        for number in numbers:
            if not 1 <= number <= 0xFFFF:
                raise ConfigError(f"access: the number of a port group is 1 to 65535, not {number}")
            if numbers.count(number) > 1:
                raise ConfigError(f"access: port group {number} is given twice")
        for group in self.groups:
            if group.state not in STATES:
                raise ConfigError(f"access: port group {group.number} cannot be {group.state.words} here")

    def check(self, portals: Sequence[str]) -> None:
        """ConfigError unless each of the array's portals is in one group, and nothing else is."""
        grouped = [address for group in self.groups for address in group.portals]
        for address in grouped:
            if address not in portals:
                raise ConfigError(f"access: {address} is in a port group, but is no portal")
            if grouped.count(address) > 1:
                raise ConfigError(f"access: portal {address} is in two port groups")
        for address in portals:
            if address not in grouped:
                raise ConfigError(f"access: portal {address} is in no port group")
        for group in self.groups:
            if not group.portals:
                raise ConfigError(f"access: port group {group.number} has no portal")

    @property
    def tpgs(self) -> int:
        """The TPGS field of standard INQUIRY data (SPC-4 6.6.2): 1 implicit, 2 explicit, 3 both."""
        return self.explicit << 1 | self.implicit
