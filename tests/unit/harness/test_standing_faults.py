"""A fault's name breaks one thing at a time, and only what is broken is mended."""

from __future__ import annotations

import pytest

from harness.load import scenario_from
from harness.mistakes import ScenarioError
from tests.support.runs import NICS, Tables, two_paths

CABLE: Tables = {"do": "fault", "kind": "link_down", "nic": NICS[0], "name": "cable"}
HEAL: Tables = {"do": "heal", "name": "cable"}


def mistakes(*steps: Tables) -> list[str]:
    try:
        scenario_from(two_paths(*steps))
    except ScenarioError as error:
        return [f"{mistake.key}: {mistake.message}" for mistake in error.mistakes]
    return []


@pytest.mark.parametrize(
    "steps",
    [
        [CABLE],
        [CABLE, HEAL],
        [CABLE, HEAL, CABLE, HEAL],
        [CABLE | {"net": "sim"}, HEAL | {"net": "sim"}],
        [CABLE, {"do": "fault", "kind": "link_down", "nic": NICS[0]}, HEAL],
        [{"do": "fault", "kind": "array_kill"}, {"do": "heal", "name": "array_kill array"}],
    ],
)
def test_fine(steps: list[Tables]) -> None:
    assert mistakes(*steps) == []


def test_a_fault_that_stands_is_not_made_again_under_its_name() -> None:
    again = CABLE | {"nic": NICS[1]}
    assert mistakes(CABLE, again) == [
        'steps[1].name: the fault "cable" of steps[0] still stands; give this one another name'
    ]


def test_a_fault_is_mended_once() -> None:
    assert mistakes(CABLE, HEAL, HEAL) == ['steps[2].name: the fault "cable" is mended already']


def test_a_misspelt_fault_is_told_with_the_name_that_is_close() -> None:
    assert mistakes(CABLE, {"do": "heal", "name": "cabel"}) == [
        'steps[1].name: no earlier fault "cabel": did you mean "cable"?'
    ]


def test_a_fault_of_one_network_is_mended_on_that_network_alone() -> None:
    assert mistakes(CABLE | {"net": "sim"}, HEAL) == [
        'steps[1].name: on net = "tcp" there is no fault "cable" here: mark this step net = "sim"'
    ]
