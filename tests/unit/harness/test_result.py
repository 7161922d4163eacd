"""The result document `mpiolab.result/1`: its exact shape, and reading it back."""

import json
from dataclasses import replace

import pytest

from harness.result import ExitCode, Failure, Result, ResultError, from_json


def test_the_document_has_the_fields_others_read(result: Result) -> None:
    document = json.loads(result.to_json())
    assert list(document) == [
        "schema", "scenario", "seed", "net", "verdict", "failures", "checks", "trace_sha256", "virtual_seconds",
        "wall_seconds", "connections", "phases", "failovers", "io", "marks", "events",
    ]  # fmt: skip
    assert document["schema"] == "mpiolab.result/1"
    assert document["checks"] == [{"name": "io", "verdict": "pass"}]
    assert document["connections"][0] == {
        "host": "w2k3", "local": "192.168.50.105:2817", "remote": "192.168.51.2:3260",
        "state": "ESTABLISHED", "offload": True, "via": "192.168.51.1:3260",
    }  # fmt: skip
    [phase] = document["phases"]
    assert list(phase) == [
        "name", "policy", "start_s", "end_s", "ios", "bytes", "iops", "throughput_bytes_per_s", "latency_us", "paths",
    ]  # fmt: skip
    assert phase["latency_us"] == {"p50": 500.0, "p99": 900.0, "max": 1200.0}
    assert list(phase["paths"][0]) == ["id", "local", "portal", "state", "ios", "bytes", "share"]
    assert list(document["failovers"][0]) == [
        "host", "path", "cause", "fault_at_s", "detected_at_s", "resumed_at_s", "stall_s",
    ]  # fmt: skip
    assert document["io"] == {"submitted": 3000, "ok": 3000, "failed": 0, "unknown": 0}


def test_a_document_reads_back_as_the_same_result(result: Result) -> None:
    failed = replace(result, verdict="fail", failures=(Failure("io", "one failed", {"failed": 1}, "liveness"),))
    assert from_json(failed.to_json()) == failed


def test_later_additions_are_ignored_and_absent_kinds_assumed(result: Result) -> None:
    document = result.to_document() | {"weather": "fine"}
    document["failures"] = [{"check": "io", "why": "one failed", "evidence": {}}]
    assert from_json(json.dumps(document)).failures[0].kind == "correctness"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("schema", "mpiolab.result/2", 'schema: expected "mpiolab.result/1", got "mpiolab.result/2"'),
        ("seed", "1", 'seed: expected a whole number, got "1"'),
        ("net", "udp", 'net: expected one of sim, tcp, got "udp"'),
        ("phases", {}, "phases: expected an array"),
        ("connections", [{"host": "w2k3"}], r"connections\[0\].local: missing"),
        ("virtual_seconds", None, "virtual_seconds: expected a number, got null"),
    ],
)
def test_a_wrong_document_is_told_where(result: Result, key: str, value: object, told: str) -> None:
    document = result.to_document() | {key: value}
    with pytest.raises(ResultError, match=told):
        from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        (["correctness"], ExitCode.CORRECTNESS),
        (["liveness"], ExitCode.LIVENESS),
        (["determinism"], ExitCode.DETERMINISM),
        (["liveness", "correctness"], ExitCode.CORRECTNESS),
        (["determinism", "liveness"], ExitCode.LIVENESS),
    ],
)
def test_the_exit_code_says_what_kind_of_thing_failed(result: Result, kinds: list[str], code: ExitCode) -> None:
    failures = tuple(Failure("check", "why", {}, kind) for kind in kinds)  # type: ignore[arg-type]
    assert replace(result, verdict="fail", failures=failures).exit_code is code
    assert result.exit_code is ExitCode.PASS
    assert [int(code) for code in ExitCode] == [0, 2, 10, 11, 12, 70]
