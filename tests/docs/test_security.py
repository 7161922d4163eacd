"""docs/security.md names code and tests that are there for each of its claims, and figures that are the defaults."""

from __future__ import annotations

from pathlib import Path

from iscsi.login import MAX_LOGIN_EXCHANGES
from target.config import Limits
from tests.support.claims import missing_code, missing_tests, named, rows

ROWS = rows("security.md")


def test_every_claim_has_code_and_a_test() -> None:
    assert len(ROWS) > 25
    assert [row[0] for row in ROWS if len(row) != 3 or not named(row[1]) or "::" not in row[2]] == []


def test_the_code_is_there() -> None:
    assert missing_code([row[1] for row in ROWS]) == []


def test_the_tests_are_there() -> None:
    assert missing_tests([row[2] for row in ROWS]) == []


def test_the_figures_are_the_defaults() -> None:
    page, limits = Path("docs/security.md").read_text(encoding="utf-8"), Limits()
    assert f"a login has {limits.login_timeout_s:g} s and {MAX_LOGIN_EXCHANGES} requests" in page
    assert (
        f"who opens {limits.max_connections} and says nothing keeps others out for {limits.login_timeout_s:g} s" in page
    )
    assert f"counts for {limits.ticket_lifetime_s:g} s where it was sent" in page
