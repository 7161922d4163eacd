"""The Scenario type: quantities become integers, defaults fill in, tables that contradict themselves are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from harness.fault_step import Fault
from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.scenario import FixedPlacement
from harness.step_words import fault_words
from harness.steps import Login, Workload

Tables = dict[str, Any]


def told(tables: Tables) -> str:
    with pytest.raises(ScenarioError) as caught:
        scenario_from(tables)
    return str(caught.value)


def test_quantities_become_integers_with_their_unit_in_the_name(tables: Tables) -> None:
    tables["hosts"][0]["nics"][0] |= {"rate": "100Mbit", "latency": "25us", "offload": True}
    scenario = scenario_from(tables)
    nic = scenario.hosts[0].nic("3A_iSCSI")
    assert (nic.rate_bits_per_s, nic.latency_ns, nic.offload) == (100_000_000, 25_000, True)
    assert (nic.ip, nic.prefix_length) == ("192.168.50.105", 22)
    assert scenario.array.volume("logs").size_bytes == 2**30


def test_defaults_are_the_bench_of_the_walkthrough(tables: Tables) -> None:
    scenario = scenario_from(tables)
    assert scenario.seed == 1
    assert scenario.array.kind == "equallogic"
    assert (scenario.array.port, scenario.array.placement, scenario.array.direct_login) == (
        3260,
        "least-connections",
        "serve",
    )
    assert (scenario.network.mtu, scenario.network.switch_latency_ns) == (1500, 5_000)
    assert str(scenario.subnet) == "192.168.48.0/22"
    work = scenario.workload("reads")
    assert (work.block_bytes, work.depth, work.pattern, work.duration_ns) == (65_536, 16, "sequential", 2 * 10**9)


def test_steps_are_told_apart_by_do(tables: Tables) -> None:
    login, work, _ = scenario_from(tables).steps
    assert isinstance(login, Login)
    assert login.multipath
    assert isinstance(work, Workload)


def test_a_step_without_a_host_is_done_at_the_first(tables: Tables) -> None:
    scenario = scenario_from(tables)
    assert scenario.host(None) is scenario.hosts[0] is scenario.host("w2k3")


def test_a_scenario_cannot_be_changed(tables: Tables) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        scenario_from(tables).seed = 2  # type: ignore[misc]


def test_a_scenario_is_written_as_it_was_read(tables: Tables) -> None:
    tables["array"]["placement"] = {"fixed": "192.168.51.3"}
    tables["hosts"][0]["timers"] = {"link_down_time": "15s", "retry_count": 3, "enable_nop_out": True}
    scenario = scenario_from(tables)
    written = scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert written["hosts"][0]["timers"] == {"link_down_time": "15s", "retry_count": 3, "enable_nop_out": 1}
    assert scenario_from(written) == scenario


def test_placement_is_a_name_or_one_portal(tables: Tables) -> None:
    tables["array"]["placement"] = {"fixed": "192.168.51.3"}
    assert scenario_from(tables).array.placement == FixedPlacement(fixed="192.168.51.3")
    tables["array"]["placement"] = "random"
    assert 'array.placement: expected "least-connections", "round-robin" or "hash-source", got "random"' in told(tables)


def test_an_array_that_lists_its_portals_has_no_group_address(tables: Tables) -> None:
    tables["array"]["kind"] = "listed"
    assert 'kind = "listed" has no group' in told(tables)
    del tables["array"]["group"]
    array = scenario_from(tables).array
    assert (array.group_ip, array.discovery_ip) == (None, "192.168.51.2")


def test_an_equallogic_group_needs_its_address(tables: Tables) -> None:
    del tables["array"]["group"]
    assert 'array: kind = "equallogic" wants group' in told(tables)


@pytest.mark.parametrize(
    ("fault", "place", "name"),
    [
        ({"kind": "link_down", "nic": "w2k3/3A_iSCSI"}, "w2k3/3A_iSCSI", "link_down w2k3/3A_iSCSI"),
        ({"kind": "blackhole", "portal": "192.168.51.2"}, "192.168.51.2", "blackhole 192.168.51.2"),
        ({"kind": "latency", "nic": "w2k3/3B_iSCSI", "extra": "1ms"}, "w2k3/3B_iSCSI", "latency w2k3/3B_iSCSI"),
        ({"kind": "rate", "portal": "192.168.51.2", "rate": "100Mbit", "name": "slow"}, "192.168.51.2", "slow"),
        ({"kind": "loss", "nic": "w2k3/3A_iSCSI", "share": 0.001}, "w2k3/3A_iSCSI", "loss w2k3/3A_iSCSI"),
        ({"kind": "corrupt", "portal": "192.168.51.2", "share": 1}, "192.168.51.2", "corrupt 192.168.51.2"),
        (
            {"kind": "reorder", "portal": "192.168.51.2", "share": 0.1, "delay": "50us", "direction": "in"},
            "192.168.51.2",
            "reorder 192.168.51.2",
        ),
        ({"kind": "jitter", "nic": "w2k3/3A_iSCSI", "extra": "1ms"}, "w2k3/3A_iSCSI", "jitter w2k3/3A_iSCSI"),
        ({"kind": "queue_limit", "portal": "192.168.51.2", "limit": "64KiB", "name": "q"}, "192.168.51.2", "q"),
        ({"kind": "clog", "nic": "w2k3/3A_iSCSI", "direction": "out"}, "w2k3/3A_iSCSI", "clog w2k3/3A_iSCSI"),
        ({"kind": "blackhole", "nic": "w2k3/3A_iSCSI", "direction": "out"}, "w2k3/3A_iSCSI", "blackhole w2k3/3A_iSCSI"),
        ({"kind": "portal_down", "portal": "192.168.51.3"}, "192.168.51.3", "portal_down 192.168.51.3"),
        ({"kind": "array_kill"}, "array", "array_kill array"),
        ({"kind": "host_reboot", "host": "w2k3"}, "w2k3", "host_reboot w2k3"),
    ],
)
def test_a_fault_has_a_place_and_a_name_to_heal_it_by(tables: Tables, fault: Tables, place: str, name: str) -> None:
    tables["steps"] += [{"do": "fault", **fault}, {"do": "heal", "name": name}]
    step = scenario_from(tables).steps[-2]
    assert isinstance(step, Fault)
    assert (step.place, step.fault_name) == (place, name)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"kind": "link_down"}, "wants nic or portal"),
        ({"kind": "link_down", "nic": "w2k3/3A_iSCSI", "portal": "192.168.51.2"}, "wants nic or portal"),
        ({"kind": "latency", "nic": "w2k3/3A_iSCSI"}, "wants extra"),
        ({"kind": "loss", "nic": "w2k3/3A_iSCSI"}, "wants share"),
        ({"kind": "loss", "share": 0.1}, "wants nic or portal"),
        ({"kind": "reorder", "nic": "w2k3/3A_iSCSI"}, "wants share and delay"),
        ({"kind": "reorder", "nic": "w2k3/3A_iSCSI", "share": 0.1, "delay": "0s"}, "wants delay above 0"),
        ({"kind": "jitter", "nic": "w2k3/3A_iSCSI", "extra": "0s"}, "wants extra above 0"),
        ({"kind": "jitter", "nic": "w2k3/3A_iSCSI", "extra": "1ms", "direction": "in"}, "has no direction"),
        ({"kind": "queue_limit", "nic": "w2k3/3A_iSCSI", "limit": "0B"}, "wants limit above 0"),
        ({"kind": "clog", "nic": "w2k3/3A_iSCSI", "share": 0.5}, "has no share"),
        ({"kind": "link_down", "nic": "w2k3/3A_iSCSI", "direction": "in"}, "has no direction"),
        ({"kind": "busy", "portal": "192.168.51.2", "direction": "in"}, "has no direction"),
        ({"kind": "array_kill", "portal": "192.168.51.2"}, "has no portal"),
        ({"kind": "blackhole", "portal": "192.168.51.2", "carrier": True}, "has no carrier"),
    ],
)
def test_a_fault_takes_only_the_keys_of_its_kind(tables: Tables, fault: Tables, complaint: str) -> None:
    tables["steps"].append({"do": "fault", **fault})
    assert f'steps[3]: a fault of kind "{fault["kind"]}" {complaint}' in told(tables)


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        ({"fencing": "hope"}, "hosts[0].fencing: expected"),
        ({"fencing": "lun-reset", "target_notices": "3s"}, 'target_notices is what fencing = "wait" goes by'),
        ({"target_notices": "3s"}, 'target_notices is what fencing = "wait" goes by'),
    ],
)
def test_a_fence_that_is_none_is_refused(tables: Tables, host: Tables, complaint: str) -> None:
    tables["hosts"][0] |= host
    assert complaint in told(tables)


def test_a_host_fences_in_no_way_unless_it_is_told_to(tables: Tables) -> None:
    assert scenario_from(tables).hosts[0].fencing == "none"
    tables["hosts"][0] |= {"fencing": "wait", "target_notices": "3s"}
    host = scenario_from(tables).hosts[0]
    assert (host.fencing, host.target_notices_ns) == ("wait", 3 * 10**9)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"share": 0}, "steps[3].share: expected more than 0.0, got 0"),
        ({"share": 1.5}, "steps[3].share: expected at most 1.0, got 1.5"),
        ({"direction": "both"}, "steps[3].direction: expected"),
        ({"nic": "w2k3/3C_iSCSI"}, 'steps[3].nic: no NIC "w2k3/3C_iSCSI"'),
        ({"nic": None, "portal": "192.168.51.9"}, 'steps[3].portal: no portal "192.168.51.9"'),
    ],
)
def test_a_fault_of_a_cable_says_where_and_how_much(tables: Tables, change: Tables, complaint: str) -> None:
    fault = {"do": "fault", "kind": "loss", "nic": "w2k3/3A_iSCSI", "share": 0.1, **change}
    tables["steps"].append({key: value for key, value in fault.items() if value is not None})
    assert complaint in told(tables)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "loss", "share": 0.001}, "loss w2k3/3A_iSCSI, 0.1 % of the frames"),
        (
            {"kind": "corrupt", "share": 0.02, "direction": "in"},
            "corrupt w2k3/3A_iSCSI, 2 % of the frames that come to it",
        ),
        (
            {"kind": "reorder", "share": 0.5, "delay": "80us", "direction": "out"},
            "reorder w2k3/3A_iSCSI, 50 % of the frames it sends, 80us late",
        ),
        ({"kind": "jitter", "extra": "1ms"}, "jitter w2k3/3A_iSCSI, up to 1ms"),
        ({"kind": "latency", "extra": "1ms"}, "latency w2k3/3A_iSCSI +1ms"),
        ({"kind": "queue_limit", "limit": "64KiB"}, "queue limit w2k3/3A_iSCSI, 64KiB each way"),
        ({"kind": "clog"}, "clog w2k3/3A_iSCSI"),
        ({"kind": "blackhole", "direction": "in"}, "blackhole w2k3/3A_iSCSI, the frames that come to it"),
        ({"kind": "rate", "rate": "10Mbit"}, "rate w2k3/3A_iSCSI to 10Mbit"),
        ({"kind": "link_down", "carrier": True}, "link down w2k3/3A_iSCSI (link light stays on)"),
    ],
)
def test_a_fault_in_words(fault: Tables, words: str) -> None:
    step = Fault.model_validate({"do": "fault", "nic": "w2k3/3A_iSCSI", **fault})
    assert fault_words(step) == words


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ios": 100}, "expected duration or ios, not both"),
        ({"duration": None}, "or background = true"),
        ({"depth": 0}, "steps[1].depth: expected more than 0, got 0"),
        ({"read_share": 1.5}, "steps[1].read_share: expected at most 1"),
        ({"block": "1000B"}, "steps[1].block: expected a multiple of the volume's blocks of 512 bytes, got 1000"),
        ({"region": "2GiB"}, "steps[1].region: the volume has 1073741824 bytes"),
        ({"region": "4KiB"}, "steps[1].block: one block of 65536 bytes does not fit into the 4096 bytes"),
    ],
)
def test_a_workload_must_fit_and_end(tables: Tables, change: Tables, complaint: str) -> None:
    step = {**tables["steps"][1], **change}
    tables["steps"][1] = {key: value for key, value in step.items() if value is not None}
    assert complaint in told(tables)


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"do": "wait"}, "expected duration"),
        ({"do": "wait", "until": "paths_usable"}, "wants volume"),
        (
            {"do": "set_policy", "volume": "logs", "policy": "round-robin", "preferred": "192.168.50.105"},
            "failover-only",
        ),
        ({"do": "login", "volume": "logs", "chap_user": "w2k3"}, "chap_user and chap_secret go together"),
        ({"do": "expect", "that": []}, "steps[3].that: expected at least 1, got 0"),
        (
            {"do": "expect", "that": [{"check": "throughput", "phase": "reads"}]},
            "expected min, max, of or of_arithmetic",
        ),
        ({"do": "expect", "that": [{"check": "share", "phase": "reads"}]}, "expected either each"),
        ({"do": "expect", "that": [{"check": "redirects"}]}, "expected count and/or portals"),
    ],
)
def test_steps_and_checks_that_ask_for_nothing_are_refused(tables: Tables, step: Tables, complaint: str) -> None:
    tables["steps"].append(step)
    assert complaint in told(tables)


def test_chap_wants_secrets_of_96_bits_and_different_ones(tables: Tables) -> None:
    rule = tables["array"]["volumes"][0]["access"][0]
    rule["chap"] = {"user": "w2k3", "secret": "short"}
    assert "chap.secret: expected at least 12 bytes (RFC 7143 9.2.1), got 5" in told(tables)
    rule["chap"] = {"user": "w2k3", "secret": "0123456789ab", "mutual_user": "array", "mutual_secret": "0123456789ab"}
    assert "one secret must not serve both directions" in told(tables)
