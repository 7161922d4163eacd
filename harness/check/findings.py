"""What an oracle has found, as the judgement of its check.

Every oracle is a small class with a name, told of a run as it goes or asked when it has ended. It keeps the first few
of its findings whole and counts the rest, so that a run full of mistakes stays as small as one with a single mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from harness.expectations import Judgement
from harness.result import FailureKind

__all__ = ["Findings"]

MAX_SHOWN: Final = 3


class Findings:
    """The findings of one check. ``now_ns`` is the run's clock."""

    def __init__(self, check: str, now_ns: Callable[[], int], kind: FailureKind = "correctness") -> None:
        self.check = check
        self.shown: list[str] = []
        self.count = 0
        self._rule = ""
        self._now_ns = now_ns
        self._kind: FailureKind = kind
        self._evidence: dict[str, Any] = {}

    def add(self, rule: str, what: str, at_ns: int | None = None, **evidence: Any) -> None:
        """Something was wrong: which rule was broken, and how, in words. ``at_ns``: when, if not now."""
        self.count += 1
        if self.count == 1:
            self._rule = rule
            self._evidence = evidence
        if len(self.shown) < MAX_SHOWN:
            at_s = (self._now_ns() if at_ns is None else at_ns) / 1e9
            self.shown.append(f"{rule}: {what}, at {at_s:.3f} s")

    def judgement(self, held: str) -> Judgement:
        """The check's outcome; ``held`` says what there was to judge if nothing was found."""
        if not self.count:
            return Judgement(self.check, True, held)
        more = self.count - len(self.shown)
        why = "; ".join(self.shown) + (f"; and {more:,} more" if more else "")
        evidence = {"rule": self._rule, "findings": self.shown, "count": self.count, **self._evidence}
        return Judgement(self.check, False, why, evidence, kind=self._kind)
