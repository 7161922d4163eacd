"""What a host asks for beside commands (NOP-Out, text, task management, logout), and the array's pings.

Each answer belongs to a request and each answer to a ping to a ping (RFC 7143 11.18, 11.19); only an immediate NOP-Out
may go without a tag.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.check.wire.scan import NO_TAG, Header, Op

__all__ = ["Requests"]


_IMMEDIATE: Final = 0x40
_ANSWERS: Final = {
    Op.NOP_IN: (Op.NOP_OUT, "a NOP-In"),
    Op.TMF_RESPONSE: (Op.TMF, "a task management response"),
    Op.TEXT_RESPONSE: (Op.TEXT, "a Text Response"),
    Op.LOGOUT_RESPONSE: (Op.LOGOUT, "a Logout Response"),
}


class Requests:
    """Those of one connection."""

    def __init__(self) -> None:
        self.open: dict[int, int] = {}
        """The opcodes of those that have no answer yet, by tag."""
        self._pings: dict[int, None] = {}  # by target transfer tag

    def sent(self, opcode: int, header: Header) -> Iterator[tuple[str, str]]:
        """The host asks, or answers a ping. Yields rules and how they were broken."""
        itt, ttt = header.w16, header.w20
        if itt != NO_TAG:
            if self.open.get(itt, opcode) != opcode:
                yield "task tag", f"the host uses tag {itt:#x} for a second request at a time"
            self.open[itt] = opcode
        elif opcode != Op.NOP_OUT or not header.byte0 & _IMMEDIATE:
            yield "task tag", f"a request with opcode {opcode:#x} has no tag, as only an immediate NOP-Out may"
        if opcode == Op.NOP_OUT and ttt != NO_TAG:
            if ttt not in self._pings:
                yield "ping", f"the host answers a ping with tag {ttt:#x}, which is not open"
            self._pings.pop(ttt, None)

    def received(self, opcode: int, header: Header) -> str | None:
        """The array answers, or pings; what is wrong with that."""
        itt, ttt = header.w16, header.w20
        if opcode == Op.NOP_IN and ttt != NO_TAG:
            self._pings[ttt] = None
        answer = _ANSWERS.get(opcode)
        if answer is None or itt == NO_TAG:
            return None
        request, name = answer
        if self.open.pop(itt, None) == request:
            return None
        return f"{name} came for tag {itt:#x}, which no such request has"
