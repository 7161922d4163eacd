"""An `ArrayServer` on a stock loop and loopback addresses, and initiators on plain sockets that can misbehave.

All addresses of an array share one port, a free one, so that any number of test processes go side by side.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from iscsi.framer import DamagedPdu, Framer
from iscsi.login_initiator import InitiatorLogin, LoginDone, LoginFailed, LoginRedirected
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import DataIn, LoginResponse, NopIn, Pdu, ScsiCommand, ScsiResponse, encode
from target.config import PortalConfig
from target.server import ArrayServer
from tests.support.array import BLOCK, HOST, VOLUME, fill_disk, isid, make_group

GROUP_ADDRESS = "127.0.81.1"
PORTALS = ("127.0.81.2", "127.0.81.3")
LIMIT_S = 20.0
"""How long anything may take before a test gives up on it."""

BLOCKS = 64


def block_data(lba: int) -> bytes:
    """What lies in a block of the disk."""
    return lba.to_bytes(4, "big") * (BLOCK // 4)


@dataclass
class Served:
    """A running array and what it logged about connections that ended."""

    server: ArrayServer
    port: int
    log: list[str] = field(default_factory=list)
    peers: list[TcpPeer] = field(default_factory=list)

    async def connect(self, address: str = PORTALS[0], *, receive_buffer: int | None = None) -> TcpPeer:
        """A TCP connection to one of its addresses; see `TcpPeer.connect`. It is closed with the array."""
        peer = TcpPeer()
        self.peers.append(peer)
        await peer.connect(address, self.port, receive_buffer)
        return peer

    async def session(self, number: int = 1, address: str = PORTALS[0], **options: Any) -> TcpPeer:
        """A connection that is logged in and has heard its unit attention."""
        peer = await self.connect(address, **options)
        assert isinstance(await peer.login(number), LoginDone)
        await peer.read(0, 1)
        return peer


@asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[Served]:
    """An array whose first blocks hold `block_data`; everything must be over within `LIMIT_S`."""
    async with asyncio.timeout(LIMIT_S):
        served = await _start(changes)
        try:
            yield served
        finally:
            served.server.close()
            for peer in served.peers:
                peer.close()
            while served.server.connections():
                await asyncio.sleep(0.01)


async def _start(changes: dict[str, Any]) -> Served:
    portals = tuple(PortalConfig(f"eth{number}", address) for number, address in enumerate(PORTALS))
    arguments: dict[str, Any] = {"group_address": GROUP_ADDRESS, "portals": portals}
    for attempt in range(10):
        port = _free_port()
        group = make_group(port=port, **(arguments | changes))
        fill_disk(group, 0, b"".join(map(block_data, range(BLOCKS))))
        log: list[str] = []
        server = ArrayServer(group, random.Random("server").randbytes, lambda ended, log=log: log.append(ended.words))
        try:
            await server.start()
        except OSError:
            assert attempt < 9, "no port is free on all addresses"
            continue
        return Served(server, port, log)
    raise AssertionError


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((GROUP_ADDRESS, 0))
        port: int = probe.getsockname()[1]
    return port


class TcpPeer:
    """An initiator on a bare socket: it reads only when told to."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.cmd_sn = 1
        self.itt = 100
        self._framer = Framer(1 << 24)
        self._heard: list[Pdu] = []

    async def connect(self, address: str, port: int, receive_buffer: int | None = None) -> None:
        """Connect; ``receive_buffer`` bytes are all the kernel takes before the array has to wait."""
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(self.socket, (address, port))

    async def send(self, data: bytes | Pdu) -> None:
        """Send bytes or a PDU; it may fail when the array has closed already."""
        raw = data if isinstance(data, bytes) else encode(data)
        await asyncio.get_running_loop().sock_sendall(self.socket, raw)

    async def hear(self) -> Pdu:
        """The array's next PDU."""
        while not self._heard:
            raw = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
            assert raw, "the array closed the connection"
            for pdu in self._framer.receive(raw):
                assert not isinstance(pdu, DamagedPdu)
                self._heard.append(pdu)
        return self._heard.pop(0)

    async def hears_the_end(self) -> list[Pdu]:
        """Wait until the array has closed or broken the connection; what it said before."""
        said, self._heard = self._heard, []
        while True:
            try:
                raw = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
            except ConnectionResetError:
                raw = b""
            if not raw:
                self.close()
                return said
            said += [pdu for pdu in self._framer.receive(raw) if not isinstance(pdu, DamagedPdu)]

    async def login(
        self, number: int = 1, *, tsih: int = 0, cid: int = 0, **wishes: Any
    ) -> LoginDone | LoginRedirected | LoginFailed:
        """Log in as the host's session ``number``, or with ``tsih`` as a further connection of it."""
        login = InitiatorLogin(
            initiator_name=HOST,
            target_name=VOLUME,
            isid=isid(number),
            tsih=tsih,
            cid=cid,
            itt=1,
            cmd_sn=self.cmd_sn,
            wishes=OperationalKeys(**wishes),
            random_bytes=random.Random("host").randbytes,
        )
        requests = login.start()
        while requests:
            for request in requests:
                await self.send(request)
            answer = await self.hear()
            assert isinstance(answer, LoginResponse)
            requests = login.receive(answer)
        assert login.outcome is not None
        return login.outcome

    def read_command(self, lba: int, blocks: int) -> ScsiCommand:
        """READ(10) with the next task tag and CmdSN."""
        self.itt += 1
        cdb = bytes((0x28, 0)) + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + bytes(7)
        command = ScsiCommand(itt=self.itt, cmd_sn=self.cmd_sn, read=True, edtl=blocks * BLOCK, cdb=cdb)
        self.cmd_sn += 1
        return command

    async def read(self, lba: int, blocks: int) -> bytes:
        """Read and wait for the data; b"" when the command failed."""
        await self.send(self.read_command(lba, blocks))
        data = b""
        while True:
            answer = await self.hear()
            if isinstance(answer, ScsiResponse):
                return data
            if isinstance(answer, NopIn):
                continue  # a ping, on a machine that was busy: the next command answers it as well
            assert isinstance(answer, DataIn)
            data += answer.data
            if answer.has_status:
                return data

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def reset(self) -> None:
        """Break the connection: SO_LINGER of 0 s makes close() send RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@asynccontextmanager
async def healthy_session(served: Served) -> AsyncIterator[None]:
    """A session that reads and checks data before, while and after the body runs."""
    peer = await served.session(number=0x77, address=PORTALS[1])
    over = asyncio.Event()
    reads = 0

    async def work() -> None:
        nonlocal reads
        while not over.is_set():
            lba = reads % BLOCKS
            assert await peer.read(lba, 1) == block_data(lba)
            reads += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    try:
        while reads < 3 and not task.done():
            await asyncio.sleep(0)
        yield
        before = reads
        while reads < before + 3 and not task.done():
            await asyncio.sleep(0)
    finally:
        over.set()
        await task
        peer.close()
