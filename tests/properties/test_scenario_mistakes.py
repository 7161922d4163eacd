"""Whatever stands in a scenario file, reading it ends in a scenario or in mistakes with a place, never in a crash."""

import copy
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load import scenario_from
from harness.mistakes import Mistake, ScenarioError

WHOLE: dict[str, Any] = tomllib.loads("""
name = "whole"
[network]
subnet = "192.168.48.0/22"
[array]
group = "192.168.51.1/22"
portals = ["192.168.51.2", "192.168.51.3"]
placement = { fixed = "192.168.51.2" }
[[array.volumes]]
name = "logs"
size = "1GiB"
access = [{ initiator = "iqn.1991-05.com.microsoft:w2k3", chap = { user = "w2k3", secret = "0123456789ab" } }]
[[hosts]]
name = "w2k3"
profile = "ms-iscsi-2.07"
iqn = "iqn.1991-05.com.microsoft:w2k3"
next_port = 2815
timers = { link_down_time = "15s", retry_count = 3 }
nics = [{ name = "3A", address = "192.168.50.105/22" }, { name = "3B", address = "192.168.50.125/22" }]
[[steps]]
do = "login"
volume = "logs"
source = "192.168.50.105"
[[steps]]
do = "set_policy"
volume = "logs"
policy = "failover-only"
standby = ["192.168.50.125"]
[[steps]]
do = "workload"
name = "reads"
volume = "logs"
op = "read"
block = "4KiB"
region = "1MiB"
ios = 100
background = true
[[steps]]
do = "fault"
kind = "latency"
nic = "w2k3/3A"
extra = "1ms"
[[steps]]
do = "heal"
name = "latency w2k3/3A"
[[steps]]
do = "stop"
name = "reads"
[[steps]]
do = "expect"
that = [
    { check = "throughput", phase = "reads", of_arithmetic = "1Gbit" },
    { check = "path_states", volume = "logs", states = { Active = 1 } },
    { check = "redirects", portals = ["192.168.51.2"] },
]
""")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "reads", "1GiB"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


def places(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value inside the tables."""
    items: list[tuple[str | int, object]] = []
    if isinstance(node, dict):
        items = list(node.items())
    elif isinstance(node, list):
        items = list(enumerate(node))
    return [place for key, value in items for place in ((*path, key), *places(value, (*path, key)))]


PLACES = places(WHOLE)


def holder(tables: Any, place: tuple[str | int, ...]) -> Any:
    for key in place[:-1]:
        tables = tables[key]
    return tables


def mistakes(tables: dict[str, Any]) -> tuple[Mistake, ...]:
    try:
        scenario_from(tables)
    except ScenarioError as error:
        return error.mistakes
    return ()


def test_the_example_is_without_a_mistake() -> None:
    assert scenario_from(WHOLE).name == "whole"


@given(st.sampled_from(PLACES), VALUES)
@settings(deadline=None, max_examples=300)
def test_any_value_anywhere_is_read_or_told(place: tuple[str | int, ...], value: object) -> None:
    tables = copy.deepcopy(WHOLE)
    holder(tables, place)[place[-1]] = value
    assert all(mistake.key and mistake.message for mistake in mistakes(tables))


@given(st.sampled_from(PLACES))
@settings(deadline=None, max_examples=100)
def test_an_unknown_key_is_told_at_its_own_place(place: tuple[str | int, ...]) -> None:
    tables = copy.deepcopy(WHOLE)
    table = holder(tables, place)
    if isinstance(table, list):
        return
    key = f"{place[-1]}x"
    table[key] = table[place[-1]]
    assert any(mistake.key.endswith(key) for mistake in mistakes(tables))
