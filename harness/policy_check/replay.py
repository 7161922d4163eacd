"""A failing story as a scenario that `mpiolab run` replays.

Not everything has a counterpart in a run, so the scenario is run before anything is said about it: the oracle of path
selection (`harness.check.path_selection`) sees the mistake there, or it does not, and then the report says that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.check.path_selection import PATH_SELECTION
from harness.load import scenario_from
from harness.narration import QuietNarrator
from harness.policy_check.rules import BOUNDED_MEMORY, ORDER_OF_SETS, SAME_AGAIN
from harness.policy_check.story_steps import HOST, VOLUME, Steps, nic, paths_of, portal, source
from harness.policy_check.verdict import Failing, Verdict
from harness.toml_text import toml_text

__all__ = ["Replayed", "replay", "scenario_of"]

_IN_NO_RUN: Final = {
    SAME_AGAIN: "one run cannot show that another one is different",
    ORDER_OF_SETS: "one run cannot show that another process chooses otherwise",
    BOUNDED_MEMORY: "a run is too short to show what is never forgotten",
}

_IQN: Final = "iqn.1991-05.com.microsoft:host"
_TIMERS: Final = {
    "link_down_time": "10ms",
    "delay_between_reconnect": "100ms",
    "pdo_remove_period": "60s",
    "wmi_request_timeout": "200ms",
    "tcp_connect_time": "1s",
    "tcp_disconnect_time": "100ms",
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the scenario; `path` is None where there is none. `words` is a sentence."""

    path: Path | None
    replays: bool
    words: str


def replay(verdict: Verdict, failing: Failing, file: Path) -> Replayed:
    """Write the scenario and run it. Raises OSError where the file cannot be written."""
    from harness.run import run_scenario

    if failing.rule in _IN_NO_RUN:
        return Replayed(None, False, f"no scenario: {_IN_NO_RUN[failing.rule]}")
    if not paths_of(failing.events):
        return Replayed(None, False, "no scenario: without a path there is no disk")
    tables, left_out = scenario_of(verdict.option, failing)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# {failing.rule.sentence}\n{toml_text(tables)}", encoding="utf-8")
    scenario = scenario_from(tables, file=str(file))
    result = run_scenario(scenario, seed=scenario.seed, net="sim", pcap=None, narrator=QuietNarrator())
    for failure in result.failures:
        if failure.check == PATH_SELECTION:
            return Replayed(file, True, f"it replays: {failure.check}: {failure.why}")
    missing = f"; it leaves out {' and '.join(left_out)}" if left_out else ""
    if result.failures:
        first = result.failures[0]
        words = f'the run fails, but not on "{PATH_SELECTION}": {first.check}: {first.why}'
        return Replayed(file, False, words + missing)
    return Replayed(file, False, f"the run does not show it{missing}")


def scenario_of(option: str, failing: Failing) -> tuple[dict[str, Any], list[str]]:
    """The scenario's tables, and what of the story it leaves out."""
    paths = paths_of(failing.events)
    steps = Steps(option, failing.story)
    rows = steps.all()
    tables = {
        "name": scenario_name(option),
        "title": f"{option} breaks the rule: {failing.rule.name}",
        "array": {
            "kind": "listed",
            "name": "array",
            "portals": [portal(path) for path in paths],
            "volumes": [{"name": VOLUME, "size": "64MiB", "access": [{"initiator": _IQN}]}],
        },
        "hosts": [
            {
                "name": HOST,
                "iqn": _IQN,
                "timers": _TIMERS,
                "nics": [{"name": nic(path), "address": f"{source(path)}/16"} for path in paths],
            }
        ],
        "steps": rows,
    }
    return tables, steps.left_out


def scenario_name(option: str) -> str:
    """Of the scenario, and of its file: what the policy's class is called, or its name."""
    return "check-" + re.sub(r"[^A-Za-z0-9_.-]", "-", option.rpartition(":")[2])
