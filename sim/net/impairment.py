"""What ails one direction of a cable: loss, corruption, reordering, jitter, a short queue, and frames that are held.

A healthy direction has none of this and pays nothing for it. In an ailing one every frame of a burst has its own fate:
what survives arrives as pieces, each a run of frames that follow one another. A frame that is lost on the wire has
taken its time there; one that the queue has no room for has not.

Random draws come from one stream per kind of trouble, NIC and direction, and only while there is such trouble: so a
fault that is off moves nothing, and one fault more does not move the others' draws.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sim.net.link import Link
from sim.net.segment import Segment
from sim.rng import Stream

# What a clogged direction holds at most; the windows of the connections keep it far below.
MAX_HELD_SEGMENTS = 65_536


class Direction(enum.Enum):
    """Which way of a cable, as its NIC sees it."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class FrameLoss:
    """Each frame is lost with probability `share`."""

    share: float


@dataclass(frozen=True, slots=True)
class Corruption:
    """With probability `share` a frame with payload arrives with one byte of it changed, and a checksum that fits.

    TCP's checksum misses what was changed before it was computed or what keeps its sum (J. Stone and C. Partridge,
    "When the CRC and TCP checksum disagree", 2000).
    """

    share: float


@dataclass(frozen=True, slots=True)
class Reordering:
    """A `share` of the frames comes `delay_ns` later than the others."""

    share: float
    delay_ns: int


@dataclass(frozen=True, slots=True)
class Jitter:
    """Each segment or burst comes up to `extra_ns` later, as likely 0 as any time to there; none passes another."""

    extra_ns: int


@dataclass(frozen=True, slots=True)
class QueueLimit:
    """What waits in front of the link, the frame on the wire included, is at most `limit_bytes`; more is dropped."""

    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Clog:
    """Frames are held at the far end of the cable, and all come in order when it ends."""


@dataclass(frozen=True, slots=True)
class Darkness:
    """Nothing comes through."""


Impairment = FrameLoss | Corruption | Reordering | Jitter | QueueLimit | Clog | Darkness


class Piece(NamedTuple):
    """What arrives of a burst in one go: its first frame at `first_ns`, its last one at `last_ns`."""

    segment: Segment
    first_ns: int
    last_ns: int


