"""The same scenario under another policy, and what of its expectations holds there, too.

Every `set_policy` step gets the other policy. It keeps the settings that policy has, too (`SETTINGS`, and `standby`
where the policy can leave a path Standby), and loses the others; what the command line sets goes before what the file
sets. A disk that is worked on and never given a policy gets it after the last login before its first workload.

A scenario's `expect` steps speak of the policy its author chose: shares, throughputs, states, stalls. Under another
one they would be wrong where nothing is, so only what holds under every policy is judged of them (`JUDGED`). What no
scenario has to ask for is judged in any case: content, accepted, drain, and steps that fail or never end.
"""

from typing import Any

from harness.load import scenario_from
from harness.policy_choice import PolicyChoice
from harness.policy_step import SETTINGS
from harness.result import Net
from harness.scenario import Scenario
from harness.steps import Login, Workload
from initiator_model.policies.catalog import selector_class

JUDGED = ("io", "target_state")
"""Kinds of check that hold whatever the policy."""

_ONE_OF = ("type", "iops", "bytes")
"""Of vmw-rr: one on the command line takes the place of all three."""


def under_policy(scenario: Scenario, choice: PolicyChoice, net: Net, file: str) -> Scenario:
    """The scenario with this policy everywhere. Raises ScenarioError where a setting does not fit the scenario."""
    tables = scenario.tables()
    steps: list[dict[str, Any]] = tables["steps"]
    tables["steps"] = [_swapped(step, choice) if step["do"] == "set_policy" else step for step in steps]
    for index, disk in sorted(_places(scenario, net), reverse=True, key=lambda place: place[0]):
        tables["steps"].insert(index + 1, {"do": "set_policy", **disk, "policy": choice.name, **choice.settings})
    return scenario_from(tables, file=f'{file}, policy "{choice}"')


def _swapped(step: dict[str, Any], choice: PolicyChoice) -> dict[str, Any]:
    dropped = {"expect_error", *(name for name in (*SETTINGS, "standby") if not _has(choice.name, name))}
    if choice.settings.keys() & set(_ONE_OF):
        dropped |= set(_ONE_OF)
    kept = {key: value for key, value in step.items() if key not in dropped}
    return {**kept, "policy": choice.name, **choice.settings}


def _has(policy: str, setting: str) -> bool:
    """Whether the policy has the setting. The dm- policies leave it to path groups which paths stand by."""
    if setting == "standby":
        return policy not in SETTINGS["grouping"] and not selector_class(policy).needs_every_path
    return policy in SETTINGS[setting]


def _places(scenario: Scenario, net: Net) -> list[tuple[int, dict[str, Any]]]:
    """Where a disk without a policy gets one: the index of a login, and the keys that name the disk."""
    steps = [(index, step) for index, step in enumerate(scenario.steps) if step.net in (None, net)]
    given = {(scenario.host(step.host).name, step.volume) for _, step in steps if step.do == "set_policy"}
    places = []
    for at, work in steps:
        if not isinstance(work, Workload):
            continue
        host = scenario.host(work.host)
        if (host.name, work.volume) in given or not host.multipath:
            continue
        given.add((host.name, work.volume))
        logins = [
            index
            for index, step in steps
            if isinstance(step, Login)
            and step.expect_error is None
            and index < at
            and (scenario.host(step.host).name, step.volume) == (host.name, work.volume)
        ]
        if logins:
            places.append((logins[-1], {"host": host.name, "volume": work.volume}))
    return places
