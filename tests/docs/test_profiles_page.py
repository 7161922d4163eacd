"""docs/profiles.md has every profile and every timer, with the values the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.units import format_duration
from initiator_model.profiles import PROFILES, Profile
from initiator_model.timers import Timers
from initiator_model.timers.esxi import EsxiTimers
from initiator_model.timers.linux import LinuxTimers
from initiator_model.timers.microsoft import MicrosoftTimers

PAGE = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_every_profile_has_its_row(profile: Profile) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{profile.name}` |")]
    assert f"| `{profile.symmetric_policy.option}` |" in row
    assert f"| `{profile.errors.name}` |" in row
    assert f"| `{profile.tcp_profile}`" in row


@pytest.mark.parametrize(
    ("title", "timers"), [("Windows", MicrosoftTimers()), ("Linux", LinuxTimers()), ("ESXi", EsxiTimers())]
)
def test_every_timer_has_its_row_and_its_value(title: str, timers: Timers) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|", section(title), re.MULTILINE))
    values = {name: getattr(timers, field) for name, field in timers.names().items()}
    fields = timers.names()
    assert rows == {
        name: format_duration(value) if fields[name].endswith("_ns") else str(value) for name, value in values.items()
    }


def test_the_settings_dell_asks_for_are_timers_of_windows() -> None:
    asked = re.findall(r"`(\w+) = [^`]*`", section("Windows"))
    assert len(asked) == 9
    assert set(asked) <= set(MicrosoftTimers.names())
