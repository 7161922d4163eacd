"""The sending half of a TCP connection: what is queued, what is in flight, what is lost.

Bursts: with data waiting, a burst is cut as long as the limit allows and always into full frames, so the stream's own
boundaries cost nothing on the wire. The limit is a quarter of the peer's window at most: a burst is acknowledged as a
whole, and several must be under way for the pipe to stay full. A write that fits one burst travels as the same `bytes`
object it was.

Loss: the SACK scoreboard of RFC 2018, with RFC 6675's rule for what is lost (three segments' worth sacked above it).
"""

from __future__ import annotations

from collections import deque

from sim.net.segment import Segment

LONGEST_BURST_BYTES = 65_535
DUPLICATE_THRESHOLD = 3


class SendStream:
    """Bytes leaving in one direction.

    `una` is the oldest number not acknowledged, `next` the next to be sent, `edge` the right edge of the peer's window.
    `flight` holds the segments not acknowledged, oldest first; those with `sent_ns` < 0 wait for retransmission.
    """

    __slots__ = ("_head", "burst", "edge", "flight", "max_window", "mss", "next", "queue", "queued_bytes", "una")

    def __init__(self, first: int) -> None:
        self.una = first
        self.next = first
        self.edge = first
        self.mss = 536
        self.burst = 536
        self.max_window = 0
        self.flight: list[Segment] = []
        self.queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self._head = 0  # bytes of queue[0] that were sent already

    @property
    def unacknowledged_bytes(self) -> int:
        """Everything written and not yet acknowledged, sent or not."""
        return self.next - self.una + self.queued_bytes

    def set_limits(self, mss: int, burst_bytes: int) -> None:
        """Fix the segment size and the longest burst (cut to full frames, at least one)."""
        self.mss = mss
        quarter = max(self.max_window // 4, 2 * mss)
        self.burst = max(min(burst_bytes, quarter, LONGEST_BURST_BYTES) // mss, 1) * mss

    def put(self, buffers: list[bytes], length: int) -> None:
        """Queue `buffers`, `length` bytes in all."""
        self.queue.extend(filter(None, buffers))
        self.queued_bytes += length

    def allowed(self) -> int:
        """How many queued bytes may go now, as one burst; 0 to wait (RFC 9293 3.8.6.2.1).

        A sender held up by the window waits for room for a whole burst while enough is in flight to bring it one, and
        for room for a full frame as long as anything is in flight.
        """
        room = self.edge - self.next
        pending = self.queued_bytes
        burst = self.burst
        if pending <= room:
            return pending if pending < burst else burst
        if room >= burst:
            return burst
        flight = self.next - self.una
        if flight >= burst:
            return 0
        mss = self.mss
        if room >= mss:
            return room - room % mss
        return 0 if flight or room < 0 else room

    def cut(self, length: int) -> bytes:
        """Take `length` bytes off the queue, as the object that was written where possible."""
        queue, head = self.queue, self._head
        first = queue[0]
        self.queued_bytes -= length
        available = len(first) - head
        if available == length:
            queue.popleft()
            self._head = 0
            return first[head:] if head else first
        if available > length:
            self._head = head + length
            return first[head : head + length]
        parts = [first[head:] if head else first]
        queue.popleft()
        missing = length - available
        while missing:
            part = queue[0]
            if len(part) > missing:
                parts.append(part[:missing])
                self._head = missing
                return b"".join(parts)
            parts.append(part)
            queue.popleft()
            missing -= len(part)
        self._head = 0
        return b"".join(parts)

    def acknowledge(self, ack: int) -> int:
        """Everything before `ack` has arrived. Returns when the newest segment it covers was sent.

        -1 when no segment is covered as a whole, or when the newest one was sent more than once (Karn's rule).
        """
        self.una = ack
        flight = self.flight
        if not flight:
            return -1
        newest = flight[-1]
        if newest.end <= ack:
            flight.clear()
            return -1 if newest.resent else newest.sent_ns
        done = 0
        sent_ns = -1
        for segment in flight:
            if segment.end > ack:
                break
            sent_ns = -1 if segment.resent else segment.sent_ns
            done += 1
        if done:
            del flight[:done]
        return sent_ns

    def sack(self, blocks: tuple[tuple[int, int], ...]) -> None:
        """Note what the peer holds beyond holes, splitting segments where a block begins or ends inside one."""
        for start, end in blocks:
            self._split_at(start)
            self._split_at(end)
            for segment in self.flight:
                if segment.seq >= start and segment.end <= end:
                    segment.sacked = True

    def split_acknowledged(self) -> None:
        """Drop the acknowledged part of the oldest segment, so that a retransmission repeats only the rest."""
        self._split_at(self.una)
        self.flight = [segment for segment in self.flight if segment.end > self.una]

    def _split_at(self, number: int) -> None:
        for index, segment in enumerate(self.flight):
            if segment.seq < number < segment.seq + len(segment.payload):
                cut = number - segment.seq
                self.flight[index : index + 1] = [
                    self._part(segment, segment.seq, segment.payload[:cut], last=False),
                    self._part(segment, number, segment.payload[cut:], last=True),
                ]
                return

    def _part(self, whole: Segment, seq: int, payload: bytes, *, last: bool) -> Segment:
        flags = whole.flags if last else whole.flags & ~(0x01 | 0x08)  # FIN and PSH belong to the end
        part = Segment(whole.flow, flags, seq, whole.ack, whole.window, payload, self.mss)
        part.sent_ns = whole.sent_ns
        part.resent = whole.resent
        part.sacked = whole.sacked
        return part

    def lost(self, before_ns: int) -> list[Segment]:
        """The segments to send again: those with enough sacked above them (RFC 6675 IsLost).

        One that was sent again already is lost again only if that was before `before_ns`.
        """
        sacked = [segment for segment in self.flight if segment.sacked]
        segments_above = len(sacked)
        bytes_above = sum(segment.end - segment.seq for segment in sacked)
        found = []
        for segment in self.flight:
            if segments_above < DUPLICATE_THRESHOLD and bytes_above <= (DUPLICATE_THRESHOLD - 1) * self.mss:
                break
            if segment.sacked:
                segments_above -= 1
                bytes_above -= segment.end - segment.seq
            elif not segment.resent or segment.sent_ns < before_ns:
                found.append(segment)
        return found

    def give_up_waiting(self) -> None:
        """The retransmission timer expired: everything in flight that is not sacked counts as lost."""
        for segment in self.flight:
            segment.sent_ns = -1

    def waiting(self) -> list[Segment]:
        """The segments that count as lost since the timer expired."""
        return [segment for segment in self.flight if segment.sent_ns < 0 and not segment.sacked]

    def replace(self, old: Segment, new: Segment) -> None:
        """`new` carries again what `old` carried."""
        self.flight[self.flight.index(old)] = new
