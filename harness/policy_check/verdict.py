"""All of it for one policy: what is tried, in which order, and what is reported of a failure.

Short failures first: Hypothesis draws stories and shrinks the one that fails; a third of them are plain ones, which a
run can replay. Only a policy that passes those is tried with 32 paths, over thousands of lives of a path, and in other
processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.policy_check.corpus import corpus
from harness.policy_check.drawing import first_failure
from harness.policy_check.events import Event
from harness.policy_check.exercises import many_paths, memory
from harness.policy_check.other_processes import difference, first_difference
from harness.policy_check.rules import (
    BOUNDED_MEMORY,
    MANY_PATHS,
    ORDER_OF_SETS,
    RULES,
    SAME_AGAIN,
    Broken,
    Rule,
)
from harness.policy_check.shrinking import shortened
from harness.policy_check.trial import Happened, Trial, try_events
from initiator_model.policies import LoadBalancePolicy, Promise
from initiator_model.policies.catalog import make_selector, policy_named

__all__ = ["Failing", "Verdict", "check_policy"]

CORPUS_LISTS, CORPUS_EVENTS = 100, 60
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Failing:
    """A broken rule, and the shortest story found that shows it."""

    rule: Rule
    why: str
    story: tuple[Happened, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """The story without what came of it."""
        return tuple(happened.event for happened in self.story)


@dataclass(slots=True)
class Verdict:
    """What was found out about one policy. `asked`: on how many of what each rule was checked, by its name."""

    option: str
    policy: LoadBalancePolicy
    promises: frozenset[Promise]
    asked: Counter[str] = field(default_factory=Counter)
    failing: Failing | None = None

    def holds_for(self, rule: Rule) -> bool:
        """Whether the rule is one for this policy."""
        return rule.promise is None or rule.promise in self.promises


def check_policy(
    option: str, *, examples: int, seed: int, progress: Callable[[str], None] = lambda doing: None
) -> Verdict:
    """Check the policy of that name, built in or ``module:Class``.

    Raises PolicyError for a name that is none, MissingHypothesis without the extra, OtherProcessFailed.
    """
    verdict = Verdict(option, policy_named(option), frozenset(make_selector(option).promises))
    stages: tuple[tuple[str, Callable[[], Failing | None]], ...] = (
        ("plain stories", lambda: _drawn(verdict, max(1, examples // 3), seed, plain=True)),
        ("stories", lambda: _drawn(verdict, max(1, examples - examples // 3), seed, plain=False)),
        ("32 paths", lambda: _many_paths(verdict)),
        ("a long life", lambda: _long_life(verdict)),
        ("other processes", lambda: _elsewhere(verdict)),
    )
    for doing, stage in stages:
        progress(doing)
        verdict.failing = stage()
        if verdict.failing is not None:
            break
    return verdict


def _drawn(verdict: Verdict, examples: int, seed: int, plain: bool) -> Failing | None:
    failing = first_failure(lambda events: _thrice(verdict, events), examples=examples, seed=seed, plain=plain)
    if failing is None:
        return None

    def fails(candidates: Sequence[Sequence[Event]]) -> int | None:
        return next((index for index, events in enumerate(candidates) if _broken_by(verdict, events)), None)

    return _told(verdict, shortened(failing, fails))


def _thrice(verdict: Verdict, events: Sequence[Event]) -> None:
    """A story, the same again, and with the order of sets turned round. Raises Broken."""
    first, broken = try_events(verdict.option, events)
    verdict.asked.update(first.asked)
    if broken is not None:
        raise broken
    for rule, descending in ((SAME_AGAIN, False), (ORDER_OF_SETS, True)):
        again, broken = try_events(verdict.option, events, descending=descending)
        verdict.asked[rule.name] += 1
        why = _difference(first, again, broken, rule)
        if why is not None:
            raise Broken(rule if _repeats(verdict.option, events, first) else SAME_AGAIN, why)


def _repeats(option: str, events: Sequence[Event], first: Trial) -> bool:
    """Whether the story ends the same in a few more attempts: if not, nothing else is to blame."""
    return all(try_events(option, events)[0].choices == first.choices for _ in range(ATTEMPTS))


def _difference(first: Trial, again: Trial, broken: Broken | None, rule: Rule) -> str | None:
    when = "the second time" if rule is SAME_AGAIN else "with the hash values of the paths in reverse"
    if broken is not None:
        return f'the rule "{broken.rule.name}" was broken only {when}: {broken.why}'
    for number, (one, other) in enumerate(zip(first.choices, again.choices, strict=False), start=1):
        if one != other:
            return f"choice {number} was path {one}, and {when} path {other}"
    return None


def _broken_by(verdict: Verdict, events: Sequence[Event]) -> Broken | None:
    try:
        _thrice(Verdict(verdict.option, verdict.policy, verdict.promises), events)
    except Broken as broken:
        return broken
    return None


def _told(verdict: Verdict, events: Sequence[Event]) -> Failing:
    """The story of events that break a rule, without those that mean nothing."""
    broken = _broken_by(verdict, events)
    if broken is None:
        broken = Broken(SAME_AGAIN, "these events broke a rule once, and not when they happened again")
    return Failing(broken.rule, broken.why, tuple(try_events(verdict.option, events)[0].story))


def _many_paths(verdict: Verdict) -> Failing | None:
    events = many_paths()
    verdict.asked[MANY_PATHS.name] = len(events)
    if _broken_by(verdict, events) is None:
        return None

    def fails(candidates: Sequence[Sequence[Event]]) -> int | None:
        return next((index for index, story in enumerate(candidates) if _broken_by(verdict, story)), None)

    return _told(verdict, shortened(events, fails))


def _long_life(verdict: Verdict) -> Failing | None:
    try:
        verdict.asked[BOUNDED_MEMORY.name] = memory(verdict.option)
    except Broken as broken:
        return Failing(broken.rule, broken.why, ())
    return None


def _elsewhere(verdict: Verdict) -> Failing | None:
    stories = corpus(CORPUS_LISTS, CORPUS_EVENTS)
    verdict.asked[ORDER_OF_SETS.name] += len(stories)
    found = first_difference(verdict.option, stories)
    if found is None:
        return None
    story = shortened(stories[found], lambda candidates: first_difference(verdict.option, candidates))
    broken = difference(verdict.option, story)
    return Failing(broken.rule, broken.why, tuple(try_events(verdict.option, story)[0].story))


def rules_of(verdict: Verdict) -> list[tuple[Rule, int | None]]:
    """Every rule with what it was checked on; None: the policy does not promise it."""
    return [(rule, verdict.asked[rule.name] if verdict.holds_for(rule) else None) for rule in RULES]
