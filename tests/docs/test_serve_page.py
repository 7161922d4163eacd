"""docs/serve.md names everything there is, and nothing that there is not; the examples are good as they stand."""

from __future__ import annotations

import configparser
import re
import shutil
from pathlib import Path

import typer.main

from harness.array import group_config
from harness.cli import app
from harness.serving.array_file import load_serving
from harness.serving.limit_settings import NAMES, read_limits
from harness.serving.metrics import ArrayMetrics
from harness.serving.settings import Settings
from target.config import Limits
from target.decisions import Kind

PAGE = Path("docs/serve.md").read_text(encoding="utf-8")
EXAMPLES = Path("examples/serve")


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[tuple[list[str], list[str]]]:
    """The code words of the first two cells of every table row."""
    rows = [line.replace("\\|", "/").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", row[1]), re.findall(r"`([^`]+)`", row[2])) for row in rows]


def test_every_setting_and_limit_is_in_a_table_with_its_default() -> None:
    words = [
        (key, default)
        for keys, defaults in first_cells(section("The array file"))
        for key, default in zip(keys, defaults or [""] * len(keys), strict=False)
    ]
    fields = {field.alias or name for name, field in Settings.model_fields.items()} - {"limits"}
    assert {key for key, _ in words} >= fields
    assert {key for key, _ in words} - fields == set(NAMES)
    limits = {}
    for key, default in words:
        if key in NAMES:
            limits[key] = int(default) if default.isdigit() else default.strip('"')
    assert read_limits(limits) == (Limits(), [])


def test_every_command_is_in_the_table() -> None:
    named = " ".join(word for words, _ in first_cells(section("Control")) for word in words)
    ctl = typer.main.get_command(app).commands["ctl"]  # type: ignore[attr-defined]
    for name, command in ctl.commands.items():
        for sub in getattr(command, "commands", {"": None}):
            assert f"{name} {sub}".strip() in named


def test_every_metric_is_named() -> None:
    nothing = {"connections_in_login": 0, "faults": [], "sessions": [], "portals": [], "volumes": []}
    text = ArrayMetrics(lambda: nothing, dict).text().decode()
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert set(re.findall(r"`(mpiolab_\w+)`", section("Metrics"))) == names


def test_every_event_is_in_the_table() -> None:
    source = "".join(path.read_text() for path in Path("harness/serving").glob("*.py"))
    written = set(re.findall(r'\.(?:event|_write)\(\s*(?:\w+, )?"([a-z.]+)"', source)) | {kind.value for kind in Kind}
    written |= {"login.refused", "login.ended", "login.redirected", "connection.ended", "log.suppressed"}
    assert {word for words, _ in first_cells(section("Log")) for word in words} == written


def test_the_example_is_an_array() -> None:
    config = group_config(load_serving(EXAMPLES / "array.toml").array)
    assert [volume.name for volume in config.volumes] == ["scratch", "mail-db"]


def test_the_example_with_its_secrets_is_one_too(tmp_path: Path) -> None:
    text = (EXAMPLES / "array.toml").read_text()
    for line in ('secrets = "secrets.toml"', 'chap = { user = "w2k3", mutual_user = "ps100" }'):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    (tmp_path / "array.toml").write_text(text)
    shutil.copy(EXAMPLES / "secrets.toml.example", tmp_path / "secrets.toml")
    (tmp_path / "secrets.toml").chmod(0o600)
    serving = load_serving(tmp_path / "array.toml")
    chap = group_config(serving.array).volumes[1].access[0].chap
    assert chap is not None
    assert chap.mutual is not None


def test_the_unit_starts_what_there_is_and_waits_long_enough() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(EXAMPLES / "mpiolab.service")
    service = unit["Service"]
    program, *arguments = service["ExecStart"].split()
    assert program.endswith("/mpiolab")
    assert arguments[0] == "serve"
    assert service["Type"] == "notify"
    stop_within_s = load_serving(EXAMPLES / "array.toml").settings.stop_within_ns / 1e9
    assert int(service["TimeoutStopSec"]) > stop_within_s


def test_the_section_of_the_readme_is_short() -> None:
    text = Path("README.md").read_text(encoding="utf-8").split("\n## Serve\n")[1].split("\n## ")[0]
    assert len(text.strip().splitlines()) <= 25
