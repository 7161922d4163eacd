"""What must hold of a policy: the rules of path scheduling, and its own promises. Each has a name and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from initiator_model.policies import Promise
from initiator_model.policies.guard import MisstepKind

__all__ = ["BY_MISSTEP", "BY_PROMISE", "RULES", "Broken", "Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """`checked_on` says what its count counts. One with a `promise` holds for policies that make it."""

    name: str
    sentence: str
    checked_on: str = "requests"
    promise: Promise | None = None


class Broken(Exception):
    """A rule was broken; `why` is a sentence with what was found."""

    def __init__(self, rule: Rule, why: str) -> None:
        super().__init__(f"{rule.name}: {why}")
        self.rule = rule
        self.why = why


USABLE_PATH: Final = Rule("usable path", "A request goes down an Active path of the disk, never another one.")
NO_REFUSAL: Final = Rule("no refusal", "While a path is usable, every request is given one.")
NO_EXCEPTION: Final = Rule("no exception", "No method of the policy raises.", "events")
LEGAL_MOVES: Final = Rule(
    "legal moves", "A path is moved only as it can be, and one that arrives is given Active or Standby.", "events"
)
SAME_AGAIN: Final = Rule("same again", "The same events lead to the same choices.", "stories")
ORDER_OF_SETS: Final = Rule("order of sets", "The order of a set and hash values change no choice.", "stories")
MANY_PATHS: Final = Rule("many paths", "All of this holds with up to 32 paths that come and go.", "events")
BOUNDED_MEMORY: Final = Rule(
    "bounded memory", "What it remembers does not grow with requests and paths that are gone.", "lives"
)

TURNS: Final = Rule("turns", f"{Promise.TURNS.value.capitalize()}.", promise=Promise.TURNS)

_OF_CHOICES: Final = (
    Rule("fewest requests", f"{Promise.FEWEST_REQUESTS.value.capitalize()}.", promise=Promise.FEWEST_REQUESTS),
    Rule(
        "fewest requests here",
        f"{Promise.FEWEST_REQUESTS_HERE.value.capitalize()}.",
        promise=Promise.FEWEST_REQUESTS_HERE,
    ),
    Rule("lightest path", f"{Promise.LIGHTEST.value.capitalize()}.", promise=Promise.LIGHTEST),
    Rule("preferred path", f"{Promise.PREFERRED.value.capitalize()}.", promise=Promise.PREFERRED),
)
_OF_STATES: Final = (
    Rule("one active", f"{Promise.ONE_ACTIVE.value.capitalize()}.", "events", Promise.ONE_ACTIVE),
    Rule("every path active", f"{Promise.EVERY_PATH_ACTIVE.value.capitalize()}.", "events", Promise.EVERY_PATH_ACTIVE),
)

RULES: Final = (
    USABLE_PATH,
    NO_REFUSAL,
    NO_EXCEPTION,
    LEGAL_MOVES,
    TURNS,
    *_OF_CHOICES,
    *_OF_STATES,
    SAME_AGAIN,
    ORDER_OF_SETS,
    MANY_PATHS,
    BOUNDED_MEMORY,
)

BY_PROMISE: Final[Mapping[Promise, Rule]] = MappingProxyType({rule.promise: rule for rule in RULES if rule.promise})

BY_MISSTEP: Final = MappingProxyType(
    {
        MisstepKind.RAISED: NO_EXCEPTION,
        MisstepKind.ILLEGAL: LEGAL_MOVES,
        MisstepKind.UNUSABLE: USABLE_PATH,
        MisstepKind.REFUSED: NO_REFUSAL,
    }
)
