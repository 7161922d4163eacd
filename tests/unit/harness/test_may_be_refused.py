"""`may_be_refused`: a step of which the scenario does not say how it ends."""

from __future__ import annotations

from tests.support.runs import LOGINS, PORTALS, SOURCES, failed, run, two_paths, workload

DROP = {"do": "drop", "source": SOURCES[1]}
LOGGED_OFF = [*LOGINS, {"do": "logout", "volume": "logs", "source": SOURCES[1]}]


def test_a_refusal_is_no_failure() -> None:
    result = run(two_paths(*LOGGED_OFF, DROP | {"may_be_refused": True}, workload(ios=10)))

    assert result.verdict == "pass"
    assert result.phases[0].ios == 10, "the steps after it are done"


def test_without_it_a_refusal_is_one() -> None:
    assert "no session" in failed(run(two_paths(*LOGGED_OFF, DROP, workload(ios=10))), "step drop")


def test_what_is_not_refused_is_done() -> None:
    drop = DROP | {"may_be_refused": True}
    result = run(two_paths(*LOGINS, workload(background=True), drop, {"do": "wait", "duration": "1s"}))

    assert [failover.cause for failover in result.failovers] == ["dropped by rst"]


def test_an_expected_refusal_is_still_wanted() -> None:
    drain = {"do": "drain", "portal": PORTALS[0], "may_be_refused": True, "expect_error": "last portal"}

    assert "not refused" in failed(run(two_paths(*LOGINS, drain)), "step drain")
