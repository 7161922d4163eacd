"""One session over two TCP connections, and what time does to it when they are lost: the same in both worlds."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from iscsi import scsi
from iscsi.framer import Framer
from iscsi.login_initiator import InitiatorLogin, LoginDone
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import DataIn, LoginResponse, Pdu, ScsiCommand, ScsiResponse, encode
from target.config import Limits
from target.group import Group
from target.server import ArrayProtocol, ArrayServer
from target.states import SessionState
from tests.parity.test_callbacks import both
from tests.parity.worlds import Recorder, Simulated, Stock, World
from tests.support.array import BLOCK, HOST, ISID, VOLUME, fill_disk, make_group

pytestmark = pytest.mark.parametrize("world", [Stock, Simulated], ids=lambda world: world.name)

WISHES: dict[str, Any] = {"max_connections": 2, "default_time2wait": 0, "default_time2retain": 1}


class Wire(Recorder):
    """One connection of an initiator, PDU by PDU."""

    def __init__(self) -> None:
        super().__init__()
        self._framer = Framer(1 << 20)
        self._heard: list[Any] = []

    def send(self, *pdus: Pdu) -> None:
        self.transport.write(b"".join(map(encode, pdus)))

    async def hear(self) -> Any:
        """The array's next PDU."""
        while not self._heard:
            await self.until(lambda self: bool(self.received))
            self._heard += self._framer.receive(bytes(self.received))
            self.received.clear()
        return self._heard.pop(0)

    async def login(self, tsih: int = 0, cid: int = 0, cmd_sn: int = 1) -> LoginDone:
        """Log in for a new session, or with ``tsih`` as a connection of that one."""
        login = InitiatorLogin(
            initiator_name=HOST,
            target_name=VOLUME,
            isid=ISID,
            tsih=tsih,
            cid=cid,
            itt=1,
            cmd_sn=cmd_sn,
            wishes=OperationalKeys(**WISHES),
            random_bytes=random.Random("host").randbytes,
        )
        requests = login.start()
        while requests:
            self.send(*requests)
            answer = await self.hear()
            assert isinstance(answer, LoginResponse)
            requests = login.receive(answer)
        assert isinstance(login.outcome, LoginDone)
        return login.outcome


async def serve(world: World) -> Group:
    """An array at the world's server address, block 1 of its disk full of ones."""
    group = make_group(limits=Limits(time2wait_s=0))
    fill_disk(group, BLOCK, b"\1" * BLOCK)
    server = ArrayServer(group, random.Random("array").randbytes)
    await world.listen(lambda: ArrayProtocol(server))
    return group


def read(cmd_sn: int, lba: int) -> ScsiCommand:
    return ScsiCommand(
        itt=cmd_sn, cmd_sn=cmd_sn, read=True, edtl=BLOCK, cdb=scsi.read(lba, 1, width=10).ljust(16, b"\0")
    )


def ready(cmd_sn: int) -> ScsiCommand:
    return ScsiCommand(itt=cmd_sn, cmd_sn=cmd_sn, cdb=bytes(16))


@both
async def test_commands_keep_their_order_over_both_connections(world: World) -> None:
    """What one connection sets free leaves on the other, which had been silent."""
    group = await serve(world)
    first, second = await world.connect(Wire), await world.connect(Wire)
    done = await first.login()
    await second.login(done.tsih, 1)
    second.send(read(2, 1))
    first.send(ready(1))
    assert isinstance(await first.hear(), ScsiResponse)
    answer = await second.hear()
    assert isinstance(answer, DataIn)
    assert (answer.itt, answer.data, answer.exp_cmd_sn) == (2, b"\1" * BLOCK, 3)
    assert len(group.sessions) == 1


@both
async def test_a_session_goes_on_when_a_connection_comes_back_and_ends_when_none_does(world: World) -> None:
    group = await serve(world)
    first = await world.connect(Wire)
    done = await first.login()
    (session,) = group.sessions.all()
    first.transport.abort()
    while session.state is not SessionState.FAILED:
        await asyncio.sleep(0.01)
    second = await world.connect(Wire)
    await second.login(done.tsih, 0)
    second.send(ready(1))
    assert isinstance(await second.hear(), ScsiResponse)
    assert session.state is SessionState.LOGGED_IN
    second.transport.abort()
    while group.sessions.all():
        await asyncio.sleep(0.01)
    assert session.state is SessionState.FREE
    assert group.deadline_ns is None
