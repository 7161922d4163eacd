"""What the documents show is what the program prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def walkthrough(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The lines of `make demo`."""
    runs = tmp_path_factory.mktemp("runs")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "scenarios/ps100_round_robin.toml", "--runs", str(runs)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.rstrip() for line in done.stdout.splitlines()}


def _lines(path: str, pattern: str) -> list[str]:
    return [
        line.strip("\n") for line in Path(path).read_text(encoding="utf-8").splitlines() if re.search(pattern, line)
    ]


def test_the_excerpt_of_the_readme_is_real(walkthrough: set[str]) -> None:
    shown = Path("README.md").read_text(encoding="utf-8").split("```\n3  Log On")[1].split("```")[0]
    lines = ["3  Log On" + shown.splitlines()[0], *shown.splitlines()[1:]]
    assert len(lines) > 30
    assert [line for line in lines if line.rstrip() not in walkthrough] == []


def test_the_reconnect_in_the_redirect_page_is_real(walkthrough: set[str]) -> None:
    lines = _lines("docs/redirect.md", r"^ {3,}21\.\d+ s|╰─⇢")
    said = {re.sub(r"\s+", " ", line).strip() for line in walkthrough}
    assert len(lines) == 3
    assert [line for line in lines if re.sub(r"\s+", " ", line).strip() not in said] == []


def test_the_redirect_page_shows_the_bytes_that_were_sent() -> None:
    """The BHS words of the page stand in the PDUs our own codec makes of what the page says."""
    from iscsi.pdu import LoginResponse, encode

    sent = encode(
        LoginResponse(isid=bytes.fromhex("400001377ac0"), status=0x0101, data=b"TargetAddress=192.168.51.2:3260\0")
    )
    page = Path("docs/redirect.md").read_text(encoding="utf-8").split("## 2.")[1].split("## 3.")[0]
    rows = re.findall(r"^ {4}((?:[0-9a-f]{2} ){7}[0-9a-f]{2})", page, re.MULTILINE)
    assert bytes.fromhex("".join(rows)) == sent[:48]
    assert sent[48:] == b"TargetAddress=192.168.51.2:3260\0"


def test_every_scenario_the_documents_name_exists() -> None:
    for page in [Path("README.md"), *Path("docs").glob("*.md")]:
        for name in re.findall(r"scenarios/([a-z0-9_]+)\.toml", page.read_text(encoding="utf-8")):
            assert Path(f"scenarios/{name}.toml").is_file(), f"{page} names scenarios/{name}.toml"
