"""The closed forms of docs/tcp.md, each with what the model gives.

`python -m tests.unit.sim.net.closed_forms` writes the measured figures into the page; `test_closed_forms.py` holds each
of them to its formula, and the page to the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath

from sim.env import ms, us
from sim.faults import Loss
from sim.net.impairment import Direction
from sim.net.tcp_profiles import PROFILES, TcpProfile, profile
from tests.unit.sim.net.measure import Path, shares_of_a_bottleneck

PAGE = FilePath(__file__).parents[4] / "docs" / "tcp.md"
HEADING = "| what | formula | formula gives | model gives | off by |\n|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Form:
    """One formula in one setting: what it says and how to measure it, in `unit`, and how far off the model may be."""

    what: str
    formula: str
    expected: float
    measure: Callable[[], float]
    unit: str
    within: float

    def row(self, measured: float) -> str:
        """The line of the page."""
        off = f"{measured / self.expected - 1:+.1%}"
        return (
            f"| {self.what} | {self.formula} | {self.expected:.4g} {self.unit} | {measured:.4g} {self.unit} | {off} |"
        )


def _mss(name: str) -> int:
    return 1_448 if profile(name).timestamps else 1_460


def _window_limited(name: str, round_trip_ns: int) -> float:
    path = Path(name, round_trip_ns)
    window = profile(name).receive_window_bytes
    return path.goodput(window * 20, window * 200) * 8 / 1e6


def _window_form(name: str, round_trip_ms: int) -> Form:
    window = profile(name).receive_window_bytes
    return Form(
        f"{name}, window {window:,} bytes, round trip {round_trip_ms} ms",
        "window / RTT",
        window * 8 / (round_trip_ms * 1e3),
        partial(_window_limited, name, ms(round_trip_ms)),
        "Mbit/s",
        0.05,
    )


def _window_under_loss(name: str, round_trip_ns: int, share: float, epochs: int, *, periodic: bool) -> float:
    """The average window, in segments, as goodput times the round trip."""
    every = round(1 / share)
    path = Path(name, round_trip_ns, loses_every=every if periodic else None)
    size = every * _mss(name)
    rate = path.goodput(20 * size, epochs * size, [Loss(path.near, share, Direction.OUT)])
    return rate * round_trip_ns / 1e9 / _mss(name)


def _mathis_form(name: str, constant: float, written: str, share: float) -> Form:
    return Form(
        f"{name}, random loss of {share:.1%} of the frames, round trip 20 ms",
        f"{written} / √p",
        constant / share**0.5,
        partial(_window_under_loss, name, ms(20), share, 400, periodic=False),
        "segments",
        0.15,
    )


def _cubic_form(round_trip_ms: int, every: int, epochs: int) -> Form:
    share, round_trip_s = 1 / every, round_trip_ms / 1e3
    cubic, reno = 1.054 * (round_trip_s / share) ** 0.75, (1.5 / share) ** 0.5
    return Form(
        f"linux, every {every:,}th frame lost, round trip {round_trip_ms} ms",
        "1.054 (RTT/p)^¾" if cubic > reno else "√(3/2) / √p",
        max(cubic, reno),
        partial(_window_under_loss, "linux", ms(round_trip_ms), share, epochs, periodic=True),
        "segments",
        0.15,
    )


def _share_form(name: str, round_trip_ns: int, limit_bytes: int) -> Form:
    return Form(
        f"{name}, two flows into 1 Gbit/s, queue of {limit_bytes // 1_000} KB, round trip {round_trip_ns / 1e6:g} ms",
        "1/2",
        0.5,
        lambda: shares_of_a_bottleneck(name, round_trip_ns, limit_bytes, 0.8, 0.6)[0],
        "of the port",
        0.10,
    )


FORMS = (
    _window_form("windows-2003", 1),
    _window_form("windows-2003", 5),
    _window_form("windows-2003", 20),
    _window_form("windows-2012", 5),
    _window_form("linux", 20),
    _mathis_form("windows-2012", 1.5**0.5, "√(3/2)", 0.01),
    _mathis_form("windows-2012", 1.5**0.5, "√(3/2)", 0.003),
    _mathis_form("windows-2012", 1.5**0.5, "√(3/2)", 0.001),
    _mathis_form("windows-2003", 0.75**0.5, "√(3/4)", 0.01),
    _mathis_form("windows-2003", 0.75**0.5, "√(3/4)", 0.003),
    _mathis_form("windows-2003", 0.75**0.5, "√(3/4)", 0.001),
    _cubic_form(20, 1_000, 60),
    _cubic_form(100, 300, 100),
    _cubic_form(200, 3_000, 40),
    _cubic_form(300, 3_000, 40),
    _share_form("windows-2012", us(400), 64_000),
    _share_form("linux", us(400), 64_000),
)


def _duration(ns: int) -> str:
    return f"{ns // 10**9} s" if ns % 10**9 == 0 else f"{ns // 10**6} ms"


PROFILE_ROWS: Mapping[str, Callable[[TcpProfile], str]] = {
    "congestion control": lambda each: each.congestion.__name__,
    "first window, segments": lambda each: str(each.initial_segments),
    "window after a pause": lambda each: "halved per time-out" if each.idle_decay else "kept",
    "lost after duplicates": lambda each: str(each.dup_threshold),
    "RACK and tail-loss probe": lambda each: "no" if each.probe_slack_ns is None else "yes",
    "SACK, timestamps": lambda each: f"{'yes' if each.sack else 'no'}, {'yes' if each.timestamps else 'no'}",
    "receive window, bytes": lambda each: f"{each.receive_window_bytes:,}",
    "first time-out": lambda each: _duration(each.initial_rto_ns),
    "time-outs between": lambda each: f"{_duration(each.min_rto_ns)} and {_duration(each.max_rto_ns)}",
    "repetitions of a SYN, of data": lambda each: f"{each.syn_retries}, {each.data_retries}",
    "delayed acknowledgement": lambda each: _duration(each.delayed_ack_ns),
}


def profile_table() -> str:
    """The page's table of profiles."""
    lines = ["| | " + " | ".join(PROFILES) + " |", "|---" * (len(PROFILES) + 1) + "|"]
    for what, of in PROFILE_ROWS.items():
        lines.append(f"| {what} | " + " | ".join(of(each) for each in PROFILES.values()) + " |")
    return "\n".join(lines) + "\n"


def _put(text: str, name: str, table: str) -> str:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = text.split(begin)
    return f"{before}{begin}\n{table}{end}{rest.split(end)[1]}"


def main() -> None:
    """Measure all and put the tables into the page."""
    figures = HEADING + "".join(form.row(form.measure()) + "\n" for form in FORMS)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_put(_put(text, "profiles", profile_table()), "figures", figures), encoding="utf-8")
    print(figures)


if __name__ == "__main__":
    main()
