"""On a selector loop every connection receives into one buffer, and none of them sees what another was sent."""

from __future__ import annotations

import asyncio

from target.inlet import RECEIVE_BYTES, SharedBufferInlet


class Listener(SharedBufferInlet):
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes | memoryview) -> None:  # type: ignore[override]
        self.heard.append(bytes(data))  # a view of a buffer that is used again

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


def test_each_hears_what_it_was_sent_while_others_receive() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        listeners: list[Listener] = []

        def accept() -> Listener:
            listeners.append(Listener())
            return listeners[-1]

        async with await loop.create_server(accept, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            sent = [bytes([number]) * (RECEIVE_BYTES + 1000 * number) for number in range(3)]
            transports = [(await loop.create_connection(asyncio.Protocol, "127.0.0.1", port))[0] for _ in sent]
            for transport, data in zip(transports, sent, strict=True):
                transport.write(data)
                transport.close()
            async with asyncio.timeout(30):
                while len(listeners) < len(sent):
                    await asyncio.sleep(0.01)
                for listener in listeners:
                    await listener.ended
        assert sorted(b"".join(listener.heard) for listener in listeners) == sent

    asyncio.run(main())
