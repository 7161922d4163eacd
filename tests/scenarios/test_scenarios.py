"""Every scenario of the collection holds what it expects, and says in its first line what it teaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.load import load_scenario
from harness.narration import QuietNarrator
from harness.run import run_scenario
from harness.steps import Expect

SCENARIOS = sorted(Path("scenarios").glob("*.toml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario_passes(path: Path) -> None:
    scenario = load_scenario(path)

    result = run_scenario(scenario, seed=scenario.seed, net="sim", pcap=None, narrator=QuietNarrator())

    assert not result.failures, "\n".join(f"{failure.check}: {failure.why}" for failure in result.failures)
    assert result.verdict == "pass"
    if not any(check.check == "io" for step in scenario.steps if isinstance(step, Expect) for check in step.that):
        assert result.io.failed == result.io.unknown == 0


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario_is_named_after_its_file_says_what_it_teaches_and_expects_something(path: Path) -> None:
    scenario = load_scenario(path)

    assert scenario.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert any(isinstance(step, Expect) for step in scenario.steps)


def test_the_walkthrough_ends_with_the_connections_of_the_original() -> None:
    scenario = load_scenario(Path("scenarios/ps100_round_robin.toml"))

    result = run_scenario(scenario, seed=1, net="sim", pcap=None, narrator=QuietNarrator())

    mine = [row for row in result.connections if row.host == "w2k3" and row.state == "ESTABLISHED"]
    assert [(row.local, row.remote, row.offload, row.via) for row in mine] == [
        ("192.168.50.105:2817", "192.168.51.2:3260", True, "192.168.51.1:3260"),
        ("192.168.50.125:2819", "192.168.51.4:3260", True, "192.168.51.1:3260"),
    ]


def test_the_ports_come_out_of_the_model() -> None:
    """Another first port and no neighbour on .3: other numbers, other portals."""
    tables = load_scenario(Path("scenarios/ps100_round_robin.toml")).model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    tables["hosts"][0]["next_port"] = 1200
    tables["steps"] = [
        step for step in tables["steps"] if step["do"] in ("discover", "login", "netstat") and step.get("host") is None
    ]
    from harness.load import scenario_from

    result = run_scenario(scenario_from(tables), seed=1, net="sim", pcap=None, narrator=QuietNarrator())

    mine = [row for row in result.connections if row.host == "w2k3" and row.state == "ESTABLISHED"]
    assert [(row.local, row.remote) for row in mine] == [
        ("192.168.50.105:1202", "192.168.51.2:3260"),
        ("192.168.50.125:1204", "192.168.51.3:3260"),
    ]