class Impairments:
    """All that ails one direction of a cable at present.

    `dark` and `clogged` say what a frame meets at its far end. The same impairment twice counts twice.
    """

    def __init__(self, link: Link, name: str, stream: Callable[[str], Stream]) -> None:
        self._link = link
        self._name = name
        self._stream = stream
        self._streams: dict[str, Stream] = {}
        self._standing: list[Impairment] = []
        self._held: list[tuple[Segment, Callable[[Segment], None]]] = []
        self._latest_ns = 0  # when the last frame arrives that nothing may pass
        self.dark = False
        self.clogged = False
        self._loss = 0.0
        self._corruption = 0.0
        self._reorderings: tuple[Reordering, ...] = ()
        self._jitters: tuple[Jitter, ...] = ()
        self._limit_bytes: int | None = None

    @property
    def any(self) -> bool:
        """Whether anything ails it, or has left frames behind."""
        return bool(self._standing or self._held)

    def add(self, impairment: Impairment) -> None:
        """From now on this as well."""
        self._standing.append(impairment)
        self._settle()

    def remove(self, impairment: Impairment) -> None:
        """No longer this. Raises ValueError when it was not there."""
        self._standing.remove(impairment)
        if isinstance(impairment, Jitter):  # what comes now stays behind what was held up
            self._link.free_ns = max(self._link.free_ns, self._latest_ns - self._link.latency_ns)
        self._settle()

    def _settle(self) -> None:
        standing = self._standing
        self._loss = _either(each.share for each in standing if isinstance(each, FrameLoss))
        self._corruption = _either(each.share for each in standing if isinstance(each, Corruption))
        self._reorderings = tuple(each for each in standing if isinstance(each, Reordering))
        self._jitters = tuple(each for each in standing if isinstance(each, Jitter))
        self._limit_bytes = min((each.limit_bytes for each in standing if isinstance(each, QueueLimit)), default=None)
        self.dark = any(isinstance(each, Darkness) for each in standing)
        self.clogged = any(isinstance(each, Clog) for each in standing)

    def _draws(self, kind: str) -> Stream:
        """The random numbers of one kind of trouble, the same ones as long as the network lives."""
        draws = self._streams.get(kind)
        if draws is None:
            draws = self._streams[kind] = self._stream(f"{kind}:{self._name}")
        return draws

    # -- the near end: which frames arrive, and when -------------------------------------------------------------------

    @property
    def limited(self) -> bool:
        """Whether frames wait in a queue that may be full: then each must come to it in its own time."""
        return self._limit_bytes is not None

    def pieces(self, segment: Segment, comes_ns: Callable[[int], int]) -> list[Piece]:
        """Send `segment`, whose frame number n comes to the link at `comes_ns(n)`; what arrives of it, and when.

        In order of arrival. The link is busy with what the queue had room for. Where frames may come late each travels
        alone, so that a late one falls between those of other bursts, too.
        """
        jitter_ns = sum(self._draws("jitter").below(each.extra_ns + 1) for each in self._jitters)
        arrivals: list[tuple[int, int]] = []
        for frame in range(segment.frames):
            arrival_ns = self._send_frame(comes_ns(frame), segment.frame_bytes(frame))
            if arrival_ns is None or (self._loss and self._draws("loss").chance(self._loss)):
                continue
            arrival_ns += jitter_ns
            late_ns = sum(each.delay_ns for each in self._reorderings if self._draws("reorder").chance(each.share))
            if late_ns:
                arrival_ns += late_ns
            elif self._jitters:
                arrival_ns = self._latest_ns = max(arrival_ns, self._latest_ns)
            arrivals.append((arrival_ns, frame))
        arrivals.sort()
        found: list[Piece] = []
        begin = 0
        for index in range(1, len(arrivals) + 1):
            follows = index < len(arrivals) and arrivals[index][1] == arrivals[index - 1][1] + 1
            if follows and not self._reorderings:
                continue
            (first_ns, first), (last_ns, last) = arrivals[begin], arrivals[index - 1]
            found.append(Piece(self._received(segment, first, last), first_ns, last_ns))
            begin = index
        return found

    def _send_frame(self, now_ns: int, wire_bytes: int) -> int | None:
        """When a frame arrives that comes to the link now; None when the queue has no room for it."""
        link = self._link
        if self._limit_bytes is not None:
            waiting_bytes = link.backlog_bytes(now_ns)
            if waiting_bytes and waiting_bytes + wire_bytes > self._limit_bytes:
                return None
        return link.reserve(now_ns, wire_bytes)

    def _received(self, segment: Segment, first: int, last: int) -> Segment:
        """The frames from `first` to `last`, as they are read at the other end."""
        if last - first + 1 < segment.frames:
            segment = segment.piece(first, last)
        share = self._corruption
        if not share or not segment.payload:
            return segment
        draws, payload, mss = self._draws("corrupt"), segment.payload, segment.mss
        for start in range(0, len(payload), mss):
            if draws.chance(share):
                place = start + draws.below(min(mss, len(payload) - start))
                changed = payload[place] ^ draws.between(1, 255)
                payload = payload[:place] + bytes((changed,)) + payload[place + 1 :]
        return segment if payload is segment.payload else segment.with_payload(payload)

    # -- the far end ---------------------------------------------------------------------------------------------------

    def lets_through(self, segment: Segment, onward: Callable[[Segment], None]) -> bool:
        """Whether a segment at the far end may go on now. If it is held, `onward` takes it when the clog is gone."""
        if self.dark:
            return False
        if self.clogged or self._held:
            if len(self._held) < MAX_HELD_SEGMENTS:
                self._held.append((segment, onward))
            return False
        return True

    def release(self) -> Sequence[tuple[Segment, Callable[[Segment], None]]]:
        """What was held, in order, if nothing clogs it any more; whoever asks sends it on."""
        if self.clogged:
            return ()
        held, self._held = self._held, []
        return held


def _either(shares: Iterable[float]) -> float:
    """The probability that at least one of several independent things happens."""
    neither = 1.0
    for share in shares:
        neither *= 1.0 - share
    return 1.0 - neither
