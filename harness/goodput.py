"""How much payload a link of a given rate can carry as iSCSI reads or writes: arithmetic, not measurement.

On the wire a frame costs its MTU's worth of IP packet plus 38 bytes: preamble and start delimiter 8, Ethernet header
14, FCS 4, inter-packet gap 12 (IEEE 802.3). Inside, IPv4 takes 20, TCP 20 and its options (12 with timestamps, RFC
7323). At MTU 1500 that leaves 1460 of 1538 bytes, 949 Mbit/s of a gigabit, to the TCP stream.

The stream of one block of B bytes (RFC 7143 11.7, 11.3, 11.8):

- read: ceil(B / MaxRecvDataSegmentLength) Data-In PDUs of 48 bytes of header each; the last one carries the status.
- write: the SCSI Command (48) with its immediate data, then Data-Out PDUs (48 each) for the rest.

plus 4 bytes per digest in use and padding to a multiple of 4. A block's stream is sent as full segments and one rest,
so frames are rounded up per block. The result is what one direction of one link allows when the queue never runs dry;
commands, R2Ts and ACKs travel against the data and do not slow it on a full-duplex link.
"""

from dataclasses import dataclass
from typing import Literal

WIRE_BYTES_PER_FRAME = 8 + 14 + 4 + 12
MIN_FRAME_PAYLOAD_BYTES = 46
IP_AND_TCP_HEADER_BYTES = 20 + 20
BHS_BYTES = 48
DIGEST_BYTES = 4


@dataclass(frozen=True, slots=True)
class Framing:
    """What a session's bytes are wrapped in."""

    mtu: int = 1500
    tcp_option_bytes: int = 0
    """Per data segment: 0, or 12 with timestamps."""
    max_data_segment_bytes: int = 65536
    """The receiver's MaxRecvDataSegmentLength."""
    immediate_data_bytes: int = 0
    """Of a write: data inside the command PDU; 0 when ImmediateData=No."""
    header_digest: bool = False
    data_digest: bool = False

    @property
    def mss_bytes(self) -> int:
        """TCP payload of a full frame."""
        return self.mtu - IP_AND_TCP_HEADER_BYTES - self.tcp_option_bytes


def stream_bytes(op: Literal["read", "write"], block_bytes: int, framing: Framing) -> int:
    """Bytes in the TCP stream, in the data's direction, for one block."""
    if op == "read":
        return _data_pdus(block_bytes, framing)
    immediate = min(framing.immediate_data_bytes, framing.max_data_segment_bytes, block_bytes)
    return _pdu(immediate, framing) + _data_pdus(block_bytes - immediate, framing)


def wire_bytes(stream: int, framing: Framing) -> int:
    """Bytes of line time for one block's stream: full frames and a rest, each with its headers and gap."""
    full, rest = divmod(stream, framing.mss_bytes)
    headers = IP_AND_TCP_HEADER_BYTES + framing.tcp_option_bytes
    total = full * (framing.mss_bytes + headers + WIRE_BYTES_PER_FRAME)
    if rest:
        total += max(rest + headers, MIN_FRAME_PAYLOAD_BYTES) + WIRE_BYTES_PER_FRAME
    return total


def goodput_bytes_per_s(
    op: Literal["read", "write"], block_bytes: int, rate_bits_per_s: int, framing: Framing
) -> float:
    """Payload bytes per second a link of this rate allows for back-to-back blocks. Raises ValueError on no block."""
    if block_bytes <= 0:
        raise ValueError(f"expected a block of at least one byte, got {block_bytes}")
    return rate_bits_per_s / 8 * block_bytes / wire_bytes(stream_bytes(op, block_bytes, framing), framing)


def _data_pdus(data_bytes: int, framing: Framing) -> int:
    full, rest = divmod(data_bytes, framing.max_data_segment_bytes)
    return full * _pdu(framing.max_data_segment_bytes, framing) + (_pdu(rest, framing) if rest else 0)


def _pdu(data_bytes: int, framing: Framing) -> int:
    """A PDU with that much data: header, padded data, digests. No data, no data digest."""
    size = BHS_BYTES + -(-data_bytes // 4) * 4
    if framing.header_digest:
        size += DIGEST_BYTES
    if framing.data_digest and data_bytes:
        size += DIGEST_BYTES
    return size
