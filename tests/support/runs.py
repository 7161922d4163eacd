"""Small whole scenarios made of tables, and a quick way to run them: what tests of the harness run.

`two_paths()` is the walkthrough cut down: a host with two NICs, an array with a group address and two or three
portals, one volume. `LOGINS` gives the host its two paths; what happens then is the test's own steps. Timers are
shortened so that minutes of a real failover take few virtual seconds.
"""

from __future__ import annotations

from typing import Any

from harness.load import scenario_from
from harness.narration import Narrator, QuietNarrator
from harness.result import Net, Result
from harness.run import run_scenario
from harness.scenario import Scenario
from initiator_model.profiles import profile_named
from initiator_model.timers import Timers

Tables = dict[str, Any]

HOST = "iqn.1991-05.com.microsoft:w2k3"
GROUP = "192.168.77.1"
PORTALS = ("192.168.77.2", "192.168.77.3", "192.168.77.4")
SOURCES = ("192.168.76.105", "192.168.76.125", "192.168.76.145")
NICS = ("w2k3/A", "w2k3/B", "w2k3/C")

SHORT_TIMERS: Tables = {
    "link_down_time": "500ms",
    "pdo_remove_period": "2s",
    "delay_between_reconnect": "200ms",
    "retry_interval": "50ms",
    "class_retry_interval": "50ms",
    "disk_timeout": "1s",
    "srb_timeout_delta": "200ms",
    "tcp_connect_time": "1s",
    "tcp_disconnect_time": "500ms",
    "wmi_request_timeout": "1s",
}
"""Everything that takes a second or a minute takes a fraction of one."""


def login(source: str | None = None, **more: Any) -> Tables:
    """A Log On with the multi-path box checked."""
    step: Tables = {"do": "login", "volume": "logs", "multipath": True}
    return step | ({} if source is None else {"source": source}) | more


LOGINS: list[Tables] = [{"do": "discover"}, login(SOURCES[0]), login(SOURCES[1])]


def workload(name: str = "io", **more: Any) -> Tables:
    """Mixed small I/O over a small region, paced so that a second of it is cheap."""
    step: Tables = {
        "do": "workload",
        "name": name,
        "volume": "logs",
        "op": "mixed",
        "block": "4KiB",
        "depth": 4,
        "pattern": "random",
        "region": "64KiB",
        "iops": 200,
    }
    return step | more


def two_paths(*steps: Tables, nics: int = 2, timers: Tables | None = None, **array: Any) -> Tables:
    """The tables of a scenario; ``array`` replaces keys of its `[array]`."""
    volume = {"name": "logs", "size": "16MiB", "access": [{"initiator": HOST}]}
    base = {"name": "PS100", "group": f"{GROUP}/22", "portals": list(PORTALS[: max(2, nics)]), "volumes": [volume]}
    host = {
        "name": "w2k3",
        "iqn": HOST,
        "timers": SHORT_TIMERS if timers is None else timers,
        "nics": [{"name": name.partition("/")[2], "address": f"{SOURCES[n]}/22"} for n, name in enumerate(NICS[:nics])],
    }
    return {"name": "two_paths", "array": base | array, "hosts": [host], "steps": [dict(step) for step in steps]}


def run(scenario: Tables | Scenario, *, seed: int = 1, net: Net = "sim", narrator: Narrator | None = None) -> Result:
    """Run it; whatever the scenario does wrong shows in the result."""
    made = scenario if isinstance(scenario, Scenario) else scenario_from(scenario)
    return run_scenario(made, seed=seed, net=net, pcap=None, narrator=narrator or QuietNarrator())


def timers_of(tables: Tables) -> Timers:
    """The timers that the first host of these tables has."""
    host = scenario_from(tables).hosts[0]
    return profile_named(host.profile).with_timers(host.timers).timers


def verdicts(result: Result) -> dict[str, str]:
    """The verdict of each check, by its name."""
    return {check.name: check.verdict for check in result.checks}


def failed(result: Result, check: str) -> str:
    """Why the check of that name failed; AssertionError when it did not."""
    found = [failure.why for failure in result.failures if failure.check == check]
    assert found, f'"{check}" did not fail; failed: {[failure.check for failure in result.failures]}'
    return found[0]
