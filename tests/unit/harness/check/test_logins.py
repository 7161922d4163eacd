"""Where logins begin and are sent to, over all connections of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from harness.check.findings import Findings
from harness.check.marks import Marks
from harness.check.wire.logins import Logins

GROUP, PORTAL = "192.168.51.1", "192.168.51.3"
TO = f"{PORTAL}:3260,1"


class Bench:
    """The rules, and what they found."""

    def __init__(self) -> None:
        self.findings = Findings("logins", lambda: 0)
        self.logins = Logins(self.findings, Marks(), [PORTAL], [], GROUP)

    @property
    def ok(self) -> bool:
        return self.findings.judgement("").ok


def login(source: str, remote: str) -> Any:
    """A connection with which the session from ``source`` tries to log in at ``remote``."""
    names = {"InitiatorName": "iqn.host", "TargetName": "iqn.vol"}
    return SimpleNamespace(
        local=f"{source}:1025",
        remote=f"{remote}:3260",
        where=f"{source} → {remote}",
        isid=source.encode(),
        terms=SimpleNamespace(names=names, discovery=False),
        open=True,
    )


A, B = "192.168.50.101", "192.168.50.102"


def test_a_redirect_that_led_nowhere_is_followed_by_a_login_at_home() -> None:
    for then, ok in ((GROUP, True), (PORTAL, False)):
        bench = Bench()
        bench.logins.redirected(login(A, GROUP), TO, 1)
        bench.logins.unreachable(f"{PORTAL}:3260", A)
        bench.logins.refused(login(A, then))

        assert bench.ok is ok


def test_what_one_path_does_not_reach_is_not_out_of_reach_for_another() -> None:
    bench = Bench()
    bench.logins.redirected(login(A, GROUP), TO, 1)
    bench.logins.redirected(login(B, GROUP), TO, 1)
    bench.logins.unreachable(f"{PORTAL}:3260", B)
    bench.logins.succeeded(login(A, PORTAL))

    assert bench.ok


def test_of_two_sessions_from_one_address_nobody_can_tell() -> None:
    bench = Bench()
    other = login(A, GROUP)
    other.terms.names["TargetName"] = "iqn.other"
    bench.logins.redirected(login(A, GROUP), TO, 1)
    bench.logins.redirected(other, TO, 1)
    bench.logins.unreachable(f"{PORTAL}:3260", A)
    bench.logins.succeeded(login(A, PORTAL))

    assert bench.ok
