"""A list of events made shorter and plainer as long as it still shows the mistake.

Leaving out comes first (delta debugging, on chunks that halve), then each event is tried with nothing special about
it, and at last the paths are numbered in the order they come. Hypothesis shrinks what it has drawn; this finishes its
work, and does it for stories that nobody drew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.policy_check.events import Event, PathAdded, PolicySet, RequestStarts

__all__ = ["shortened"]

Story = Sequence[Event]
FirstFailing = Callable[[Sequence[Story]], int | None]


def shortened(events: Story, first_failing: FirstFailing) -> list[Event]:
    """What is left of ``events`` when nothing more can be left out.

    ``first_failing`` is given several simpler lists at once and says which is the first that still fails; None: none.
    """
    kept = _fewest(list(events), first_failing)
    while (found := _first(_plainer(kept), first_failing)) is not None:
        kept = _fewest(found, first_failing)
    renumbered = _renumbered(kept)
    return renumbered if renumbered != kept and first_failing([renumbered]) is not None else kept


def _fewest(kept: list[Event], first_failing: FirstFailing) -> list[Event]:
    chunk = max(1, len(kept) // 2)
    while kept:
        starts = range(0, len(kept), max(1, chunk // 2))
        found = _first([kept[:at] + kept[at + chunk :] for at in starts], first_failing)
        if found is not None:
            kept = found
            chunk = max(chunk, 2)  # what could not be left out before may go now, by itself or in a pair
        elif chunk == 1:
            break
        else:
            chunk //= 2
    return kept


def _first(candidates: list[list[Event]], first_failing: FirstFailing) -> list[Event] | None:
    found = first_failing(candidates) if candidates else None
    return None if found is None else candidates[found]


def _plainer(kept: list[Event]) -> list[list[Event]]:
    """The list with one event in its plainest form, for each that is not; all of them at once before that."""
    plain = [_plain(event) for event in kept]
    differ = [at for at, event in enumerate(kept) if event != plain[at]]
    one_by_one = [[*kept[:at], plain[at], *kept[at + 1 :]] for at in differ]
    return [plain, *one_by_one] if len(differ) > 1 else one_by_one


def _plain(event: Event) -> Event:
    match event:
        case PathAdded(path):
            return PathAdded(path)
        case PolicySet():
            return PolicySet()
        case RequestStarts():
            return RequestStarts()
    return event


def _renumbered(kept: list[Event]) -> list[Event]:
    added = [event.path for event in kept if isinstance(event, PathAdded)]
    new = {old: number for number, old in enumerate(dict.fromkeys(added), start=1)}
    return [_with_numbers(event, new) for event in kept]


def _with_numbers(event: Event, new: dict[int, int]) -> Event:
    if isinstance(event, PolicySet):
        weights, throughputs = dict(enumerate(event.weights, start=1)), dict(enumerate(event.throughputs, start=1))
        return PolicySet(
            preferred=new.get(event.preferred, 0),
            standby=tuple(new[path] for path in event.standby if path in new),
            weights=tuple(weights.get(old, 0) for old in new) if weights else (),
            throughputs=tuple(throughputs.get(old, 1) for old in new) if throughputs else (),
        )
    path = getattr(event, "path", None)
    return event if path is None else replace(event, path=new.get(path, path))
