"""docs/rfc7143.md names files and tests that are there, and a test for every clause that has code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rfc7143.md"
SHORT = {"unit/": "tests/unit/", "prop/": "tests/properties/"}


def rows() -> list[list[str]]:
    """The cells of each row: clause, demand, code, test."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "clause"]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_row_is_whole() -> None:
    found = rows()
    assert len(found) > 60
    broken = [row[0] for row in found if len(row) != 4 or (bool(row[2]) != bool(row[3]))]
    assert broken == []
    assert [row[0] for row in found if not row[2] and "**not done**" not in row[1]] == []


def test_the_code_is_there() -> None:
    assert [path for row in rows() for path in named(row[2]) if not (ROOT / path).is_file()] == []


def test_the_tests_are_there() -> None:
    missing = []
    for row in rows():
        for name in named(row[3]):
            path, _, test = name.partition("::")
            for short, full in SHORT.items():
                path = full + path.removeprefix(short) if path.startswith(short) else path
            source = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
            if not source or (test and not re.search(rf"def {test}\(", source)):
                missing.append(name)
    assert missing == []
