"""The sending half of a TCP connection: what is queued, what is in flight, what is lost.

Bursts: with data waiting, a burst is cut as long as the limit allows and always into full frames, so the stream's own
boundaries cost nothing on the wire. The limit is a quarter of the peer's window at most: a burst is acknowledged as a
whole, and several must be under way for the pipe to stay full. A write that fits one burst travels as the same `bytes`
object it was.

Loss: the SACK scoreboard of RFC 2018, RFC 6675's rule for what is lost (so many segments' worth sacked above it), and
its pipe: what is under way is what was sent, less what has left the network because it was sacked or lost.
"""

from __future__ import annotations

from collections import deque

from sim.net.segment import Segment

LONGEST_BURST_BYTES = 65_535
# Until the connection stands nothing but a SYN is sent, and that waits for no window.
NO_LIMIT_BYTES = 1 << 62


class SendStream:
    """Bytes leaving in one direction.

    `una` is the oldest number not acknowledged, `next` the next to be sent, `edge` the right edge of the peer's window.
    `flight` holds the segments not acknowledged, oldest first; those with `sent_ns` < 0 are lost and wait to be sent
    again (`waiting`: there are some). `cwnd` is the congestion window. Of the bytes from `una` to `next`, `left_bytes`
    are no longer under way; without SACK `inflation` says how many duplicate acknowledgements have told of. `clean`
    says that nothing is lost or doubtful: no hole, no duplicate, no repair. `idle_since_ns` is when the newest data
    was sent that an empty flight has behind it, `delivered_ns` when the newest segment was sent that was sacked and
    `delivered_rtt_ns` how long that took.
    """

    __slots__ = (
        "_head",
        "burst",
        "clean",
        "cwnd",
        "delivered_ns",
        "delivered_rtt_ns",
        "edge",
        "flight",
        "idle_since_ns",
        "inflation",
        "left_bytes",
        "max_window",
        "mss",
        "next",
        "queue",
        "queued_bytes",
        "una",
        "waiting",
    )

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
        self.cwnd = NO_LIMIT_BYTES
        self.left_bytes = 0
        self.inflation = 0
        self.clean = True
        self.waiting = False
        self.idle_since_ns = 0
        self.delivered_ns = -1
        self.delivered_rtt_ns = 0

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

    def allowed(self, sent_before_ns: int) -> int:
        """How many queued bytes may go now, as one burst; 0 to wait (RFC 9293 3.8.6.2.1).

        A sender held up by the window sends full frames only, as long as anything is in flight. With room for less than
        a burst and less than a third of the window it waits for more, if the next acknowledgement will soon bring it:
        if the oldest segment in flight was sent before `sent_before_ns`, half a round trip ago (tcp_tso_should_defer
        and tcp_tso_win_divisor of Linux). It also waits if less than a burst would stay behind, which must wait for
        that acknowledgement anyway and can take the rest along.
        """
        room = self.una + self.cwnd + self.left_bytes - self.next
        by_peer = self.edge - self.next
        if by_peer < room:
            room = by_peer
        pending = self.queued_bytes
        burst = self.burst
        if pending <= room:
            return pending if pending < burst else burst
        if room >= burst:
            return burst
        flight = self.flight
        mss = self.mss
        if room >= mss:
            soon = flight and (flight[0].sent_ns < sent_before_ns or pending - room < burst)
            if soon and self.clean and 3 * room < self.next + room - self.una:
                return 0
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
            self.idle_since_ns = newest.sent_ns
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
            self.split_at(start)
            self.split_at(end)
            for segment in self.flight:
                if segment.seq >= start and segment.end <= end and not segment.sacked:
                    segment.sacked = True

    def note_delivery(self, now_ns: int) -> None:
        """See what the last `sack` says of the round trip (RFC 8985 6.2 step 2)."""
        newest_ns = max((segment.sent_ns for segment in self.flight if segment.sacked), default=-1)
        if newest_ns > self.delivered_ns:
            self.delivered_ns, self.delivered_rtt_ns = newest_ns, now_ns - newest_ns

    def split_acknowledged(self) -> None:
        """Drop the acknowledged part of the oldest segment, so that a retransmission repeats only the rest."""
        self.split_at(self.una)
        self.flight = [segment for segment in self.flight if segment.end > self.una]

    def split_at(self, number: int) -> None:
        """Let no segment in flight reach across `number`."""
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

    def mark_lost(self, threshold: int, overdue_ns: int) -> bool:
        """Mark what the scoreboard shows to be lost; True when something new is (RFC 6675 IsLost).

        That is what has `threshold` segments, or more than one fewer full ones' worth, sacked above it. What was sent
        at `overdue_ns` or before, so much earlier than something that has arrived, is lost as well (RFC 8985 6.2 step
        5): of a retransmission nothing else can say so. `overdue_ns` < 0 for a stack without RACK.
        """
        sacked = [segment for segment in self.flight if segment.sacked]
        segments_above = len(sacked)
        bytes_above = sum(segment.end - segment.seq for segment in sacked)
        enough_bytes = (threshold - 1) * self.mss
        found = False
        for segment in self.flight:
            if not segments_above:
                break
            if segment.sacked:
                segments_above -= 1
                bytes_above -= segment.end - segment.seq
                continue
            above = not segment.resent and (segments_above >= threshold or bytes_above > enough_bytes)
            if segment.sent_ns >= 0 and (above or segment.sent_ns <= overdue_ns):
                segment.sent_ns = -1
                found = True
        return found

    def mark_first_lost(self) -> None:
        """The oldest full frame in flight counts as lost: duplicate acknowledgements can tell of no other."""
        self.split_acknowledged()
        self.split_at(self.una + self.mss)
        if self.flight:
            self.flight[0].sent_ns = -1

    def mark_all_lost(self) -> None:
        """The retransmission timer expired: everything in flight that is not sacked counts as lost."""
        for segment in self.flight:
            segment.sent_ns = -1

    def tally(self) -> None:
        """Count anew what has left the network: after an acknowledgement, a sack or a mark."""
        left = self.inflation
        waiting = False
        for segment in self.flight:
            if segment.sacked:
                left += segment.end - segment.seq
            elif segment.sent_ns < 0:
                left += segment.end - segment.seq
                waiting = True
        self.left_bytes = min(left, self.next - self.una)
        self.waiting = waiting

    def first_waiting(self) -> Segment | None:
        """The oldest segment that waits to be sent again."""
        for segment in self.flight:
            if segment.sent_ns < 0 and not segment.sacked:
                return segment
        return None

    def replace(self, old: Segment, new: Segment) -> None:
        """`new` carries again what `old` carried."""
        self.flight[self.flight.index(old)] = new
