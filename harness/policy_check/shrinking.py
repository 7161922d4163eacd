"""A list of events made shorter as long as it still shows the mistake (delta debugging, on chunks that halve)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.policy_check.events import Event

__all__ = ["shortened"]

Candidates = Sequence[Sequence[Event]]


def shortened(events: Sequence[Event], first_failing: Callable[[Candidates], int | None]) -> list[Event]:
    """What is left of ``events`` when nothing more can be left out.

    ``first_failing`` is given several shorter lists at once and says which is the first that still fails; None: none.
    """
    kept = list(events)
    chunk = max(1, len(kept) // 2)
    while kept:
        candidates = [kept[:at] + kept[at + chunk :] for at in range(0, len(kept), chunk)]
        found = first_failing(candidates)
        if found is not None:
            kept = list(candidates[found])
        elif chunk == 1:
            break
        else:
            chunk //= 2
    return kept
