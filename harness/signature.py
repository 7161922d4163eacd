"""What two failures have in common when they are the same bug: the signature a sweep groups by and a minimizer keeps.

It holds the names of the checks that failed with the numbers of their first words taken out, not their evidence: the
same bug in a shorter scenario has other times, other blocks and other paths.
"""

from __future__ import annotations

import re
from typing import Final

from harness.result import Result

__all__ = ["signature_of"]

_PARTICULARS: Final = re.compile(r"\d[\d.,:]*|\b(?=\w*\d)\w+\b")
_WORDS: Final = 6


def signature_of(result: Result) -> str:
    """The failure's signature; empty for a run that passed."""
    return " + ".join(dict.fromkeys(_one(failure.check, failure.why) for failure in result.failures))


def _one(check: str, why: str) -> str:
    words = _PARTICULARS.sub("#", why).split()
    return f"{check}: {' '.join(words[:_WORDS])}"
