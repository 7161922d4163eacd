"""The receiving half of a TCP connection: reassembly, SACK blocks, and the window it may advertise.

RFC 9293 3.10.7.4 (which data is taken), RFC 2018 (SACK blocks, the newest first), RFC 9293 3.8.6.2.2 (a receiver does
not open its window by slivers).
"""

from __future__ import annotations

# RFC 2018 section 3: four blocks fit into the options of a segment, three beside timestamps. Three always fit.
MAX_SACK_BLOCKS = 3
# Runs of out-of-order data kept; the window bounds their bytes, this bounds their number.
MAX_RUNS = 1_024


class ReceiveStream:
    """Bytes arriving in one direction.

    `next` is the sequence number wanted next, `edge` the right edge of the window as advertised, `ready` the payloads
    in order that the application has not taken, `ready_bytes` their sum, `runs` the data beyond holes as
    (start, payload), in order of start and never overlapping.
    """

    __slots__ = ("_newest", "buffer_bytes", "edge", "fin_seq", "next", "ready", "ready_bytes", "runs", "shift", "step")

    def __init__(self, buffer_bytes: int) -> None:
        self.buffer_bytes = buffer_bytes
        self.shift = 0
        self.step = 1
        self.next = 0
        self.edge = 0
        self.fin_seq: int | None = None
        self.ready: list[bytes] = []
        self.ready_bytes = 0
        self.runs: list[tuple[int, bytes]] = []
        self._newest = 0

    def start(self, first: int, mss: int, shift: int | None) -> None:
        """The peer's SYN said that its first byte is number `first`; `shift` is our window scale where it is in use."""
        if shift is None:
            self.buffer_bytes = min(self.buffer_bytes, 0xFFFF)
        self.shift = shift or 0
        self.step = min(mss, self.buffer_bytes >> 1)
        self.next = first
        self.edge = first + min(self.buffer_bytes, 0xFFFF)  # what a SYN can say, before scaling applies

    def take(self, seq: int, payload: bytes) -> bool:
        """Take a payload that overlaps the window; True when it was exactly the next one and filled no hole."""
        if seq == self.next and not self.runs:
            self.ready.append(payload)
            length = len(payload)
            self.ready_bytes += length
            self.next = seq + length
            return True
        self._insert(seq, payload)
        self._join()
        return False

    def _insert(self, seq: int, payload: bytes) -> None:
        start, end = max(seq, self.next), seq + len(payload)
        if start >= end or len(self.runs) >= MAX_RUNS:
            return
        self._newest = start
        # Keep what is held already and add the parts between: the old bytes and the new ones are the same bytes.
        fresh: list[tuple[int, bytes]] = []
        position = start
        for run_start, run in self.runs:
            if run_start >= end:
                break
            if run_start > position:
                fresh.append((position, payload[position - seq : run_start - seq]))
            position = max(position, run_start + len(run))
        if position < end:
            fresh.append((position, payload[position - seq :]))
        if fresh:
            self.runs = sorted(self.runs + fresh)

    def _join(self) -> None:
        runs = self.runs
        done = 0
        for start, run in runs:
            if start != self.next:
                break
            self.ready.append(run)
            self.ready_bytes += len(run)
            self.next = start + len(run)
            done += 1
        if done:
            del runs[:done]

    def sack_blocks(self) -> tuple[tuple[int, int], ...]:
        """What lies beyond the holes, as (start, end) blocks: the one with the newest data first."""
        if not self.runs:
            return ()
        blocks: list[tuple[int, int]] = []
        for start, run in self.runs:
            if blocks and blocks[-1][1] == start:
                blocks[-1] = (blocks[-1][0], start + len(run))
            else:
                blocks.append((start, start + len(run)))
        newest = next((block for block in blocks if block[0] <= self._newest < block[1]), blocks[0])
        rest = [block for block in blocks if block != newest]
        return (newest, *rest[: MAX_SACK_BLOCKS - 1])

    def hand_over(self) -> list[bytes]:
        """The payloads in order, now the application's."""
        ready = self.ready
        self.ready = []
        self.ready_bytes = 0
        return ready

    def put_back(self, payloads: list[bytes]) -> None:
        """Payloads handed over that the application will not take yet; they go before what came since."""
        self.ready[:0] = payloads
        self.ready_bytes += sum(map(len, payloads))

    def window_field(self) -> int:
        """The window field to send now. The right edge moves only by a full segment or half the buffer at least."""
        target = self.next + self.buffer_bytes - self.ready_bytes
        if target - self.edge >= self.step:
            self.edge = target
        field = (self.edge - self.next) >> self.shift
        return field if field > 0 else 0

    def wants_update(self) -> bool:
        """Whether taking data has opened the window enough to tell the sender without being asked."""
        return self.next + self.buffer_bytes - self.ready_bytes - self.edge >= 2 * self.step
