"""Writes docs/planted-bugs.md: which oracle finds which mistake, after how many seeds, and what is left of it.

    python -m tests.planted.bugs_page

It runs seeds from 0 on with each mistake planted until its oracle fails, and minimizes that seed: some minutes in all.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from harness.minimize import minimize
from harness.narration import QuietNarrator
from harness.run import run_scenario
from harness.swarm import swarm_scenario
from tests.planted.swarm_bugs import BUGS, SwarmBug

PAGE = Path("docs/planted-bugs.md")
SEEDS_MAX = 500

HEAD = """# Planted bugs: does the sweep find what it is there for?

Ten mistakes that one makes in a target or in a multipath host, planted one at a time (`tests/planted/swarm_bugs.py`).
For each, seeds are run from 0 on until the oracle that is there for it fails, and that seed is minimized.
`tests/planted/test_swarm_bugs.py` runs each of these seeds again, with the mistake and without. This page is written by
`python -m tests.planted.bugs_page`.

| the mistake | whose | oracle | seeds needed | left of it | runs | seconds |
|---|---|---|---|---|---|---|
"""

TAIL = """
*Left of it* is what the smallest scenario has that fails in the same way: faults (a cable, a session dropped, a queue
that holds commands) and single I/Os. Some mistakes need no fault at all. *Seconds* are those of one core of the machine
the page was written on.

With all of them removed the same seeds pass. More planted mistakes, each with a scenario made for it, are in
`tests/planted/`.
"""


def row_of(bug: SwarmBug) -> str:
    """One row of the table. Raises SystemExit when no seed finds the mistake."""
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        for seed in range(SEEDS_MAX):
            scenario = swarm_scenario(seed)
            result = run_scenario(scenario, seed=seed, net="sim", pcap=None, narrator=QuietNarrator())
            if any(failure.check == bug.oracle for failure in result.failures):
                break
        else:
            sys.exit(f"{bug.plant.__name__}: no seed below {SEEDS_MAX} finds it")
        began_s = time.monotonic()
        found = minimize(scenario, seed)
    left = f"{found.faults} fault{'' if found.faults == 1 else 's'}, {found.operations} I/O"
    left += "" if found.operations == 1 else "s"
    seconds = f"{time.monotonic() - began_s:.0f}"
    cells = (bug.what, bug.whose, f"`{bug.oracle}`", seed + 1, left, found.runs, seconds)
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    rows = []
    for bug in BUGS:
        rows.append(row_of(bug))
        print(rows[-1], flush=True)
    PAGE.write_text(HEAD + "\n".join(rows) + "\n" + TAIL)


if __name__ == "__main__":
    main()
