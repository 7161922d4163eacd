"""REPORT and SET TARGET PORT GROUPS as bytes (SPC-4 6.37, 6.45)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscsi import scsi
from iscsi.port_groups import (
    AccessState,
    ChangedBy,
    PortGroup,
    PortGroups,
    build_port_groups,
    build_set_list,
    parse_port_groups,
    parse_set_list,
)

FAST = PortGroup(1, AccessState.ACTIVE_OPTIMIZED, (1, 2), preferred=True)
SLOW = PortGroup(0x1234, AccessState.STANDBY, (3,), changed_by=ChangedBy.IMPLICIT)

FAST_BYTES = "80 cf 0001 00 00 00 02  0000 0001  0000 0002"
SLOW_BYTES = "02 cf 1234 00 02 00 01  0000 0003"


def test_the_length_only_header_counts_what_is_behind_it() -> None:
    """SPC-4 6.37: RETURN DATA LENGTH, then a descriptor for each group."""
    raw = build_port_groups((FAST, SLOW))
    assert raw == bytes.fromhex("0000 001c" + FAST_BYTES + SLOW_BYTES)
    assert parse_port_groups(raw) == PortGroups((FAST, SLOW))


def test_the_extended_header_tells_how_long_a_transition_takes() -> None:
    """SPC-4 6.37: FORMAT TYPE 001b, IMPLICIT TRANSITION TIME in seconds."""
    raw = build_port_groups((FAST, SLOW), transition_s=30)
    assert raw == bytes.fromhex("0000 0020  10 1e 0000" + FAST_BYTES + SLOW_BYTES)
    assert parse_port_groups(raw, extended=True) == PortGroups((FAST, SLOW), 30)


def test_a_device_that_does_not_know_the_extended_header_is_understood() -> None:
    assert parse_port_groups(build_port_groups((SLOW,)), extended=True) == PortGroups((SLOW,))


def test_a_group_that_the_allocation_length_cut_off_is_left_out() -> None:
    raw = build_port_groups((FAST, SLOW))
    assert parse_port_groups(raw[:-1]).groups == (FAST,)
    assert parse_port_groups(raw[:4]).groups == ()


@pytest.mark.parametrize("raw", ["", "00 00 00", "00000008 04cf0001 00030000", "00000008 05cf0001 00000000"])
def test_what_cannot_be_read_is_a_value_error(raw: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_port_groups(bytes.fromhex(raw))


def test_a_port_knows_its_group() -> None:
    report = PortGroups((FAST, SLOW))
    assert report.group_of(2) is FAST
    assert report.group_of(3) is SLOW
    assert report.group_of(4) is None


def test_the_list_of_set_target_port_groups() -> None:
    """SPC-4 6.45: four reserved bytes, then four for each group."""
    raw = build_set_list([(1, AccessState.STANDBY), (0x1234, AccessState.ACTIVE_OPTIMIZED)])
    assert raw == bytes.fromhex("0000 0000  02 00 0001  00 00 1234")
    assert parse_set_list(raw) == ((1, 2), (0x1234, 0))
    assert parse_set_list(bytes(4)) == ()


def test_the_commands() -> None:
    assert scsi.report_target_port_groups(0x0102) == bytes.fromhex("a3 0a 00000000 00000102 0000 00000000")
    assert scsi.report_target_port_groups(0xFF, extended=True)[:2] == bytes.fromhex("a3 2a")
    assert scsi.set_target_port_groups(12) == bytes.fromhex("a4 0a 00000000 0000000c 0000 00000000")


def test_the_names_of_the_states_are_those_of_files() -> None:
    assert AccessState.ACTIVE_NON_OPTIMIZED.words == "active-non-optimized"
    assert [state for state in AccessState if state.active] == [0, 1]


GROUPS = st.lists(
    st.builds(
        PortGroup,
        number=st.integers(0, 0xFFFF),
        state=st.sampled_from(AccessState),
        ports=st.lists(st.integers(0, 0xFFFF), max_size=4).map(tuple),
        preferred=st.booleans(),
        changed_by=st.sampled_from(ChangedBy),
        supported=st.integers(0, 255),
    ),
    max_size=4,
).map(tuple)


@given(GROUPS, st.none() | st.integers(0, 255))
def test_what_is_built_is_read_back(groups: tuple[PortGroup, ...], transition_s: int | None) -> None:
    raw = build_port_groups(groups, transition_s=transition_s)
    assert parse_port_groups(raw, extended=transition_s is not None) == PortGroups(groups, transition_s)


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_read_or_refused_in_words(raw: bytes, extended: bool) -> None:
    with suppress(ValueError):
        report = parse_port_groups(raw, extended=extended)
        assert 4 + sum(len(group.encode()) for group in report.groups) <= len(raw)
