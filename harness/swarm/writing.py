"""A scenario as a file in the manner of `scenarios/`: what was drawn can be read, run and changed by hand."""

from __future__ import annotations

from harness.scenario import Scenario
from harness.toml_text import toml_text

__all__ = ["scenario_toml"]


def scenario_toml(scenario: Scenario, heading: str = "") -> str:
    """The text of a scenario file that reads back to an equal scenario; ``heading`` becomes its first comment."""
    comment = f"# {heading}\n" if heading else ""
    return comment + toml_text(scenario.tables())
