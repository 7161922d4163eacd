"""A client that costs next to nothing: random reads of one size over one connection, with digests on both ways or none.

No client of libiscsi's asks for a data digest. This one checks the statuses and lengths of what comes, not the digests:
it is there to load the target, and every microsecond it spends is missing from the difference that is measured. Run as
``python -m tests.bench.raw_reader ADDRESS PORT IQN SIZE DEPTH SECONDS DIGESTS``; it prints the I/Os per second.
"""

from __future__ import annotations

import itertools
import socket
import sys
import time
from random import Random
from typing import Final

from iscsi.framer import Framer
from iscsi.login_initiator import InitiatorLogin, LoginDone, LoginRedirected
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LoginResponse, ScsiCommand, encode
from tests.bench.targets import DISK_BYTES

BLOCK: Final = 512
DATA_IN_GOOD: Final = b"\x25\x81\x00\x00"
"""The last Data-In of a read that ended GOOD: F and S set, status 0."""


def connect(address: str, port: int, iqn: str, digests: bool, number: int = 1) -> tuple[socket.socket, LoginDone]:
    """A logged-in connection, wherever the target redirects it."""
    digest = ("CRC32C",) if digests else ("None",)
    wishes = OperationalKeys(header_digest=digest, data_digest=digest, max_recv_data_segment_length=262144)
    for _ in range(3):
        peer = socket.create_connection((address, port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        login = InitiatorLogin(
            initiator_name="iqn.2026-11.lab.bench:reader",
            target_name=iqn,
            isid=b"\x80" + number.to_bytes(5, "big"),
            itt=1,
            cmd_sn=1,
            wishes=wishes,
            random_bytes=Random("login").randbytes,
        )
        framer = Framer(1 << 18)
        requests = login.start()
        while requests:
            peer.sendall(b"".join(map(encode, requests)))
            answers = framer.receive(peer.recv(65536))
            requests = [
                more for answer in answers if isinstance(answer, LoginResponse) for more in login.receive(answer)
            ]
        if isinstance(login.outcome, LoginDone):
            return peer, login.outcome
        peer.close()
        if not isinstance(login.outcome, LoginRedirected):
            break
        address, port = login.outcome.address.host, login.outcome.address.port
    raise RuntimeError(f"the login ended with {login.outcome}")


def read_rate(address: str, port: int, iqn: str, *, size: int, depth: int, seconds: float, digests: bool) -> float:
    """Reads of ``size`` bytes (one Data-In each), ``depth`` at a time: I/Os per second."""
    peer, _ = connect(address, port, iqn, digests)
    random = Random("places")
    tags = itertools.count(1)
    answer_bytes = 48 + size + (8 if digests else 0)

    def request() -> bytes:
        number = next(tags)
        lba = random.randrange(DISK_BYTES // size) * (size // BLOCK)
        cdb = b"\x28\0" + lba.to_bytes(4, "big") + b"\0" + (size // BLOCK).to_bytes(2, "big") + bytes(7)
        # The login took CmdSN 1 for its own; the first command carries it, too.
        command = ScsiCommand(itt=number, cmd_sn=number, exp_stat_sn=0, read=True, edtl=size, cdb=cdb)
        return encode(command, header_digest=digests)

    peer.sendall(request())  # the unit attention of a new nexus
    peer.recv(65536)
    pending = memoryview(bytearray(answer_bytes * depth))
    have = done = 0
    peer.sendall(b"".join(request() for _ in range(depth)))
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        got = peer.recv_into(pending[have:])
        if not got:
            raise RuntimeError("the target closed the connection")
        have += got
        whole = have // answer_bytes
        if whole:
            for start in range(0, whole * answer_bytes, answer_bytes):
                if pending[start : start + 4] != DATA_IN_GOOD:
                    raise RuntimeError(f"not a good read: {bytes(pending[start : start + 48]).hex(' ', 4)}")
            have -= whole * answer_bytes
            pending[:have] = pending[whole * answer_bytes : whole * answer_bytes + have]
            done += whole
            peer.sendall(b"".join(request() for _ in range(whole)))
    peer.close()
    return done / elapsed


if __name__ == "__main__":
    place, port_text, name, size_text, depth_text, seconds_text, digests_text = sys.argv[1:]
    rate = read_rate(
        place,
        int(port_text),
        name,
        size=int(size_text),
        depth=int(depth_text),
        seconds=float(seconds_text),
        digests=digests_text == "crc32c",
    )
    print(f"{rate:.0f}")
