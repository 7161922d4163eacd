"""Quantities: what people write, the integers it means, and what they are told when it means nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import units


@pytest.mark.parametrize(
    ("text", "bits_per_s"),
    [("1Gbit", 10**9), ("100Mbit", 10**8), ("1.5Gbit", 1_500_000_000), ("56 Kbit", 56_000), ("1bit", 1)],
)
def test_rates_are_decimal(text: str, bits_per_s: int) -> None:
    assert units.parse_rate(text) == bits_per_s


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("64KiB", 65_536), ("64KB", 64_000), ("10GiB", 10 * 2**30), ("512B", 512), ("2TB", 2 * 10**12)],
)
def test_sizes_are_binary_or_decimal_as_their_name_says(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [("250us", 250_000), ("15s", 15 * 10**9), ("2min", 120 * 10**9), ("2.5us", 2_500), ("0s", 0)],
)
def test_durations_are_nanoseconds(text: str, duration_ns: int) -> None:
    assert units.parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (1000, 'expected a rate such as "1Gbit"'),
        (True, "without a unit"),
        ("fast", 'got "fast"'),
        ("-1Gbit", 'got "-1Gbit"'),
        ("1gbit", 'did you mean "Gbit"?'),
        ("1GiB", 'got the unit "GiB"'),
        ("0.5bit", "finer than bit"),
        ("1e9bit", 'got "1e9bit"'),
    ],
)
def test_a_wrong_rate_is_told_what_was_expected(bad: object, told: str) -> None:
    with pytest.raises(units.UnitError, match="expected a rate") as caught:
        units.parse_rate(bad)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("amount", "text"), [(10**9, "1Gbit"), (1_500_000_000, "1.5Gbit"), (1_000_001, "1000001bit"), (0, "0bit")]
)
def test_rates_are_written_short(amount: int, text: str) -> None:
    assert units.format_rate(amount) == text


def test_sizes_and_durations_are_written_as_people_say_them() -> None:
    assert units.format_size(65_536) == "64KiB"
    assert units.format_duration(15 * 10**9) == "15s"
    assert units.format_duration(1_500_000) == "1.5ms"
    assert units.format_duration(250_000) == "250us"


@given(st.integers(min_value=0, max_value=2**63))
def test_what_is_written_reads_back_exactly(amount: int) -> None:
    assert units.parse_rate(units.format_rate(amount)) == amount
    assert units.parse_size(units.format_size(amount)) == amount
    assert units.parse_duration(units.format_duration(amount)) == amount
