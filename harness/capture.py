"""A capture of a run: an observer of the simulated network that writes what every NIC sent, for Wireshark and tshark.

The simulator hands over bursts at the moment the host gave them to its NIC; here each frame gets the time its last
bit of the frame before it was out, which is link arithmetic: a frame starts when the link is free. Bursts of several
NICs overlap, so frames wait in a heap until no earlier one can come. Times start at zero, the beginning of the
scenario.
"""

import heapq
from collections.abc import Mapping
from pathlib import Path

from harness.frames import FrameMaker
from sim.net.segment import PREAMBLE_AND_GAP_BYTES, SMALLEST_FRAME_BYTES, SegmentRecord

FCS_BYTES = 4


class CaptureError(Exception):
    """No capture can be written; the message says what is missing."""


class Capture:
    """Call it with every record; close it when the run is over."""

    def __init__(self, path: Path, rates_bits_per_s: Mapping[str, int]) -> None:
        """`rates_bits_per_s`: of each NIC by its name in the records; frames of other NICs take no time.

        Raises CaptureError when scapy is not installed or the file cannot be created.
        """
        try:
            from harness.pcapng import PcapngWriter
        except ImportError:
            raise CaptureError("captures are written by scapy: pip install 'mpiolab[pcap]'") from None
        try:
            self._writer = PcapngWriter(path)
        except OSError as error:
            raise CaptureError(f"cannot be written: {error.strerror}") from None
        self._rates_bits_per_s = dict(rates_bits_per_s)
        self._frames = FrameMaker()
        self._free_ns: dict[str, int] = {}
        self._waiting: list[tuple[int, int, str, bytes]] = []
        self._count = 0

    def __call__(self, record: SegmentRecord) -> None:
        """Take one record; records come in the order of their time."""
        self._write_until(record.time_ns)
        nic = record.nic
        rate = self._rates_bits_per_s.get(nic, 0)
        start_ns = max(record.time_ns, self._free_ns.get(nic, 0))
        sent_bytes = 0
        for frame in self._frames.frames(record):
            # Rounded down, so that no frame is shown later than it was sent: an answer must not precede it.
            time_ns = start_ns + (sent_bytes * 8 * 10**9 // rate if rate else 0)
            self._count += 1
            heapq.heappush(self._waiting, (time_ns, self._count, nic, frame))
            sent_bytes += max(len(frame) + FCS_BYTES + PREAMBLE_AND_GAP_BYTES, SMALLEST_FRAME_BYTES)
        self._free_ns[nic] = start_ns + (sent_bytes * 8 * 10**9 // rate if rate else 0)

    def close(self) -> None:
        """Write what is still waiting and complete the file."""
        while self._waiting:
            self._write_first()
        self._writer.close()

    def _write_until(self, now_ns: int) -> None:
        while self._waiting and self._waiting[0][0] <= now_ns:
            self._write_first()

    def _write_first(self) -> None:
        time_ns, _, nic, frame = heapq.heappop(self._waiting)
        self._writer.write(nic, time_ns, frame)
