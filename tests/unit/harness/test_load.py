"""Reading scenario files: every mistake at once, each with file, dotted key and what was expected."""

from pathlib import Path
from typing import Any

import pytest

from harness.load import MAX_SCENARIO_BYTES, load_scenario, scenario_from
from harness.mistakes import Mistake, ScenarioError
from harness.schema import schema_text
from harness.serving.array_file import load_serving

Tables = dict[str, Any]


def mistakes(tables: Tables) -> list[tuple[str, str]]:
    with pytest.raises(ScenarioError) as caught:
        scenario_from(tables, file="x.toml")
    assert all(mistake.file == "x.toml" for mistake in caught.value.mistakes)
    return [(mistake.key, mistake.message) for mistake in caught.value.mistakes]


def write(directory: Path, text: str | bytes) -> Path:
    path = directory / "x.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_is_read(tmp_path: Path, toml: str) -> None:
    assert load_scenario(write(tmp_path, toml)).name == "two_paths"


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file(tables: Tables) -> None:
    tables["nme"] = tables.pop("name")
    tables["array"]["rate"] = "fast"
    tables["hosts"][0]["nics"][0]["speed"] = "1Gbit"
    tables["hosts"][0]["nics"][1]["address"] = "192.168.60.125/22"
    tables["steps"][0]["source"] = "192.168.50.106"
    tables["steps"][1] |= {"depth": "16", "volume": "log"}
    assert mistakes(tables) == [
        ("array.rate", 'expected a rate such as "1Gbit" (units: bit, Kbit, Mbit, Gbit), got "fast"'),
        ("hosts[0].nics[0].speed", "unknown key (known: name, address, rate, latency, offload)"),
        ("hosts[0].nics[1].address", "expected an address in 192.168.48.0/22 (array.group), got 192.168.60.125"),
        (
            "steps[0].source",
            'no source address of this host "192.168.50.106" (known: 192.168.50.105, 192.168.60.125)',
        ),
        ("steps[1].depth", 'expected a whole number, got "16"'),
        ("steps[1].volume", 'no volume "log": did you mean "logs"?'),
        ("nme", 'unknown key: did you mean "name"?'),
        ("name", "this key is wanted: Names the run directory"),
    ]


def test_a_mistake_reads_file_key_and_expectation() -> None:
    mistake = Mistake("a.toml", "hosts[0].nics[1].rate", 'expected a rate such as "1Gbit"')
    assert str(mistake) == 'a.toml: hosts[0].nics[1].rate: expected a rate such as "1Gbit"'


@pytest.mark.parametrize(
    ("step", "key", "message"),
    [
        ({"do": "netstat", "host": "w2k8"}, "host", 'no host "w2k8": did you mean "w2k3"?'),
        ({"do": "devices", "volume": "data"}, "volume", 'no volume "data" (known: logs)'),
        ({"do": "discover", "portal": "192.168.51.9"}, "portal", 'no portal "192.168.51.9"'),
        ({"do": "fault", "kind": "link_down", "nic": "w2k3/3a-iscsi"}, "nic", 'did you mean "w2k3/3A_iSCSI"?'),
        ({"do": "fault", "kind": "portal_down", "portal": "192.168.51.1"}, "portal", 'no portal "192.168.51.1"'),
        (
            {"do": "fault", "kind": "stalled", "portal": "192.168.51.1"},  # no command is served there
            "portal",
            'no portal "192.168.51.1"',
        ),
        ({"do": "heal", "name": "cable"}, "name", 'no earlier fault "cable"'),
        ({"do": "stop", "name": "reads"}, "name", 'no earlier background workload "reads"'),
        (
            {"do": "set_policy", "volume": "logs", "policy": "failover-only", "standby": ["192.168.50.106"]},
            "standby[0]",
            'no source address of this host "192.168.50.106"',
        ),
        (
            {"do": "set_policy", "volume": "logs", "policy": "weighted-paths", "weights": {"192.168.50.106": 1}},
            "weights.192.168.50.106",
            'no source address of this host "192.168.50.106"',
        ),
        (
            {"do": "set_policy", "volume": "logs", "policy": "weighted-paths", "weights": {"192.168.50.105": -1}},
            "weights.192.168.50.105",
            "expected",
        ),
    ],
)
def test_what_a_step_refers_to_must_exist(tables: Tables, step: Tables, key: str, message: str) -> None:
    tables["steps"].append(step)
    [(found_key, found)] = mistakes(tables)
    assert found_key == f"steps[3].{key}"
    assert message in found


