"""What sweeps found and was mended stays mended: each file is a failure made as small as it would go."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.load import load_scenario
from tests.support.runs import run

FILES = sorted(Path("scenarios/regressions").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_passes(path: Path) -> None:
    scenario = load_scenario(path)
    result = run(scenario, seed=scenario.seed)

    assert [f"{failure.check}: {failure.why}" for failure in result.failures] == []
    assert scenario.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_there_are_some() -> None:
    assert FILES
