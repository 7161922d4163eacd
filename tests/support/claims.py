"""Pages of docs/ that are tables of claims, each with the code that keeps it and the test that shows it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHORT = {"unit/": "tests/unit/", "prop/": "tests/properties/"}


def rows(page: str) -> list[list[str]]:
    """The cells of each row of the page's tables, their headings and rules left out."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[-1] != "test"]


def named(cell: str) -> list[str]:
    """The code words of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def missing_code(cells: list[str]) -> list[str]:
    """Which of the paths in these cells are no files."""
    return [path for cell in cells for path in named(cell) if not (ROOT / path).is_file()]


def missing_tests(cells: list[str]) -> list[str]:
    """Which of the tests in these cells (``file`` or ``file::test``, in short or in full) do not exist."""
    missing = []
    for name in [name for cell in cells for name in named(cell)]:
        path, _, test = name.partition("::")
        for short, full in SHORT.items():
            path = full + path.removeprefix(short) if path.startswith(short) else path
        source = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
        if not source or (test and not re.search(rf"def {test}\(", source)):
            missing.append(name)
    return missing
