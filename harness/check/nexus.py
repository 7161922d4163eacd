"""No task of a nexus that is over reaches the medium: every landing has a copy that was still allowed to land.

A landing of a logical write belongs to one of the copies that were sent. Which one cannot be seen when there are
several, so it is a question of matching: each landing needs a copy of its own that had been sent by then, and that had
not been answered and not been ended (by an abort, a reset, a logout, the reinstatement of its session). Intervals are
matched by taking, at each landing, the copy that ends first. A landing that is left without one was made by a task that
had no right to live any more, whoever it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from harness.check.findings import Findings
from harness.check.landings import Landing
from harness.check.wire.copies import Copy

__all__ = ["judge_landings"]


def judge_landings(
    landings: Mapping[int, Sequence[Landing]], copies: Mapping[int, Sequence[Copy]], findings: Findings
) -> None:
    """Find the landings that no living copy explains."""
    for writer, landed in landings.items():
        sent = copies.get(writer, ())
        if len(landed) == 1 and len(sent) == 1:  # as nearly all are
            only = sent[0]
            if only.sent < landed[0].tick < _end(only):
                continue
        free = sorted(sent, key=_end)
        for landing in landed:
            match = next((copy for copy in free if copy.sent < landing.tick < _end(copy)), None)
            if match is not None:
                free.remove(match)
                continue
            dead = [copy for copy in free if copy.ended is not None]
            why = f": {dead[0].where}, {dead[0].ended_by}" if dead else ", and every copy of it had been answered"
            what = f"write {writer} reached blocks {landing.lba} to {landing.lba + landing.blocks - 1}{why}"
            findings.add("dead task", what, landing.at_ns, writer=writer)


def _end(copy: Copy) -> float:
    """The tick from which a copy may not land any more."""
    ends = [tick for tick in (copy.answered, copy.ended) if tick is not None]
    return min(ends, default=inf)
