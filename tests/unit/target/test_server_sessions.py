"""Two connections of one session on a stock loop over real TCP."""

from __future__ import annotations

import asyncio

from iscsi.login_initiator import LoginDone
from iscsi.pdu import DataIn, LogoutRequest, LogoutResponse
from tests.support.array_on_tcp import PORTALS, block_data, serving


def test_what_breaks_a_rule_on_one_connection_closes_the_other() -> None:
    """The other has said nothing and is told nothing; the array must come to it by itself."""

    async def main() -> None:
        async with serving() as served:
            first, second = await served.connect(PORTALS[0]), await served.connect(PORTALS[1])
            done = await first.login(max_connections=2)
            assert isinstance(done, LoginDone)
            assert isinstance(await second.login(tsih=done.tsih, cid=1), LoginDone)
            assert len(served.server.group.sessions) == 1
            await first.send(b"GET / HTTP/1.1\r\n\r\n" + bytes(48))
            await first.hears_the_end()
            await second.hears_the_end()

    asyncio.run(main())


def test_reads_on_both_connections_and_a_logout_that_ends_both() -> None:
    async def main() -> None:
        async with serving() as served:
            first, second = await served.connect(PORTALS[0]), await served.connect(PORTALS[1])
            done = await first.login(max_connections=2)
            assert isinstance(done, LoginDone)
            await second.login(tsih=done.tsih, cid=1)
            await first.read(0, 1)  # the unit attention that greets a nexus
            for lba in range(20):
                reader, other = (first, second) if lba % 3 else (second, first)
                reader.cmd_sn = max(reader.cmd_sn, other.cmd_sn)
                await reader.send(reader.read_command(lba, 1))
                answer = await reader.hear()
                assert isinstance(answer, DataIn)
                assert answer.data == block_data(lba)
            cmd_sn = max(first.cmd_sn, second.cmd_sn)
            await first.send(LogoutRequest(itt=9, cmd_sn=cmd_sn, immediate=True))
            (answer,) = await first.hears_the_end()
            assert isinstance(answer, LogoutResponse)
            await second.hears_the_end()
            assert len(served.server.group.sessions) == 0

    asyncio.run(main())
