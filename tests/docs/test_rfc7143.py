"""docs/rfc7143.md names files and tests that are there, and a test for every clause that has code."""

from __future__ import annotations

from tests.support.claims import missing_code, missing_tests, rows

ROWS = rows("rfc7143.md")


def test_every_row_is_whole() -> None:
    assert len(ROWS) > 60
    broken = [row[0] for row in ROWS if len(row) != 4 or (bool(row[2]) != bool(row[3]))]
    assert broken == []
    assert [row[0] for row in ROWS if not row[2] and "**not done**" not in row[1]] == []


def test_the_code_is_there() -> None:
    assert missing_code([row[2] for row in ROWS]) == []


def test_the_tests_are_there() -> None:
    assert missing_tests([row[3] for row in ROWS]) == []