@pytest.mark.parametrize("kind", ["silent", "no_login", "out_of_resources"])
def test_what_logins_meet_may_be_at_the_group_address(tables: Tables, kind: str) -> None:
    tables["steps"].append({"do": "fault", "kind": kind, "portal": "192.168.51.1"})
    assert scenario_from(tables).steps[-1].portal == "192.168.51.1"  # type: ignore[union-attr]


def test_only_weighted_paths_has_weights(tables: Tables) -> None:
    weights = {"192.168.50.105": 1}
    tables["steps"].append({"do": "set_policy", "volume": "logs", "policy": "round-robin", "weights": weights})
    assert mistakes(tables) == [("steps[3]", 'only policy = "weighted-paths" has weights')]


@pytest.mark.parametrize(
    ("check", "key"),
    [
        ({"check": "throughput", "phase": "writes", "min": "1Gbit"}, "phase"),
        ({"check": "throughput", "phase": "reads", "of": "writes", "ratio_min": 1.9}, "of"),
        ({"check": "share", "phase": "reads", "path": "192.168.50.106", "min": 0.4}, "path"),
        ({"check": "share", "phase": "reads", "beside": ["writes"], "of": "bytes", "each": 0.5}, "beside[0]"),
        ({"check": "policy", "host": "w2k8", "volume": "logs", "policy": "round-robin"}, "host"),
        ({"check": "redirects", "portals": ["192.168.51.1"]}, "portals[0]"),
    ],
)
def test_names_in_checks_must_exist(tables: Tables, check: Tables, key: str) -> None:
    tables["steps"][2]["that"].append(check)
    [(found_key, _)] = mistakes(tables)
    assert found_key == f"steps[2].that[1].{key}"


def test_the_key_of_a_wrong_check_names_no_branch_of_the_model(tables: Tables) -> None:
    """`policy` is a kind of check and a key of it: the key in the message is what stands in the file."""
    tables["steps"][2]["that"] = [{"check": "policy", "volume": 7, "policy": "robin"}]
    assert mistakes(tables) == [
        ("steps[2].that[0].volume", 'expected a text in quotes such as "w2k3", got 7'),
        ("steps[2].that[0].policy", 'no policy "robin" (one of your own is module:Class): did you mean "round-robin"?'),
    ]


def test_an_unknown_step_and_an_unknown_check_get_a_suggestion(tables: Tables) -> None:
    tables["steps"][0]["do"] = "logon"
    tables["steps"][2]["that"] = [{"check": "thruput"}, {"phase": "reads"}]
    assert mistakes(tables) == [
        ("steps[0]", 'do = "logon" is unknown: did you mean "login"?'),
        ("steps[2].that[0]", 'check = "thruput" is unknown: did you mean "throughput"?'),
        ("steps[2].that[1]", 'the key "check" is wanted: it says what kind this is'),
    ]


def test_names_and_addresses_are_given_once(tables: Tables) -> None:
    tables["array"]["portals"] = ["192.168.51.2", "192.168.51.1"]
    tables["hosts"][0]["nics"][1] = {"name": "3A_iSCSI", "address": "192.168.51.2/22"}
    tables["steps"].append(dict(tables["steps"][1]))
    assert mistakes(tables) == [
        ("array.portals[1]", 'there is already an address "192.168.51.1" at array.group'),
        ("hosts[0].nics[1].address", 'there is already an address "192.168.51.2" at array.portals[0]'),
        ("hosts[0].nics[1].name", 'there is already a NIC of this host "3A_iSCSI" at hosts[0].nics[0].name'),
        ("steps[3].name", 'there is already a workload "reads" at steps[1].name'),
    ]


def test_addresses_lie_in_the_subnet_and_are_not_its_ends(tables: Tables) -> None:
    tables["network"] = {"subnet": "192.168.50.0/23"}
    tables["array"]["portals"] = ["192.168.51.255", "192.168.52.2"]
    assert mistakes(tables) == [
        ("array.portals[0]", "192.168.51.255 is the network or broadcast address of 192.168.50.0/23"),
        ("array.portals[1]", "expected an address in 192.168.50.0/23 (network.subnet), got 192.168.52.2"),
    ]


