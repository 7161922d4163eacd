"""Whole runs over cables that ail: what a host and its data suffer of each fault, and who notices."""

from __future__ import annotations

from typing import Any

import pytest

from harness.narration import QuietNarrator
from harness.result import Result
from tests.support.runs import LOGINS, NICS, PORTALS, Tables, failed, run, two_paths, verdicts, workload


def fault(kind: str, name: str = "it", **more: Any) -> Tables:
    place = {} if "portal" in more else {"nic": NICS[0]}
    return {"do": "fault", "kind": kind, "name": name, **place, **more}


def through(*faults: Tables, digests: bool = False, duration: str = "2s", **work: Any) -> Result:
    """The result of a workload that runs while the faults stand."""
    heals = [{"do": "heal", "name": each["name"]} for each in faults]
    io = workload(duration=duration, **work)
    steps = [*LOGINS, *faults, io, *heals, {"do": "wait", "duration": "5s"}]
    tables = two_paths(*steps)
    tables["hosts"][0]["digests"] = digests
    return run(tables)


def failures(result: Result) -> list[str]:
    return [failure.check for failure in result.failures]


CORRUPT = fault("corrupt", share=0.002)
LARGE = {"block": "64KiB", "region": "8MiB"}
"""Little of it is headers, so that most corrupted frames are data."""


def test_without_digests_corrupted_data_reaches_the_application_and_the_run_says_so() -> None:
    result = through(CORRUPT, op="write", **LARGE)
    assert failures(result) == ["sectors"], "nobody but the cable is to blame"
    assert "what no write ever put there" in failed(result, "sectors")
    assert (verdicts(result)["tcp"], verdicts(result)["dead tasks"]) == ("unknown", "unknown")


def test_with_digests_the_same_corruption_costs_sessions_and_no_data() -> None:
    result = through(CORRUPT, digests=True, op="write", **LARGE)
    assert failures(result) == []
    assert result.io.failed == result.io.unknown == 0
    assert result.failovers, "a digest error ends the connection at ErrorRecoveryLevel 0"


@pytest.mark.parametrize("way", [{"direction": "in"}, {"direction": "out"}, {}])
def test_small_io_over_a_bad_cable_breaks_headers_and_no_oracle_blames_an_end_for_it(way: Tables) -> None:
    result = through(fault("corrupt", share=0.02, **way), digests=True)
    assert failures(result) == []
    assert result.failovers


class Story(QuietNarrator):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str, at_ns: int) -> None:
        self.lines.append(text)


def test_the_story_says_that_it_was_a_digest() -> None:
    tables = two_paths(*LOGINS, CORRUPT, workload(duration="1s", op="read", **LARGE), {"do": "heal", "name": "it"})
    tables["hosts"][0]["digests"] = True
    story = Story()
    run(tables, narrator=story)
    assert any("digest error" in line for line in story.lines)


@pytest.mark.parametrize(
    "trouble",
    [
        fault("loss", share=0.02),
        fault("loss", share=0.02, direction="in"),
        fault("reorder", share=0.1, delay="200us"),
        fault("jitter", extra="500us"),
        fault("queue_limit", limit="9000B"),
    ],
    ids=lambda each: f"{each['kind']} {each.get('direction', '')}",
)
def test_what_tcp_mends_costs_time_and_nothing_else(trouble: Tables) -> None:
    result = through(trouble, op="mixed", block="64KiB")
    assert failures(result) == []
    assert result.io.failed == result.io.unknown == 0
    assert result.failovers == ()


def test_a_healthy_run_does_not_depend_on_faults_that_never_stand() -> None:
    plain = run(two_paths(*LOGINS, workload(duration="1s")))
    healed = run(two_paths(*LOGINS, workload(duration="1s"), fault("loss", share=0.5), {"do": "heal", "name": "it"}))
    assert plain.phases[0] == healed.phases[0]


def test_the_same_seed_loses_the_same_frames() -> None:
    tables = two_paths(*LOGINS, fault("loss", share=0.05), workload(duration="1s", block="64KiB"))
    first, again, other = run(tables), run(tables), run(tables, seed=2)
    assert first.trace_sha256 == again.trace_sha256 != other.trace_sha256


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_path_that_is_deaf_or_mute_is_given_up_and_comes_back(direction: str) -> None:
    steps = [
        *LOGINS,
        workload(background=True),
        {"do": "wait", "duration": "500ms"},
        fault("blackhole", direction=direction),
        {"do": "wait", "until": "path_lost", "volume": "logs", "within": "60s"},
        {"do": "heal", "name": "it"},
        {"do": "wait", "until": "paths_usable", "volume": "logs", "within": "60s"},
        {"do": "stop", "name": "io"},
    ]
    result = run(two_paths(*steps))
    assert failures(result) == []
    assert [failover.cause for failover in result.failovers] == ["it"]


def test_a_clog_that_ends_in_time_loses_no_path() -> None:
    steps = [
        *LOGINS,
        workload(background=True),
        fault("clog", portal=PORTALS[0]),
        {"do": "wait", "duration": "200ms"},
        {"do": "heal", "name": "it"},
        {"do": "wait", "duration": "1s"},
        {"do": "stop", "name": "io"},
    ]
    result = run(two_paths(*steps))
    assert failures(result) == []
    assert result.failovers == ()
    assert result.phases[0].latency_us.max >= 150_000
