"""A scenario's CHAP secrets: no repr, dump, story or complaint shows them, whatever stands in their place."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from harness.cli import app
from harness.load import scenario_from
from harness.loopback import scenario_on_loopback
from harness.mistakes import ScenarioError
from harness.scenario import Scenario
from harness.story import StoryNarrator

Tables = dict[str, Any]
SECRETS = ("only-the-host-knows", "only-the-array-knows", "not-what-the-host-knows", "not-what-the-array-knows")


@pytest.fixture
def chap() -> Tables:
    """The tables of a scenario with every kind of secret."""
    return tomllib.loads(Path("scenarios/chap_mutual.toml").read_text())


def test_neither_repr_nor_dump_nor_story_shows_one(chap: Tables) -> None:
    scenario = scenario_from(chap)
    story = io.StringIO()
    narrator = StoryNarrator(story)
    for step in scenario.steps:
        narrator.step(step, 0)
    shown = repr(scenario) + str(scenario.model_dump()) + scenario.model_dump_json() + story.getvalue()
    assert "chap_secret" in story.getvalue()
    assert [secret for secret in SECRETS if secret in shown] == []


def test_a_scenario_made_into_tables_keeps_them(chap: Tables) -> None:
    tables = scenario_from(chap).tables()
    assert [secret for secret in SECRETS if secret not in str(tables)] == []
    assert scenario_from(tables) == scenario_from(chap)


def test_a_secret_that_looks_like_an_address_is_not_moved_to_loopback(chap: Tables) -> None:
    chap["array"]["volumes"][0]["access"][0]["chap"]["secret"] = "192.168.51.2"
    moved = scenario_on_loopback(scenario_from(chap)).array.volumes[0].access[0].chap
    assert moved is not None
    assert moved.secret.get_secret_value() == "192.168.51.2"


@pytest.mark.parametrize("wrong", ["hunter2", 123456789, ["hunter2"], {"a": "hunter2"}, True, "hunter2" * 60])
def test_no_complaint_repeats_what_stands_in_a_secret_s_place(chap: Tables, wrong: object) -> None:
    chap["array"]["volumes"][0]["access"][0]["chap"]["secret"] = wrong
    chap["steps"][1]["chap_secret"] = wrong
    with pytest.raises(ScenarioError) as caught:
        scenario_from(chap)
    assert "chap.secret: " in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "123456789" not in str(caught.value)
    with pytest.raises(ValidationError) as raw:
        Scenario.model_validate(chap)
    assert "hunter2" not in str(raw.value)


def test_a_secret_in_place_of_the_whole_table_is_not_repeated(chap: Tables) -> None:
    chap["array"]["volumes"][0]["access"][0]["chap"] = "hunter2-hunter2"
    with pytest.raises(ScenarioError, match="expected a table, got something else") as caught:
        scenario_from(chap)
    assert "hunter2" not in str(caught.value)


def test_nothing_a_run_leaves_shows_one_but_the_scenario_itself(tmp_path: Path) -> None:
    """Its names and contents: what it printed, the result, the trace, the capture, how to replay it."""
    outputs = ("--pcap", str(tmp_path / "run.pcapng"), "--json", str(tmp_path / "run.json"), "--runs", str(tmp_path))
    done = CliRunner().invoke(app, ["run", "scenarios/chap_mutual.toml", *outputs])
    assert done.exit_code == 0, done.output
    left = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert sorted(left) == ["replay.txt", "result.json", "run.json", "run.pcapng", "scenario.toml", "trace.jsonl"]
    assert left.pop("scenario.toml") == Path("scenarios/chap_mutual.toml").read_bytes()
    assert b"CHAP_R=" in left["run.pcapng"]
    shown = b"\n".join([done.output.encode(), *left.values(), *(str(path).encode() for path in tmp_path.rglob("*"))])
    assert [secret for secret in SECRETS if secret.encode() in shown] == []
