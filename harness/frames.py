"""Segments of the simulated network as the Ethernet frames a real one would carry.

The simulator sends bursts, as a NIC with segmentation offload does; a capture shows what leaves that NIC: frames of at
most one MSS, each with its own IPv4 and TCP header (RFC 791, RFC 9293), options (RFC 7323, RFC 2018) and checksums, PSH
and FIN on the last one only. The checksum is computed on whole numbers: a ones' complement sum of 16-bit words is the
remainder of the big-endian number by 65535 (RFC 1071), which Python divides faster than it loops.

Frames carry no FCS and are not padded to 60 bytes: this is what the sending host's own capture shows.
"""

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from sim.net.segment import FIN, PSH, Address, SegmentRecord, SynOptions

ETHERTYPE_IPV4 = b"\x08\x00"
TTL = 128
_DONT_FRAGMENT = 0x4000
_TCP = 6

_NOP = b"\x01"
_SACK_PERMITTED = b"\x04\x02"


@dataclass(frozen=True, slots=True)
class _Flow:
    """What all frames of one direction of a connection share, and its part of both checksums."""

    ethernet: bytes
    addresses: bytes
    ports: bytes
    ip_sum: int
    pseudo_sum: int


class FrameMaker:
    """Turns records into frames; remembers flows, and per NIC the IPv4 identification of the next packet."""

    def __init__(self) -> None:
        self._flows: dict[tuple[str, str, Address, Address], _Flow] = {}
        self._next_id: dict[str, int] = {}

    def frames(self, record: SegmentRecord) -> Iterator[bytes]:
        """The frames of one record, in the order they leave."""
        flow = self._flow(record)
        options = tcp_options(record)
        payload, seq, mss = record.payload, record.seq, record.mss
        last_start = max(0, (len(payload) - 1) // mss * mss) if payload else 0
        identification = self._next_id.get(record.nic, 0)
        for start in range(0, last_start + 1, mss):
            flags = record.flags if start == last_start else record.flags & ~(PSH | FIN)
            tcp = struct.pack(
                ">4sIIHHHH",
                flow.ports,
                (seq + start) & 0xFFFFFFFF,
                record.ack & 0xFFFFFFFF,
                (20 + len(options)) << 10 | flags,
                record.window,
                0,
                0,
            )
            piece = payload[start : start + mss]
            length = len(tcp) + len(options) + len(piece)
            checksum = _checksum(flow.pseudo_sum + length + _sum16(b"".join((tcp, options, piece))))
            identification = (identification + 1) & 0xFFFF
            total = 20 + length
            ip_checksum = _checksum(flow.ip_sum + total + identification)
            ip = struct.pack(">BBHHHBBH", 0x45, 0, total, identification, _DONT_FRAGMENT, TTL, _TCP, ip_checksum)
            tcp = tcp[:16] + checksum.to_bytes(2, "big") + tcp[18:]
            yield b"".join((flow.ethernet, ip, flow.addresses, tcp, options, piece))
        self._next_id[record.nic] = identification

    def _flow(self, record: SegmentRecord) -> _Flow:
        key = (record.src_mac, record.dst_mac, record.src, record.dst)
        flow = self._flows.get(key)
        if flow is None:
            addresses = ipaddress.IPv4Address(record.src[0]).packed + ipaddress.IPv4Address(record.dst[0]).packed
            flow = self._flows[key] = _Flow(
                ethernet=_mac(record.dst_mac) + _mac(record.src_mac) + ETHERTYPE_IPV4,
                addresses=addresses,
                ports=struct.pack(">HH", record.src[1], record.dst[1]),
                ip_sum=_sum16(addresses) + 0x4500 + _DONT_FRAGMENT + (TTL << 8 | _TCP),
                pseudo_sum=_sum16(addresses) + _TCP,
            )
        return flow


def tcp_options(record: SegmentRecord) -> bytes:
    """The options of every frame of the record, padded with NOPs to a multiple of four bytes."""
    options = b""
    if record.options is not None:
        options = _syn_options(record.options, record.timestamps)
    elif record.timestamps is not None:
        options = _NOP * 2 + _timestamps(record.timestamps)
    if record.sack:
        edges = b"".join(struct.pack(">II", left & 0xFFFFFFFF, right & 0xFFFFFFFF) for left, right in record.sack)
        options += _NOP * 2 + bytes((5, 2 + len(edges))) + edges
    return options


def _syn_options(offer: SynOptions, timestamps: tuple[int, int] | None) -> bytes:
    options = struct.pack(">BBH", 2, 4, offer.mss)
    if offer.window_scale is not None:
        options += _NOP + bytes((3, 3, offer.window_scale))
    if offer.timestamps:
        permitted = _SACK_PERMITTED if offer.sack_permitted else _NOP * 2
        return options + permitted + _timestamps(timestamps or (0, 0))
    return options + (_NOP * 2 + _SACK_PERMITTED if offer.sack_permitted else b"")


def _timestamps(values: tuple[int, int]) -> bytes:
    return struct.pack(">BBII", 8, 10, values[0] & 0xFFFFFFFF, values[1] & 0xFFFFFFFF)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _sum16(data: bytes) -> int:
    """The ones' complement sum of the data's 16-bit words, not folded below 65535."""
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big") % 65535


def _checksum(total: int) -> int:
    """What makes the sum all ones. Never 0xffff, the other zero of ones' complement (RFC 1624)."""
    return -total % 65535
