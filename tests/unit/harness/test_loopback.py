"""Addresses on real TCP: into 127.0.0.0/8, everywhere at once, none mistaken for another."""

from __future__ import annotations

import pytest

from harness.load import scenario_from
from harness.loopback import array_on_loopback, loopback_address, scenario_on_loopback
from harness.mistakes import ScenarioError
from harness.steps import Login
from tests.support.runs import LOGINS, SOURCES, two_paths


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("192.168.51.2", "127.0.51.2"),
        ("10.1.2.3/24", "127.0.2.3/24"),
        ("192.168.51.2:3260", "127.0.51.2:3260"),
        ("192.168.0.0/16", "127.0.0.0/16"),
        ("10.0.0.0/8", "127.0.0.0/8"),
        ("128.0.0.0/1", "127.0.0.0/8"),  # loopback has no shorter prefix
        ("0.0.0.0/0", "0.0.0.0/0"),  # everybody stays everybody
        ("logs", "logs"),
        ("iqn.1991-05.com.microsoft:10.1.2.3", "iqn.1991-05.com.microsoft:10.1.2.3"),
        ("", ""),
    ],
)
def test_the_last_two_octets_stay(address: str, there: str) -> None:
    assert loopback_address(address) == there


def test_a_scenario_moves_as_a_whole() -> None:
    table = {f"{SOURCES[0]}:2815": "192.168.77.2"}
    check = {"check": "connections", "table": table}
    tables = two_paths(*LOGINS, {"do": "expect", "that": [check]}, placement={"fixed": "192.168.77.3"})

    moved = scenario_on_loopback(scenario_from(tables)).model_dump(mode="json", by_alias=True, exclude_unset=True)

    assert moved["array"]["group"] == "127.0.77.1/22"
    assert moved["array"]["portals"] == ["127.0.77.2", "127.0.77.3"]
    assert moved["array"]["placement"] == {"fixed": "127.0.77.3"}
    assert moved["hosts"][0]["nics"][0]["address"] == "127.0.76.105/22"
    assert moved["steps"][1]["source"] == "127.0.76.105"
    assert moved["steps"][3]["that"][0]["table"] == {"127.0.76.105:2815": "127.0.77.2"}
    assert moved["name"] == "two_paths"


def test_what_is_on_loopback_already_stays_there() -> None:
    once = scenario_on_loopback(scenario_from(two_paths(*LOGINS)))
    assert scenario_on_loopback(once) == once


def test_two_addresses_that_would_become_one_are_refused_by_name() -> None:
    tables = two_paths({"do": "discover"})
    tables["network"] = {"subnet": "10.0.0.0/8"}
    tables["array"]["group"] = "10.1.77.1/8"
    tables["array"]["portals"] = ["10.2.77.1"]
    tables["hosts"][0]["nics"] = [{"name": "A", "address": "10.1.76.105/8"}]

    with pytest.raises(ScenarioError, match=r"10\.1\.77\.1 and 10\.2\.77\.1 both become 127\.0\.77\.1 on real TCP"):
        scenario_on_loopback(scenario_from(tables))


def test_an_array_alone_moves_too() -> None:
    array = scenario_from(two_paths({"do": "discover"})).array
    assert array_on_loopback(array).portals == ("127.0.77.2", "127.0.77.3")


def test_a_source_that_is_left_out_stays_left_out() -> None:
    moved = scenario_on_loopback(scenario_from(two_paths({"do": "discover"}, {"do": "login", "volume": "logs"})))
    step = moved.steps[1]
    assert isinstance(step, Login)
    assert step.source is None
