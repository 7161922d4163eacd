"""Writes docs/calibration.md: `make calibration`. Every row on it was run; a test holds the page to what comes out."""

from __future__ import annotations

from pathlib import Path

from tests.calibration.rows import GUEST_LOGIN_S, LATENCY_MS, ROWS, Outcome, login_s, run_row

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"

_HEAD = """# The modeled Linux host beside the real one

Written by `make calibration`; `tests/calibration` runs every row again and compares.

The profile `linux-dm-multipath-eql` says it behaves as open-iscsi and dm-multipath do. Here it has to show it: seven
failovers that a real Linux host was put through (Debian's kernel 6.1, open-iscsi 2.1.8, multipath-tools 0.9.4 in a
QEMU guest; 4 KiB direct writes one after the other, the longest wait of one of them) happen again in virtual time,
with the same settings. *Measured* is the real host; *timers* what its settings add up to; *model* what a write waited
in the simulated run. A row agrees when the longest wait of the model is within 10 % or 1 s of the longest that was
measured, whichever is more.

| failover | measured | timers | model | |
|---|---|---|---|---|
"""

_TAIL = """
## Which timers add up to it

{terms}

The guest's processor is emulated, and slow: two redirected logins took it 0.7 to 2.4 s, so {login} s stands for one.
That is given to the model as {latency} ms of latency on its cables, with which a redirected login takes it
{model_login:.2f} s; no row was used to set it. Nothing else is fitted.

## What is read off, and what is not

- A lost carrier is found no sooner than a silent path: Linux's TCP is not told. The Windows profiles differ there
  (`TcpProfile.media_sense`).
- The return of a path depends on where it falls between two attempts of iscsid and two checks of multipathd. The
  model's figures are the shortest and the longest of {returns} runs that differ in nothing else; the longest is
  compared. The shortest return that was measured, 6.5 s, is longer than the model's: the few cases that were measured
  met no good moment, and what the guest's bridge and its `multipathd show paths` add to each is in no timer.
- The same seven against this project's own array, served over real TCP to the same guest, are in docs/linux-host.md
  (`make test-linux-host` measures them again).
"""


def page(outcomes: list[Outcome], model_login_s: float) -> str:
    """The page's text."""
    rows = "".join(
        f"| {one.row.name} | {_span(*one.row.measured_s)} s | {one.row.derived_s:g} s | "
        f"{_span(round(one.least_s, 2), round(one.most_s, 2))} s | {'agrees' if one.agrees else '**differs**'} |\n"
        for one in outcomes
    )
    terms = "\n".join(
        f"- *{one.row.name}*: " + " + ".join(f"{seconds:g} s ({name})" for name, seconds in one.row.terms)
        for one in outcomes
    )
    returns = len(ROWS[-1].away)
    tail = _TAIL.format(
        terms=terms, login=GUEST_LOGIN_S, latency=LATENCY_MS, model_login=model_login_s, returns=returns
    )
    return _HEAD + rows + tail


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def main() -> None:
    """Run every row and write the page."""
    outcomes = [run_row(row) for row in ROWS]
    PAGE.write_text(page(outcomes, login_s()), encoding="utf-8")
    for one in outcomes:
        print(f"{'agrees ' if one.agrees else 'DIFFERS'} {one.most_s:8.2f} s  {one.row.name}")


if __name__ == "__main__":
    main()
