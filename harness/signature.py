"""What two failures have in common when they are the same bug: the signature a sweep groups by and a minimizer keeps.

It holds the names of the checks that failed, each with the rule it found broken where it has several; not their
evidence: the same bug in a shorter scenario has other times, other blocks and other paths.
"""

from __future__ import annotations

from harness.result import Failure, Result

__all__ = ["signature_of", "signatures_of"]

_KINDS = ("correctness", "liveness", "determinism")


def signatures_of(result: Result) -> tuple[str, ...]:
    """Of each failure its own, correctness before liveness, else in the order of the checks; none for a pass."""
    ordered = sorted(result.failures, key=lambda failure: _KINDS.index(failure.kind))
    return tuple(dict.fromkeys(_one(failure) for failure in ordered))


def signature_of(result: Result) -> str:
    """The signature of all of them, such as "ghost writes: landed again + paths agree"; empty for a pass."""
    return " + ".join(sorted(signatures_of(result)))


def _one(failure: Failure) -> str:
    rule = failure.evidence.get("rule")
    return f"{failure.check}: {rule}" if isinstance(rule, str) else failure.check
