"""Mistakes one makes in a policy, planted one at a time: `mpiolab check` catches each, by the rule made for it.

The story it reports is short, and it is replayed by a run wherever a run can show such a thing: there the oracle of
path selection has to see it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from harness.load import load_scenario
from harness.policy_check.replay import replay
from harness.policy_check.verdict import check_policy
from harness.result import ExitCode
from initiator_model.policies import Selector
from tests.planted import wrong_policies as wrong
from tests.support.runs import run


class Plant(NamedTuple):
    """A wrong policy, the rule it breaks, at most how many events show it, and whether a run shows it."""

    policy: type[Selector]
    rule: str
    events: int
    replays: bool = True


PLANTS = [
    Plant(wrong.PicksAFailedPath, "usable path", 6),
    Plant(wrong.SkipsTheSecondOfThree, "turns", 6),
    Plant(wrong.TakesStandbyForActive, "usable path", 4),
    Plant(wrong.UsesARemovedPath, "usable path", 8),
    Plant(wrong.KeepsStaleCounts, "fewest requests here", 12),
    Plant(wrong.CountsOnlyItself, "fewest requests", 6, replays=False),  # in a run each session has one LUN
    Plant(wrong.RefusesWhileOneIsUsable, "no refusal", 2),
    Plant(wrong.NeverActivates, "no refusal", 4),
    Plant(wrong.StopsAtEightPaths, "no refusal", 19),
    Plant(wrong.NeverFailsBack, "preferred path", 7),
    Plant(wrong.RaisesOnAnEmptyList, "no exception", 3),
    Plant(wrong.RevivesAFailedPath, "legal moves", 2),
    Plant(wrong.DependsOnSetOrder, "order of sets", 3, replays=False),
    Plant(wrong.DependsOnHashesOfStrings, "order of sets", 6, replays=False),
    Plant(wrong.ThrowsDice, "same again", 3, replays=False),
    Plant(wrong.KeepsEveryRequest, "bounded memory", 0, replays=False),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.policy.__name__)
def test_each_mistake_is_caught_by_its_rule_and_replayed(plant: Plant, tmp_path: Path) -> None:
    option = f"{plant.policy.__module__}:{plant.policy.__qualname__}"
    verdict = check_policy(option, examples=300, seed=0)
    failing = verdict.failing
    assert failing is not None
    assert (failing.rule.name, failing.why) == (plant.rule, failing.why)
    assert len(failing.story) <= plant.events, [str(event) for event in failing.events]

    file = tmp_path / "story.toml"
    replayed = replay(verdict, failing, file)
    assert replayed.replays is plant.replays, replayed.words
    if plant.replays:
        result = run(load_scenario(file))
        assert [failure.check for failure in result.failures] == ["path selection"]
        assert result.exit_code is ExitCode.CORRECTNESS
    elif replayed.path is None:
        assert replayed.words.startswith("no scenario: ")
    else:
        assert "the load of another LUN" in replayed.words
