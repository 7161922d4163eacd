"""Writes pcapng files with nanosecond timestamps, by scapy's raw writer. The only module that imports scapy.

scapy's writer counts microseconds and names no resolution; at 10 Gbit/s a full frame takes 1.2 of them. So the
interface blocks are written here, with `if_tsresol` 9, through the writer's own block builder, and packets are handed
over with their time as a whole number of nanoseconds. Nothing of this machine or moment enters the file: equal
packets, equal bytes.
"""

import struct
from pathlib import Path

from scapy.utils import RawPcapNgWriter

LINKTYPE_ETHERNET = 1
SNAPLEN_BYTES = 262144
_IDB = struct.pack("<I", 1)
_IF_NAME, _IF_TSRESOL, _END_OF_OPTIONS = 2, 9, 0


class PcapngWriter:
    """One section with an interface per capture point, in the order they first appear."""

    def __init__(self, path: Path) -> None:
        """Create the file. Raises OSError."""
        self._writer = RawPcapNgWriter(str(path))
        self._writer.linktype = LINKTYPE_ETHERNET
        self._writer.tsresol = 1  # times are handed over in the unit they are written in
        self._writer.header_present = True  # its own header would add an interface without a name
        self._writer._write_block_shb()
        self._interfaces: dict[str, int] = {}

    def write(self, interface: str, time_ns: int, frame: bytes) -> None:
        """Append one frame."""
        number = self._interfaces.get(interface)
        if number is None:
            number = self._interfaces[interface] = len(self._interfaces)
            self._add_interface(interface)
        self._writer._write_block_epb(frame, number, time_ns, len(frame), len(frame))

    def close(self) -> None:
        """Complete the file."""
        self._writer.close()

    def _add_interface(self, name: str) -> None:
        body = struct.pack("<HHI", LINKTYPE_ETHERNET, 0, SNAPLEN_BYTES)
        options = _option(_IF_NAME, name.encode()) + _option(_IF_TSRESOL, b"\x09") + _option(_END_OF_OPTIONS, b"")
        self._writer.f.write(self._writer.build_block(_IDB, body, options))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
