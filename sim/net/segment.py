"""What travels: a TCP segment, or a burst of them, and the record of it that observers get.

One `Segment` may stand for several full frames in a row, as with segmentation offload (LSO, TSO): the sender hands its
NIC up to 64 KiB at once and the wire sees MSS-sized frames. Wire time is charged for every frame with all its headers;
only the events are saved.

Sequence and acknowledgement numbers are the real ones (RFC 9293 3.4) extended beyond 32 bits, so that they never wrap
inside the simulation; `SegmentRecord` shows them as the wire does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Address = tuple[str, int]
"""An IPv4 address and a TCP port."""

Flow = tuple[Address, Address]
"""A connection as one end sees it: (local, remote)."""

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10

# Ethernet header 14 and FCS 4; preamble 8 and inter-frame gap 12 take wire time as well. IPv4 20, TCP 20.
ETHERNET_BYTES = 14 + 4
PREAMBLE_AND_GAP_BYTES = 8 + 12
IP_AND_TCP_BYTES = 20 + 20
FRAME_OVERHEAD_BYTES = ETHERNET_BYTES + PREAMBLE_AND_GAP_BYTES + IP_AND_TCP_BYTES
SMALLEST_FRAME_BYTES = 64 + PREAMBLE_AND_GAP_BYTES
TIMESTAMP_OPTION_BYTES = 12

SEQUENCE_MASK = 0xFFFFFFFF

_OCCUPYING = SYN | FIN  # flags with a sequence number of their own


@dataclass(frozen=True, slots=True)
class SynOptions:
    """The options of a SYN: what this end can do (RFC 9293 3.7.1, RFC 7323, RFC 2018)."""

    mss: int
    window_scale: int | None
    sack_permitted: bool
    timestamps: bool

    @property
    def length(self) -> int:
        """Bytes of TCP options, padded to a multiple of four."""
        length = 4
        if self.timestamps:
            length += 10
        if self.sack_permitted:
            length += 2
        if self.window_scale is not None:
            length += 3
        return -(-length // 4) * 4


class Segment:
    """One TCP segment, or a burst of `frames` of them in a row.

    It is its own event: `callbacks` and `_ok` are what SimPy asks of one, so that a hop costs a heap entry and no
    object (`Environment.carry`). A segment is under way at most once at a time; what is sent again is a new segment.

    `flow` is the connection as the *receiver* sees it; `window` is the 16-bit field; `end` is the sequence number after
    everything the segment occupies (payload, SYN, FIN). `wire_bytes` and `full_frame_bytes` (each frame but the last)
    count byte times on the wire, headers, preamble and gap included. `sent_ns`, `resent` and `sacked` are the sender's
    notes.
    """

    __slots__ = (
        "ack",
        "callbacks",
        "end",
        "flags",
        "flow",
        "frames",
        "full_frame_bytes",
        "mss",
        "options",
        "payload",
        "resent",
        "sack",
        "sacked",
        "sent_ns",
        "seq",
        "timestamps",
        "window",
        "wire_bytes",
    )

    _ok = True

    callbacks: Sequence[Callable[[Any], None]] | None

    def __init__(
        self,
        flow: Flow,
        flags: int,
        seq: int,
        ack: int,
        window: int,
        payload: bytes = b"",
        mss: int = 1460,
        option_bytes: int = 0,
        options: SynOptions | None = None,
        sack: tuple[tuple[int, int], ...] = (),
        timestamps: tuple[int, int] | None = None,
    ) -> None:
        self.flow = flow
        self.flags = flags
        self.seq = seq
        self.ack = ack
        self.window = window
        self.payload = payload
        self.mss = mss
        self.options = options
        self.sack = sack
        self.timestamps = timestamps
        self.sent_ns = -1
        self.resent = False
        self.sacked = False
        length = len(payload)
        overhead = FRAME_OVERHEAD_BYTES + option_bytes
        if length <= mss:
            wire = length + overhead
            if wire < SMALLEST_FRAME_BYTES:
                wire = SMALLEST_FRAME_BYTES
            self.frames = 1
            self.wire_bytes = self.full_frame_bytes = wire
        else:
            frames = -(-length // mss)
            last = length - (frames - 1) * mss + overhead
            if last < SMALLEST_FRAME_BYTES:
                last = SMALLEST_FRAME_BYTES
            self.frames = frames
            self.full_frame_bytes = full = mss + overhead
            self.wire_bytes = (frames - 1) * full + last
        self.end = seq + length + 1 if flags & _OCCUPYING else seq + length

    def frame_bytes(self, frame: int) -> int:
        """The byte times of one frame of the burst, counted from 0."""
        if frame < self.frames - 1:
            return self.full_frame_bytes
        return self.wire_bytes - (self.frames - 1) * self.full_frame_bytes

    def piece(self, first: int, last: int) -> Segment:
        """The frames from `first` to `last` of a burst, as a segment of its own."""
        final = last == self.frames - 1
        start = first * self.mss
        payload = self.payload[start:] if final else self.payload[start : (last + 1) * self.mss]
        return self._copy(self.flags if final else self.flags & ~(FIN | PSH), self.seq + start, payload)

    def with_payload(self, payload: bytes) -> Segment:
        """The same segment with another payload of the same length."""
        return self._copy(self.flags, self.seq, payload)

    def _copy(self, flags: int, seq: int, payload: bytes) -> Segment:
        option_bytes = self.full_frame_bytes - FRAME_OVERHEAD_BYTES - min(self.mss, len(self.payload))
        return Segment(
            self.flow,
            flags,
            seq,
            self.ack,
            self.window,
            payload,
            self.mss,
            option_bytes,
            self.options,
            self.sack,
            self.timestamps,
        )

    def __repr__(self) -> str:
        (dst, dport), (src, sport) = self.flow
        names = "".join(letter for bit, letter in _LETTERS if self.flags & bit)
        return f"<{src}:{sport} > {dst}:{dport} {names} seq={self.seq} ack={self.ack} len={len(self.payload)}>"


_LETTERS = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (ACK, "A"))


class SegmentRecord(NamedTuple):
    """A segment as it leaves a NIC: everything a capture or a trace needs.

    `time_ns` is when the host handed it to the NIC, `nic` is "host/nic". Numbers are the wire's 32-bit ones, `window`
    the 16-bit field. A burst has `frames` frames of `mss` payload bytes each, the last one shorter; `options` is set on
    SYN segments, `timestamps` (value, echo) where RFC 7323 timestamps are in use. Whether it arrives is not known yet.
    """

    time_ns: int
    nic: str
    src_mac: str
    dst_mac: str
    src: Address
    dst: Address
    flags: int
    seq: int
    ack: int
    window: int
    payload: bytes
    frames: int
    mss: int
    sack: tuple[tuple[int, int], ...]
    options: SynOptions | None
    timestamps: tuple[int, int] | None
