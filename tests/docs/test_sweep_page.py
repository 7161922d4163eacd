"""docs/sweep.md shows what the program prints, queries that run, and the columns there are."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from harness import cli
from harness.sweep.row import SeedRow

PAGE = Path("docs/sweep.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The output of the page's example, and its file."""
    file = tmp_path_factory.mktemp("sweep") / "sweep.duckdb"
    ran = CliRunner().invoke(cli.app, ["sweep", "--seeds", "40", "--db", str(file)])
    assert ran.exit_code == 0, ran.output
    return ran.stdout, file


def shape(text: str) -> list[str]:
    """The lines without their numbers: how fast a machine is, and what later seeds are, is no promise."""
    return [re.sub(r"\s+", " ", re.sub(r"[\d,.]*\d", "N", line)).strip() for line in text.strip().splitlines()]


def test_the_example_is_what_is_printed(swept: tuple[str, Path]) -> None:
    example = PAGE.split("```\n$ mpiolab sweep --seeds 40\n")[1].split("```")[0]

    assert shape(example) == shape(swept[0])
    assert len(shape(example)) > 15


def test_the_queries_run(swept: tuple[str, Path]) -> None:
    queries = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)

    assert len(queries) == 2
    with duckdb.connect(str(swept[1])) as tables:
        tables.execute("UPDATE seeds SET exit_code = 10, signature = 'io', why = 'so' WHERE seed IN (4, 9)")
        assert tables.execute(queries[0]).fetchall() == [("io", 2, 4, "so")]
        assert len(tables.execute(queries[1]).fetchall()) > 10


def test_the_table_of_columns_has_them_all() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]

    assert sorted(named) == sorted(SeedRow.__slots__)


def test_what_is_left_of_the_ghost_is_as_shown(tmp_path: Path) -> None:
    unsafe = "scenarios/unsafe/ghost_write_windows.toml"
    example = PAGE.split(f"$ mpiolab minimize {unsafe} --out ghost.toml\n")[1].split("```")[0]

    out = str(tmp_path / "ghost.toml")
    ran = CliRunner().invoke(cli.app, ["minimize", unsafe, "--out", out])

    said = " ".join(ran.stdout.split())
    for line in example.replace("ghost.toml", out).strip().splitlines():
        assert " ".join(line.split()) in said
