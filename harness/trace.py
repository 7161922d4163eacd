"""The trace of a run as one hash.

Two runs are the same run exactly when their hashes are equal. The hash covers every TCP segment at the moment its NIC
took it (time, ends, numbers, flags, payload checksum) and every event told to the trace, in order. Any hidden source
of chance, wherever it sits, ends up in it. What it covers is the same with every observer on or off.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from google_crc32c import value as crc32c

from sim.net.nic import Nic
from sim.net.segment import SEQUENCE_MASK, Flow, Segment

FLUSH_LINES = 1 << 10


class Trace:
    """Takes in one run. Observing only: nothing in a run depends on it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pending: list[str] = []
        self.events = 0
        """What it has taken in: segments and events."""

    def segment(self, time_ns: int, nic: Nic, segment: Segment) -> None:
        """A NIC took a segment: a `SegmentObserver`."""
        self.events += 1
        payload, pending = segment.payload, self._pending
        pending.append(
            f"{time_ns} {nic.label} {_ends(segment.flow)} {segment.flags} {segment.seq & SEQUENCE_MASK} "
            f"{segment.ack & SEQUENCE_MASK} {segment.window} {len(payload)} {crc32c(payload) if payload else 0}\n"
        )
        if len(pending) > FLUSH_LINES:
            self._flush()

    def event(self, time_ns: int, kind: str, **what: Any) -> None:
        """Something else happened: ``kind`` in a word, the rest as JSON values."""
        self.events += 1
        self._pending.append(json.dumps([time_ns, kind, what], separators=(",", ":")) + "\n")

    def sha256(self) -> str:
        """The hash of everything so far."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        self._hash.update("".join(self._pending).encode())
        self._pending.clear()


@lru_cache(maxsize=1 << 12)
def _ends(flow: Flow) -> str:
    """Sender and receiver; a flow names the receiver first."""
    (to, to_port), (of, of_port) = flow
    return f"{of}:{of_port}>{to}:{to_port}"