def test_timers_are_those_of_the_profile(tables: Tables) -> None:
    tables["hosts"][0]["timers"] = {"link_down_tme": "15s", "disk_timeout": 60, "retry_count": "3s"}
    assert mistakes(tables) == [
        ("hosts[0].timers.link_down_tme", 'unknown timer of ms-iscsi-2.07: did you mean "link_down_time"?'),
        ("hosts[0].timers.disk_timeout", 'expected a duration such as "15s", got 60'),
        ("hosts[0].timers.retry_count", 'expected a whole number, or true or false for a switch, got "3s"'),
    ]


def test_a_host_hands_out_the_ports_of_its_system_and_is_not_called_array(tables: Tables) -> None:
    tables["hosts"][0] |= {"name": "array", "profile": "msdsm-2008", "next_port": 2815}
    assert mistakes(tables) == [
        ("hosts[0].name", '"array" is what the array\'s own machine is called'),
        ("hosts[0].next_port", "expected a port of msdsm-2008's range 49152 to 65535, got 2815"),
    ]


def test_goodput_arithmetic_is_refused_for_both_directions_at_once(tables: Tables) -> None:
    tables["steps"][1]["op"] = "mixed"
    tables["steps"][2]["that"] = [{"check": "throughput", "phase": "reads", "of_arithmetic": "1Gbit"}]
    [(key, message)] = mistakes(tables)
    assert key == "steps[2].that[0].of_arithmetic"
    assert "a mixed one fills both directions" in message


@pytest.mark.parametrize("where", ["hosts", "steps"])
def test_missing_parts_are_asked_for(tables: Tables, where: str) -> None:
    del tables[where]
    keys = [key for key, message in mistakes(tables) if message.startswith("this key is wanted")]
    assert keys == [where]


def test_tables_of_the_wrong_shape_do_not_hide_the_rest(tables: Tables) -> None:
    tables["hosts"] = "w2k3"
    tables["array"]["volumes"] = {"name": "logs"}
    tables["steps"][1]["depth"] = 1.5
    found = dict(mistakes(tables))
    assert found["hosts"] == 'expected an array in [ ], got "w2k3"'
    assert found["array.volumes"] == "expected an array in [ ], got a table"
    assert found["steps[1].depth"] == "expected a whole number, got 1.5"


def test_toml_syntax_errors_come_with_their_line(tmp_path: Path, toml: str) -> None:
    path = write(tmp_path, toml.replace('name = "PS100"', "name = PS100"))
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    [mistake] = caught.value.mistakes
    assert mistake.key == "line 6, column 8"
    assert mistake.message == "not TOML: Invalid value"


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"\xff\xfe", "TOML is UTF-8"), (b"#" * (MAX_SCENARIO_BYTES + 1), "expected at most")],
)
def test_files_that_are_no_text_or_far_too_large_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        load_scenario(write(tmp_path, content))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nowhere\.toml: cannot be read: No such file or directory"):
        load_scenario(tmp_path / "nowhere.toml")


def test_serve_reads_an_array_alone_or_out_of_a_scenario(tmp_path: Path, toml: str) -> None:
    whole = load_serving(write(tmp_path, toml))
    alone = load_serving(write(tmp_path, toml[toml.index("[array]") : toml.index("[[hosts]]")]))
    assert whole.array == alone.array
    assert whole.array.name == "PS100"


def test_the_schema_is_one_text_and_knows_every_step() -> None:
    text = schema_text()
    assert text == schema_text()
    assert '"$schema": "https://json-schema.org/draft/2020-12/schema"' in text
    assert all(f'"const": "{step}"' in text for step in ("login", "set_policy", "workload", "fault", "expect"))


def test_workloads_counted_together_are_of_one_disk(tables: Tables) -> None:
    tables["array"]["volumes"].append({**tables["array"]["volumes"][0], "name": "mail"})
    tables["steps"].insert(2, {**tables["steps"][1], "name": "more", "volume": "mail"})
    tables["steps"][3]["that"].append({"check": "share", "phase": "reads", "beside": ["more"], "each": 0.5})
    assert mistakes(tables) == [("steps[3].that[1].beside[0]", '"more" works on another disk')]
