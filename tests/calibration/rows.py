"""The failovers of a real Linux host, done again by the modeled one in virtual time.

The figures called *measured* are those of Debian's open-iscsi 2.1.8, multipath-tools 0.9.4 and kernel 6.1 in a QEMU
guest (4 KiB direct writes one after the other, the longest wait of one of them), taken against Debian's tgt and again
against this project's array (docs/linux-host.md has the second). The figures called *timers* are sums of the guest's
settings. Here the same settings go into the profile `linux-dm-multipath-eql`, the same fault is applied, and what the
model's writes waited is compared with what the real ones did. Nothing is fitted: every term has a name in iscsid.conf,
multipath.conf or the sources, but for the login, which was measured by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.load import scenario_from
from harness.narration import QuietNarrator
from harness.run import run_scenario
from harness.units import parse_duration
from initiator_model.profiles import Profile, profile_named

__all__ = ["GUEST_LOGIN_S", "LATENCY_MS", "ROWS", "Outcome", "Row", "login_s", "run_row"]

Tables = dict[str, Any]

PROFILE = "linux-dm-multipath-eql"
FAULT_AT_S = 20
PORTALS = ("192.168.51.2", "192.168.51.3", "192.168.51.4")
NICS = {"eth0": "192.168.50.105", "eth1": "192.168.50.125"}


@dataclass(frozen=True, slots=True)
class Row:
    """One failover. ``measured_s`` is the range that was measured; ``terms`` are what adds up to the prediction."""

    name: str
    measured_s: tuple[float, float]
    terms: tuple[tuple[str, float], ...]
    timers: Mapping[str, str | int] = field(default_factory=dict)
    fault: Mapping[str, Any] = field(default_factory=lambda: {"kind": "blackhole", "nic": "linux/eth0"})
    away: tuple[tuple[float, float], ...] = ()
    """For the row about a path's return: when it goes and how long it is away, in each run. The runs differ in where
    the return falls between two attempts of iscsid and two checks of multipathd. In the other rows it stays away."""

    @property
    def profile(self) -> Profile:
        """The host, with this row's timers."""
        ns = {name: parse_duration(value) if isinstance(value, str) else value for name, value in self.timers.items()}
        return profile_named(PROFILE).with_timers(ns)

    @property
    def derived_s(self) -> float:
        """What the timers add up to."""
        return sum(seconds for _, seconds in self.terms)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model did: the shortest and the longest of its runs, in seconds."""

    row: Row
    least_s: float
    most_s: float

    @property
    def agrees(self) -> bool:
        """Within 10 % or 1 s of the longest that was measured, whichever is more."""
        high = self.row.measured_s[1]
        return abs(self.most_s - high) <= max(1.0, 0.1 * high)


GUEST_LOGIN_S = 0.775
"""A redirected login in the guest: two took 0.7 to 2.4 s, so one 0.35 to 1.2 s. The emulated processor is that slow."""
LATENCY_MS = 77
"""Of the host's cables, which makes a redirected login in the model take `GUEST_LOGIN_S`: the guest's slowness, given
to the network. It is set by the login alone, which is none of the rows."""
LOGIN = ("a redirected login in the guest", GUEST_LOGIN_S)

PING = (("node.conn[0].timeo.noop_out_interval", 5.0), ("noop_out_timeout", 5.0))

ROWS = (
    Row(
        "defaults: pings 5/5, multipathd running; the cable is pulled",
        (15.4, 15.4),
        (*PING, ("multipath.conf fast_io_fail_tmo, which replaces replacement_timeout", 5.0)),
    ),
    Row(
        "replacement_timeout 5, pings 2/2",
        (9.2, 9.2),
        (("noop_out_interval", 2.0), ("noop_out_timeout", 2.0), ("replacement_timeout = fast_io_fail_tmo", 5.0)),
        timers={"replacement_timeout": "5s", "noop_out_interval": "2s", "noop_out_timeout": "2s"},
    ),
    Row(
        "pings 1/1, replacement_timeout 1, fast_io_fail_tmo 1",
        (3.1, 3.1),
        (("noop_out_interval", 1.0), ("noop_out_timeout", 1.0), ("fast_io_fail_tmo", 1.0)),
        timers={"noop_out_interval": "1s", "noop_out_timeout": "1s", "fast_io_fail_tmo": "1s"},
    ),
    Row(
        "pings 5/5, replacement_timeout 120 in force (fast_io_fail_tmo off)",
        (132.0, 132.0),
        (*PING, ("replacement_timeout", 120.0)),
        timers={"fast_io_fail_tmo": "0s"},
    ),
    Row(
        "the NIC's carrier is lost",
        (15.1, 15.5),
        (*PING, ("fast_io_fail_tmo; a lost carrier tells Linux's TCP nothing", 5.0)),
        fault={"kind": "link_down", "nic": "linux/eth0"},
    ),
    Row(
        "a portal disappears, the group redirects to another; the path does not fail",
        (12.6, 12.6),
        (*PING, ("DefaultTime2Wait before the reconnect", 2.0), LOGIN),
        fault={"kind": "portal_down", "portal": PORTALS[0]},
    ),
    Row(
        "the cable is back: until the path is usable",
        (6.5, 10.5),
        (
            ("iscsid's pause after an attempt that was refused (ISCSI_CONN_ERR_REOPEN_DELAY), at most", 3.0),
            LOGIN,
            ("multipathd's polling_interval, at most", 5.0),
            ("its tick, since the answer to its check takes longer than 1 ms", 1.0),
        ),
        away=tuple((round(20 + 0.37 * step, 2), round(24 + 0.2 * step % 6, 2)) for step in range(0, 220, 5)),
    ),
)


def run_row(row: Row) -> Outcome:
    """Run it in virtual time."""
    if row.away:
        back = [_back_after_s(row, at_s, out_s) for at_s, out_s in row.away]
        return Outcome(row, min(back), max(back))
    wait_s = _longest_wait_s(row)
    return Outcome(row, wait_s, wait_s)


def _longest_wait_s(row: Row) -> float:
    """The longest wait of a write while the path goes away for good."""
    quiet = {"do": "wait", "duration": f"{round(row.derived_s) + 10}s"}
    result = _run(row, [quiet, {"do": "stop", "name": "writes"}])
    return result["writes"].latency_us.max / 1e6


def _back_after_s(row: Row, at_s: float, out_s: float) -> float:
    """From the return of the cable to the moment when both paths are usable."""
    back_at_s = at_s + out_s
    steps: list[Tables] = [
        {"do": "heal", "name": "it", "at": f"{back_at_s * 1000:.0f}ms"},
        {"do": "wait", "until": "paths_usable", "volume": "mail", "count": 2, "within": "60s"},
        {"do": "stop", "name": "writes"},
        {"do": "workload", "name": "after", "volume": "mail", "op": "read", "block": "4KiB", "depth": 1, "ios": 1},
    ]
    return float(_run(row, steps, at_s)["after"].start_s - back_at_s)


def _run(row: Row, steps: list[Tables], at_s: float = FAULT_AT_S) -> dict[str, Any]:
    result = run_scenario(
        scenario_from(_tables(row, steps, at_s)), seed=1, net="sim", pcap=None, narrator=QuietNarrator()
    )
    assert result.verdict == "pass", result.failures
    assert result.io.failed == result.io.unknown == 0
    return {phase.name: phase for phase in result.phases}


def _tables(row: Row, steps: list[Tables], at_s: float = FAULT_AT_S) -> Tables:
    logins = [{"do": "login", "volume": "mail", "source": ip, "multipath": True} for ip in NICS.values()]
    return {
        "name": "calibration",
        "network": {"subnet": "192.168.48.0/22"},
        "array": {
            "group": "192.168.51.1/22",
            "portals": list(PORTALS),
            "volumes": [{"name": "mail", "size": "1GiB", "access": [{"source": "192.168.48.0/22"}]}],
        },
        "hosts": [
            {
                "name": "linux",
                "profile": PROFILE,
                "iqn": "iqn.1993-08.org.debian:01:calibration",
                "timers": dict(row.timers),
                "nics": [
                    {"name": name, "address": f"{ip}/22", "latency": f"{LATENCY_MS}ms"} for name, ip in NICS.items()
                ],
            }
        ],
        "steps": [
            {"do": "discover"},
            *logins,
            {
                "do": "workload",
                "name": "writes",
                "volume": "mail",
                "op": "write",
                "block": "4KiB",
                "depth": 1,
                "iops": 50,
                "region": "16MiB",
                "background": True,
            },
            {"do": "fault", "name": "it", "at": f"{at_s * 1000:.0f}ms", **row.fault},
            *steps,
        ],
    }


class _Listener(QuietNarrator):
    """Notes when a login succeeded."""

    def __init__(self) -> None:
        self.logged_in_ns: list[int] = []

    def line(self, text: str, at_ns: int) -> None:
        if "login → success" in text:
            self.logged_in_ns.append(at_ns)


def login_s() -> float:
    """How long a redirected login takes in the model."""
    listener = _Listener()
    begin_s = 10
    steps: list[Tables] = [
        {"do": "discover"},
        {"do": "login", "volume": "mail", "source": NICS["eth0"], "multipath": True, "at": f"{begin_s}s"},
    ]
    tables = _tables(ROWS[0], []) | {"steps": steps}
    run_scenario(scenario_from(tables), seed=1, net="sim", pcap=None, narrator=listener)
    return listener.logged_in_ns[-1] / 1e9 - begin_s
