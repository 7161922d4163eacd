"""What the documents show is what the program prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.load import load_scenario
from harness.narration import QuietNarrator
from harness.run import run_scenario
from harness.sim_world import SimWorld
from sim.net.segment import SegmentRecord


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


class FirstWords:
    """The first payload of each direction of a connection, by the host's port."""

    def __init__(self) -> None:
        self.sent: dict[int, bytes] = {}
        self.answered: dict[int, bytes] = {}

    def __call__(self, record: SegmentRecord) -> None:
        if record.payload and record.src[0] == "192.168.50.105":
            self.sent.setdefault(record.src[1], record.payload)
        elif record.payload and record.dst[0] == "192.168.50.105":
            self.answered.setdefault(record.dst[1], record.payload)


def test_the_redirect_page_shows_the_bytes_that_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    words = FirstWords()

    class Listening(SimWorld):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            self.network.observe(words)

    monkeypatch.setattr("harness.run.SimWorld", Listening)
    run_scenario(
        load_scenario(Path("scenarios/ps100_round_robin.toml")), seed=1, net="sim", pcap=None, narrator=QuietNarrator()
    )

    page = Path("docs/redirect.md").read_text(encoding="utf-8")
    for section, spoken in (("1", words.sent[2816]), ("2", words.answered[2816]), ("3", words.answered[2817])):
        shown = page.split(f"## {section}.")[1].split("## ")[0]
        rows = bytes.fromhex("".join(re.findall(r"^ {4}((?:[0-9a-f]{2} ){7}[0-9a-f]{2})", shown, re.MULTILINE)))
        assert len(rows) >= 32
        assert rows == spoken[: len(rows)]
        assert not any(spoken[len(rows) : 48]), "the rest of the header is zeros"
        text = "".join(re.findall(r"^ {4}([A-Z][A-Za-z]+=\S+?)\\0", shown, re.MULTILINE))
        assert text == spoken[48:].rstrip(b"\0").decode().replace("\0", "")
    assert words.sent[2817] == words.sent[2816], "the login at the portal repeats the one at the group address"


def test_every_scenario_the_documents_name_exists() -> None:
    for page in [Path("README.md"), *Path("docs").glob("*.md")]:
        for name in re.findall(r"scenarios/([a-z0-9_]+)\.toml", page.read_text(encoding="utf-8")):
            assert Path(f"scenarios/{name}.toml").is_file(), f"{page} names scenarios/{name}.toml"


def test_the_story_in_the_balancing_page_is_real(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "scenarios/drain_portal.toml", "--runs", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = {line.strip() for line in done.stdout.splitlines()}
    lines = _lines("docs/balancing.md", r"^ {4}0\.50\d+ s ")
    assert len(lines) == 5
    assert [line for line in lines if line.strip() not in said] == []
