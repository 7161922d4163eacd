"""docs/policies.md names every policy, its settings, and scenarios that show it."""

from __future__ import annotations

import re
from pathlib import Path

from harness.policy_step import SETTINGS
from initiator_model.policies.catalog import BUILT_IN

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| `([\w-]+)` \| \w+ \| [^|]* \| [^|]* \| ([^|]*)\| ([^|]*) \|$",
    (ROOT / "docs" / "policies.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_every_policy_has_a_row_in_the_order_of_the_catalog() -> None:
    assert [name for name, _, _ in ROWS] == [policy.option for policy in BUILT_IN]


def test_each_row_names_the_settings_the_step_takes_for_it() -> None:
    for name, settings, _ in ROWS:
        named = set(re.findall(r"`(\w+)`", settings)) - {"standby"}
        assert named == {setting for setting, policies in SETTINGS.items() if name in policies}, name


def test_each_row_names_scenarios_that_set_the_policy_or_start_with_it() -> None:
    for name, _, scenarios in ROWS:
        for scenario in re.findall(r"`(\w+)`", scenarios):
            text = (ROOT / "scenarios" / f"{scenario}.toml").read_text(encoding="utf-8")
            started = {"least-queue-depth": "eql-hit", "failover-only": "ms-iscsi-2.07"}.get(name, "?")
            assert f'"{name}"' in text or started in text or name == "dm-service-time", (name, scenario)
