"""The walkthrough's file on real sockets: no root, loopback addresses, the same redirects and path use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.load import load_scenario, scenario_from
from harness.loopback import loopback_address, scenario_on_loopback
from harness.mistakes import ScenarioError
from harness.narration import QuietNarrator
from harness.run import run_scenario
from harness.scenario import Scenario
from tests.interop.support import free_port

ON_TCP = [
    "ps100_round_robin",
    "ps100_three_nics",
    "all_portals_listed",
    "active_passive",
    "portal_down",
    "drain_portal",
]


def _on_a_free_port(scenario: Scenario) -> Scenario:
    """The same scenario beside whatever else uses port 3260 of this machine."""
    text = json.dumps(scenario.model_dump(mode="json", by_alias=True, exclude_unset=True))
    port = free_port("127.0.51.1")
    tables = json.loads(text.replace(":3260", f":{port}"))
    tables["array"]["port"] = port
    return scenario_from(tables)


@pytest.mark.parametrize("name", ON_TCP)
def test_scenario_passes_on_loopback(name: str) -> None:
    scenario = _on_a_free_port(load_scenario(Path(f"scenarios/{name}.toml")))

    result = run_scenario(scenario, seed=1, net="tcp", pcap=None, narrator=QuietNarrator())

    assert not result.failures, "\n".join(f"{failure.check}: {failure.why}" for failure in result.failures)
    assert result.trace_sha256 is None
    assert result.io.ok == result.io.submitted > 0


def test_addresses_keep_their_last_two_octets() -> None:
    assert loopback_address("192.168.51.2") == "127.0.51.2"
    assert loopback_address("192.168.50.105/22") == "127.0.50.105/22"
    assert loopback_address("192.168.51.2:3260") == "127.0.51.2:3260"
    assert loopback_address("0.0.0.0/0") == "0.0.0.0/0"
    assert loopback_address("mail-db") == "mail-db"


def test_two_addresses_that_become_one_are_refused() -> None:
    scenario = load_scenario(Path("scenarios/portal_down.toml"))
    tables = scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)
    tables["network"] = {}
    tables["array"]["group"] = "192.168.51.1/15"
    tables["array"]["portals"][0] = "192.169.51.1"

    with pytest.raises(ScenarioError, match=r"both become 127\.0\.51\.1"):
        scenario_on_loopback(scenario_from(_without_portal_steps(tables)))


def _without_portal_steps(tables: dict[str, object]) -> dict[str, object]:
    steps = tables["steps"]
    assert isinstance(steps, list)
    tables["steps"] = [step for step in steps if step["do"] in ("discover", "login")]
    return tables


def test_a_fault_without_meaning_on_real_tcp_is_refused_by_its_name() -> None:
    tables = load_scenario(Path("scenarios/ps100_fail_over_only.toml")).model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    for step in tables["steps"]:
        step.pop("net", None)

    with pytest.raises(ScenarioError, match=r'steps\[\d+\]\.kind: "link_down" has no meaning on real TCP'):
        run_scenario(scenario_from(tables), seed=1, net="tcp", pcap=None, narrator=QuietNarrator())
