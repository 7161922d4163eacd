"""Runs in the guest: writes to a disk past the page cache until told to stop, then reads every block back.

    writer.py DEVICE RESULT      SIGTERM ends the writing

Each thread has a stretch of the disk and a transfer size of its own and goes over its stretch again and again. Every
4096 bytes say which thread wrote them, in which turn, and where, so that an old block, one in the wrong place or half a
transfer is told from the right one. RESULT is a JSON object, written anew several times a second.
"""

import json
import mmap
import os
import signal
import sys
import threading
import time

BLOCK = 4096
STRETCH = 4 << 20
SIZES = (4096, 4096, 8192, 65536, 262144)
"""One thread each. Immediate data alone, and then R2Ts as well."""
PAUSE_S = 0.05
SLOW_S = 1.0


def contents(thread, turn, offset, length):
    """What a transfer holds."""
    return b"".join(
        (b"%d.%d.%d " % (thread, turn, place)).ljust(64, b"=") * (BLOCK // 64)
        for place in range(offset, offset + length, BLOCK)
    )


class Writer(threading.Thread):
    """Writes over its own stretch. ``turns`` is the number of the last write to each place that was acknowledged."""

    def __init__(self, number, device, stop):
        super().__init__()
        self.number, self.size, self.stop = number, SIZES[number], stop
        self.disk = os.open(device, os.O_RDWR | os.O_DIRECT)
        self.buffer = mmap.mmap(-1, self.size)
        self.writes, self.errors, self.slow = 0, [], []
        self.longest_s, self.since = 0.0, None
        self.turns = {}

    def run(self):
        while not self.stop.is_set():
            offset = self.number * STRETCH + self.writes * self.size % STRETCH
            self.buffer[:] = contents(self.number, self.writes, offset, self.size)
            self.since = time.monotonic()
            try:
                done = os.pwrite(self.disk, self.buffer, offset)
                if done != self.size:
                    self.errors.append(f"{done} of {self.size} bytes at {offset}")
            except OSError as error:
                self.errors.append(f"{error.strerror} at {offset}")
            took_s = time.monotonic() - self.since
            self.since = None
            self.longest_s = max(self.longest_s, took_s)
            if took_s > SLOW_S:
                self.slow.append(round(took_s, 2))
            self.turns[offset] = self.writes
            self.writes += 1
            time.sleep(PAUSE_S)

    def wrong(self):
        """Where the disk does not hold the last write."""
        found = []
        for offset, turn in self.turns.items():
            try:
                read = os.preadv(self.disk, [self.buffer], offset)
                same = read == self.size and self.buffer[:] == contents(self.number, turn, offset, self.size)
            except OSError as error:
                found.append(f"{error.strerror} at {offset}")
                continue
            if not same:
                found.append(f"wanted {self.number}.{turn}.{offset}, got {self.buffer[:32]!r}")
        return found


def main(device, result):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    writers = [Writer(number, device, stop) for number in range(len(SIZES))]
    for writer in writers:
        writer.start()

    def tell(**more):
        now = time.monotonic()
        state = {
            "writes": sum(writer.writes for writer in writers),
            "errors": [error for writer in writers for error in writer.errors][:20],
            "longest_s": round(max(writer.longest_s for writer in writers), 2),
            "slow_s": [took_s for writer in writers for took_s in writer.slow][:20],
            "waiting_s": [round(now - since, 2) for writer in writers if (since := writer.since) is not None],
            **more,
        }
        with open(result + ".new", "w") as file:
            json.dump(state, file)
        os.rename(result + ".new", result)

    while any(writer.is_alive() for writer in writers):
        tell()
        time.sleep(0.2)
    places = sum(len(writer.turns) for writer in writers)
    tell(read_back=places, wrong=[place for writer in writers for place in writer.wrong()][:20])


if __name__ == "__main__":
    main(*sys.argv[1:])
