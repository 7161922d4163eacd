"""Text requests in full-feature phase: SendTargets, and the few keys that may still be spoken of (RFC 7143 11.10).

A long answer leaves in pieces: each but the last has F=0 and a Target Transfer Tag, and the initiator asks for the
next one with an empty request that carries the tag. The same tag leads through a request that comes in pieces (C=1).
"""

from __future__ import annotations

from iscsi.constants import RESERVED_TAG, RejectReason
from iscsi.discovery import encode_send_targets
from iscsi.errors import RemoteProtocolError
from iscsi.keys import KEYS, NOT_UNDERSTOOD, REJECT, Rule
from iscsi.pdu import TextRequest, TextResponse
from iscsi.text import TextAssembler, encode_keys, split
from target.group import Group
from target.session import Session


class TextExchange:
    """The text negotiation of one connection; at most one is open at a time, as 4.1 of RFC 7143 wants.

    ``max_segment`` is the longest data segment the initiator takes on this connection.
    """

    __slots__ = ("_assembler", "_group", "_last_ttt", "_left", "_max_segment", "_session", "_ttt")

    def __init__(self, group: Group, session: Session, max_segment: int) -> None:
        self._group = group
        self._session = session
        self._max_segment = max_segment
        self._assembler = TextAssembler()
        self._left: list[bytes] = []
        self._ttt = RESERVED_TAG
        self._last_ttt = 0

    def receive(self, request: TextRequest, stat_sn: int, exp_cmd_sn: int, max_cmd_sn: int) -> TextResponse:
        """Answer one request. Raises RemoteProtocolError for text that breaks the rules."""
        if request.cont and request.final:
            raise _broken("text request with both C and F set", RejectReason.PROTOCOL_ERROR)
        if request.ttt == RESERVED_TAG:
            self._left, self._assembler = [], TextAssembler()  # a new negotiation; one left open is forgotten
        elif request.ttt != self._ttt:
            raise _broken(
                f"text request for transfer tag 0x{request.ttt:08x}, which is not open", RejectReason.INVALID_PDU_FIELD
            )
        if not self._left:
            pairs = self._assembler.feed(request.data, request.cont)
            if pairs is not None:
                self._left = split(self._answer(pairs), self._max_segment)
        elif request.data:
            raise _broken("text request with new pairs before the answer is out", RejectReason.PROTOCOL_ERROR)
        piece = self._left.pop(0) if self._left else b""
        more = bool(self._left)
        final = request.final and not more  # F=1 never answers F=0 (11.11.1)
        self._ttt = RESERVED_TAG if final else self._next_ttt()
        return TextResponse(
            final=final,
            cont=more,
            lun=request.lun,
            itt=request.itt,
            ttt=self._ttt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            data=piece,
        )

    def _next_ttt(self) -> int:
        self._last_ttt = (self._last_ttt + 1) % RESERVED_TAG
        return self._last_ttt

    def _answer(self, pairs: list[tuple[str, str]]) -> bytes:
        answer = b""
        seen: list[str] = []
        for name, value in pairs:
            if name in seen:
                raise _broken(f"{name} stands twice in one text", RejectReason.PROTOCOL_ERROR)
            seen.append(name)
            key = KEYS.get(name)
            if name == "SendTargets":
                answer += self._send_targets(value)
            elif key is None:
                answer += encode_keys([(name, NOT_UNDERSTOOD)])
            elif key.rule is not Rule.DECLARED or key.field:
                # MaxRecvDataSegmentLength is the one number that may be declared anew; the array goes on within the
                # limit the login gave, and an initiator that wants to shrink it is told so.
                answer += encode_keys([(name, REJECT)])
        return answer

    def _send_targets(self, value: str) -> bytes:
        """``All`` (discovery sessions only), a target's name, or nothing for the session's own (appendix C)."""
        who, source = self._session.identity, self._session.source
        if value == "All":
            if not self._session.discovery:
                return encode_keys([("SendTargets", REJECT)])
            return encode_send_targets(self._group.records(who.initiator_name, source))
        only = value or who.target_name
        if only is None:
            return encode_keys([("SendTargets", REJECT)])
        return encode_send_targets(self._group.records(who.initiator_name, source, only))


def _broken(message: str, reason: RejectReason) -> RemoteProtocolError:
    return RemoteProtocolError(message, reject_reason=reason)
