"""Whatever comes over the control socket ends in an answer or a sentence, never in an exception."""

from __future__ import annotations

import asyncio
import io
import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.serving.control_wire import Answer, Refusal, Request, WireError, decode_answer, decode_request
from harness.serving.desk import COMMANDS, Desk
from harness.serving.event_log import EventLog
from harness.serving.rates import Meter
from target.operations import Operations
from target.server import ArrayServer
from tests.support.array import make_group

TEXT = st.text(st.characters(), max_size=20) | st.just("\ud800")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["address", "within_s", "session", "name", "portal", "volume", "lba", "blocks", "to", "level", "size_bytes", "lun"]
)
VALUES = JSON | st.sampled_from(["192.168.51.2", "127.0.51.2", "mail-db", "busy", "silent", "no-login", "info", 1, 512])
WAITS = ("controller-failover",)
"""Takes as long as its gap."""


@given(line=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_line_is_a_message_or_an_error_in_words(line: bytes) -> None:
    for decode in (decode_request, decode_answer):
        try:
            message = decode(line)
        except WireError:
            continue
        assert isinstance(message, Request | Answer | Refusal)


@given(
    command=st.sampled_from([name for name in COMMANDS if name not in WAITS]) | TEXT,
    arguments=st.dictionaries(NAMES | TEXT, VALUES, max_size=4),
)
def test_a_request_is_answered_or_refused_in_one_line(command: str, arguments: dict[str, Any]) -> None:
    async def main() -> None:
        server = ArrayServer(make_group(), random.Random("server").randbytes)
        written = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
        log = EventLog(written, "json", "debug", asyncio.get_running_loop().time)
        desk = Desk(server, Operations(server), Meter(server), log, lambda: 0.0)
        answer = await desk.handle(Request(command, arguments))
        line = answer.encode()
        assert line.count(b"\n") == 1
        assert decode_answer(line)
        server.close()
        for event in written.buffer.getvalue().splitlines():  # type: ignore[attr-defined]
            json.loads(event)

    asyncio.run(main())
