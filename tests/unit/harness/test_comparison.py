"""What a comparison says as a whole: document, fairness, verdicts and exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.result import Failure, Result, from_json
from tests.support.comparing import comparison, faster, one_sided, refused


def test_the_document_holds_every_result_whole(tables: dict[str, Any], result: Result) -> None:
    document = json.loads(comparison(tables, round_robin=result, vmw_rr=faster(result, 2, "vmw-rr")).to_json())
    assert {key: document[key] for key in ("schema", "scenario", "seed", "net")} == {
        "schema": "mpiolab.compare/1",
        "scenario": "two_paths",
        "seed": 1,
        "net": "sim",
    }
    assert [(one["policy"], one["verdict"], one["refused"]) for one in document["policies"]] == [
        ("round-robin", "pass", None),
        ("vmw-rr", "pass", None),
    ]
    assert from_json(json.dumps(document["policies"][0]["result"])) == result


def test_fairness_is_of_each_phase_and_each_disk(tables: dict[str, Any], result: Result) -> None:
    uneven = replace(result, phases=(one_sided(result.phases[0]),))
    document = comparison(tables, round_robin=result, vmw_mru=uneven).to_document()
    even, sided = (one["fairness"] for one in document["policies"])
    assert even["phases"] == [{"name": "reads", "ios": 1.0, "bytes": 1.0}]
    assert sided["phases"] == [{"name": "reads", "ios": 0.5, "bytes": 0.5}]
    [disk] = sided["disks"]
    assert (disk["host"], disk["volume"], disk["ios"], disk["bytes"]) == ("w2k3", "logs", 0.5, 0.5)
    assert [(path["local"], path["share_of_bytes"]) for path in disk["paths"]] == [
        ("192.168.50.105", 1.0),
        ("192.168.50.125", 0.0),
    ]


def test_a_refused_policy_is_a_verdict_of_its_own(tables: dict[str, Any], result: Result) -> None:
    found = comparison(tables, round_robin=refused(result, "not every path can be active"), vmw_mru=result)
    assert [column.verdict for column in found.columns] == ["refused", "pass"]
    assert found.to_document()["policies"][0]["refused"] == "not every path can be active"
    assert found.exit_code == 10


@pytest.mark.parametrize(("kinds", "code"), [((), 0), (("liveness",), 11), (("liveness", "correctness"), 10)])
def test_the_lowest_code_of_the_runs_that_failed(
    tables: dict[str, Any], result: Result, kinds: tuple[Any, ...], code: int
) -> None:
    runs = {
        f"policy_{n}": replace(result, verdict="fail", failures=(Failure("content", "wrong", {}, kind),))
        for n, kind in enumerate(kinds)
    }
    assert comparison(tables, round_robin=result, **runs).exit_code == code


def test_the_worst_stall_counts_and_one_that_never_ended_is_worse(tables: dict[str, Any], result: Result) -> None:
    [loss] = result.failovers
    endless = replace(result, failovers=(loss, replace(loss, resumed_at_s=None, stall_s=None)))
    calm = replace(result, failovers=())
    found = comparison(tables, a=result, b=endless, c=calm)
    assert [column.worst_stall_s for column in found.columns] == [15.25, float("inf"), None]
