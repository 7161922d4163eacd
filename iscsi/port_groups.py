"""Target port groups as bytes: which state of access each group of ports gives to a logical unit.

An array with several controllers may serve a logical unit better through some ports than through others, and not at all
through the rest (asymmetric logical unit access, ALUA). It says so group by group in REPORT TARGET PORT GROUPS, and a
host may ask for other states by SET TARGET PORT GROUPS. A group is a SCSI matter: the portal group tag of iSCSI, which
stands in names and in SendTargets, is another number.

Builder and parser stand side by side, so the array and the host model cannot disagree about a layout.

Source: SPC-4 5.15.2 (the model), 6.37 (REPORT TARGET PORT GROUPS), 6.45 (SET TARGET PORT GROUPS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

_LENGTH: Final = 4
_EXTENDED: Final = 8
_FORMAT_TYPE: Final = 0x10
"""Byte 4 of the extended header: FORMAT TYPE 001b."""
_GROUP: Final = Struct(">BBHxBxB")
_PORT: Final = Struct(">2xH")
_SET_HEADER: Final = bytes(4)
_SET: Final = Struct(">BxH")

ALL_STATES_SUPPORTED: Final = 0xCF
"""T_SUP, O_SUP, U_SUP, S_SUP, AN_SUP, AO_SUP: every state but LBA dependent."""


class AccessState(IntEnum):
    """ASYMMETRIC ACCESS STATE (SPC-4 6.37)."""

    ACTIVE_OPTIMIZED = 0x0
    ACTIVE_NON_OPTIMIZED = 0x1
    STANDBY = 0x2
    UNAVAILABLE = 0x3
    LBA_DEPENDENT = 0x4
    OFFLINE = 0xE
    TRANSITIONING = 0xF

    @property
    def words(self) -> str:
        """As files and logs write it: ``active-non-optimized``."""
        return self.name.lower().replace("_", "-")

    @property
    def active(self) -> bool:
        """Whether commands for the medium are served, however fast."""
        return self in (AccessState.ACTIVE_OPTIMIZED, AccessState.ACTIVE_NON_OPTIMIZED)


class ChangedBy(IntEnum):
    """STATUS CODE: what brought a group into its state last (SPC-4 6.37)."""

    NOTHING = 0
    SET_TARGET_PORT_GROUPS = 1
    IMPLICIT = 2


@dataclass(frozen=True, slots=True)
class PortGroup:
    """One descriptor: the group's number, its state, and the relative identifiers of its ports.

    ``supported`` is the byte of *_SUP bits.
    """

    number: int
    state: AccessState
    ports: tuple[int, ...]
    preferred: bool = False
    changed_by: ChangedBy = ChangedBy.NOTHING
    supported: int = ALL_STATES_SUPPORTED

    def encode(self) -> bytes:
        """8 bytes and 4 for each port."""
        first = self.preferred << 7 | self.state
        head = _GROUP.pack(first, self.supported, self.number, self.changed_by, len(self.ports))
        return head + b"".join(_PORT.pack(port) for port in self.ports)


@dataclass(frozen=True, slots=True)
class PortGroups:
    """The whole answer. ``transition_s`` is the IMPLICIT TRANSITION TIME of the extended header, None without one."""

    groups: tuple[PortGroup, ...]
    transition_s: int | None = None

    def group_of(self, port: int) -> PortGroup | None:
        """The group that a port, by its relative identifier, belongs to."""
        return next((group for group in self.groups if port in group.ports), None)


def build_port_groups(groups: Sequence[PortGroup], *, transition_s: int | None = None) -> bytes:
    """Parameter data of REPORT TARGET PORT GROUPS; with ``transition_s`` (0 to 255) under the extended header."""
    body = b"".join(group.encode() for group in groups)
    if transition_s is not None:
        body = bytes((_FORMAT_TYPE, transition_s, 0, 0)) + body
    return len(body).to_bytes(4, "big") + body


def parse_port_groups(raw: bytes, *, extended: bool = False) -> PortGroups:
    """Parse it; ``extended``: what the command asked for. Groups that the allocation length cut off are left out.

    A device that does not know the extended header answers without one: FORMAT TYPE, in the byte where the first
    descriptor has its state, tells. ValueError without a whole header, or for a reserved state or status code.
    """
    if len(raw) < _LENGTH:
        raise ValueError(f"REPORT TARGET PORT GROUPS data has at least 4 bytes, got {len(raw)}")
    end = min(len(raw), _LENGTH + int.from_bytes(raw[:_LENGTH], "big"))
    at, transition_s = _LENGTH, None
    if extended and end >= _EXTENDED and raw[4] & 0x70 == _FORMAT_TYPE:
        at, transition_s = _EXTENDED, raw[5]
    groups: list[PortGroup] = []
    while at + _GROUP.size <= end:
        first, supported, number, status, count = _GROUP.unpack_from(raw, at)
        behind = at + _GROUP.size + _PORT.size * count
        if behind > end:
            break
        ports = tuple(port for (port,) in _PORT.iter_unpack(raw[at + _GROUP.size : behind]))
        state = AccessState(first & 0x0F)
        groups.append(PortGroup(number, state, ports, bool(first & 0x80), ChangedBy(status), supported))
        at = behind
    return PortGroups(tuple(groups), transition_s)


def build_set_list(wanted: Sequence[tuple[int, AccessState]]) -> bytes:
    """The parameter list of SET TARGET PORT GROUPS: (group, state) by (group, state)."""
    return _SET_HEADER + b"".join(_SET.pack(state, number) for number, state in wanted)


def parse_set_list(raw: bytes) -> tuple[tuple[int, int], ...]:
    """The descriptors of such a list, whose length is 4 and a multiple of 4: a state may be a reserved one."""
    return tuple((number, state & 0x0F) for state, number in _SET.iter_unpack(raw[len(_SET_HEADER) :]))
