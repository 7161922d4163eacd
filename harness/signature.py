"""What two failures have in common when they are the same bug: the signature a sweep groups by and a minimizer keeps.

It holds the names of the checks that failed, each with the rule it found broken where it has several; not their
evidence: the same bug in a shorter scenario has other times, other blocks and other paths.
"""

from __future__ import annotations

from harness.result import Failure, Result

__all__ = ["signature_of"]


def signature_of(result: Result) -> str:
    """The failure's signature, such as "ghost writes + sequence: StatSN"; empty for a run that passed."""
    return " + ".join(sorted(dict.fromkeys(_one(failure) for failure in result.failures)))


def _one(failure: Failure) -> str:
    rule = failure.evidence.get("rule")
    return f"{failure.check}: {rule}" if isinstance(rule, str) else failure.check
