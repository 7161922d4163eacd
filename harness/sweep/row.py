"""What a sweep keeps of a seed: one row of its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.result import ExitCode, Result
from harness.signature import signature_of

__all__ = ["HARNESS_FAILURE", "SeedRow", "harness_failure", "row_of"]

SeedVerdict = Literal["pass", "fail", "error"]
"""error: the harness failed, so nothing is known of the seed."""

HARNESS_FAILURE = "harness failure"
MAX_WHY = 2000


@dataclass(frozen=True, slots=True)
class SeedRow:
    """One seed. Fields are the table's columns, in its order."""

    seed: int
    verdict: SeedVerdict
    exit_code: int
    signature: str
    """What failures of one bug have in common; empty for a pass."""
    failing_checks: tuple[str, ...]
    why: str
    """The first failure in a sentence, or how the harness failed."""
    marks: tuple[str, ...]
    trace_sha256: str
    virtual_seconds: float
    wall_seconds: float
    cpu_seconds: float
    ios: int
    events: int
    scenario: str
    features: tuple[str, ...]


def row_of(result: Result, features: tuple[str, ...], cpu_seconds: float) -> SeedRow:
    """The row of a run that came to its end."""
    return SeedRow(
        seed=result.seed,
        verdict=result.verdict,
        exit_code=int(result.exit_code),
        signature=signature_of(result),
        failing_checks=tuple(sorted({failure.check for failure in result.failures})),
        why="; ".join(f"{failure.check}: {failure.why}" for failure in result.failures)[:MAX_WHY],
        marks=result.marks,
        trace_sha256=result.trace_sha256 or "",
        virtual_seconds=result.virtual_seconds,
        wall_seconds=result.wall_seconds,
        cpu_seconds=cpu_seconds,
        ios=result.io.submitted,
        events=result.events,
        scenario=result.scenario,
        features=features,
    )


def harness_failure(
    seed: int, why: str, *, what: str = HARNESS_FAILURE, scenario: str = "", wall_seconds: float = 0.0
) -> SeedRow:
    """The row of a seed that no verdict was reached on; ``what`` tells kinds of failures apart."""
    return SeedRow(
        seed=seed,
        verdict="error",
        exit_code=int(ExitCode.HARNESS),
        signature=what,
        failing_checks=(),
        why=why[:MAX_WHY],
        marks=(),
        trace_sha256="",
        virtual_seconds=0.0,
        wall_seconds=wall_seconds,
        cpu_seconds=0.0,
        ios=0,
        events=0,
        scenario=scenario,
        features=(),
    )
