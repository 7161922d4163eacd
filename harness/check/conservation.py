"""Between those who ask and the disks nothing is lost or made up: what went in has come out, or is in there.

    I/Os submitted = ended well + failed + unknown + what the disks have under way, whenever somebody looks
    a read that ends well brings as many bytes as were asked for
    no I/O is tried more often than a host may try one

That each I/O ends once is the check "exactly once": who issues them counts that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from harness.check.findings import Findings
from harness.expectations import Judgement

if TYPE_CHECKING:
    from harness.issuing import Counts
    from initiator_model.disk import MpioDisk

__all__ = ["Conservation"]


class Conservation:
    """``now_ns`` is the run's clock, ``attempts_max`` the most a host of the run may make at one I/O."""

    def __init__(self, now_ns: Callable[[], int], attempts_max: int) -> None:
        self._attempts_max = attempts_max
        self._findings = Findings("conservation", now_ns)
        self._ended = 0

    def ended(self, number: int, asked_bytes: int, came_bytes: int, attempts: int) -> None:
        """An I/O ended; of a write or of one that did not end well nothing is asked and nothing comes."""
        self._ended += 1
        if came_bytes != asked_bytes:
            self._findings.add("bytes", f"I/O {number} brought {came_bytes} bytes of {asked_bytes}, and ended well")
        if attempts > self._attempts_max:
            self._findings.add("attempts", f"I/O {number} was tried {attempts} times")

    def balance(self, counts: Counts, disks: Iterable[MpioDisk]) -> None:
        """Hold what was counted above against what the disks say, now."""
        under_way = sum(disk.outstanding for disk in disks)
        ended = counts.ok + counts.failed + counts.unknown
        if counts.submitted != ended + under_way:
            what = f"{counts.submitted} I/Os were submitted, {ended} have ended, the disks have {under_way}"
            self._findings.add("balance", what)

    def judgement(self) -> Judgement:
        """What became of it."""
        return self._findings.judgement(f"{self._ended:,} I/Os: none was lost, cut short or tried without end")
