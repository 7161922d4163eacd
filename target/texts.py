"""Text requests in full-feature phase: SendTargets, and the few keys that may still be spoken of (RFC 7143 11.10).

A long answer leaves in pieces: each but the last has F=0 and a Target Transfer Tag, and the initiator asks for the
next one with an empty request that carries the tag.
"""

from __future__ import annotations

from iscsi.constants import RESERVED_TAG, RejectReason
from iscsi.discovery import encode_send_targets
from iscsi.errors import RemoteProtocolError
from iscsi.pdu import TextRequest, TextResponse
from iscsi.text import TextAssembler, encode_keys, split
from target.group import Group
from target.sessions import Session

_NEVER_AGAIN = "Reject"


class TextExchange:
    """The text negotiation of one session; at most one is open at a time, as 4.1 of RFC 7143 wants."""

    __slots__ = ("_assembler", "_group", "_left", "_session", "_ttt")

    def __init__(self, group: Group, session: Session) -> None:
        self._group = group
        self._session = session
        self._assembler = TextAssembler()
        self._left: list[bytes] = []
        self._ttt = 0

    def receive(self, request: TextRequest, stat_sn: int, exp_cmd_sn: int, max_cmd_sn: int) -> TextResponse:
        """Answer one request. Raises RemoteProtocolError for text that breaks the rules."""
        if request.ttt != RESERVED_TAG and self._left:
            if request.ttt != self._ttt:
                raise RemoteProtocolError(
                    f"text request for transfer tag 0x{request.ttt:08x}, which is not open",
                    reject_reason=RejectReason.INVALID_PDU_FIELD,
                )
        else:
            pairs = self._assembler.feed(request.data, request.cont)
            if pairs is None:
                return TextResponse(
                    final=False,
                    itt=request.itt,
                    ttt=self._next_ttt(),
                    stat_sn=stat_sn,
                    exp_cmd_sn=exp_cmd_sn,
                    max_cmd_sn=max_cmd_sn,
                )
            room = self._session.params.peer_max_recv_data_segment_length
            self._left = split(self._answer(pairs), room) or [b""]
        piece = self._left.pop(0)
        more = bool(self._left)
        return TextResponse(
            final=not more,
            cont=more,
            lun=request.lun,
            itt=request.itt,
            ttt=self._next_ttt() if more else RESERVED_TAG,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            data=piece,
        )

    def _next_ttt(self) -> int:
        self._ttt = (self._ttt + 1) % RESERVED_TAG
        return self._ttt

    def _answer(self, pairs: list[tuple[str, str]]) -> bytes:
        answer = b""
        for key, value in pairs:
            if key == "SendTargets":
                answer += self._send_targets(value)
            elif key == "MaxRecvDataSegmentLength":
                # Declarative: the array goes on within the limit the login gave, which is never above the new one
                # unless the initiator shrank it; a shrinking one is told that it cannot.
                answer += encode_keys([(key, _NEVER_AGAIN)])
            else:
                answer += encode_keys([(key, "NotUnderstood" if key.startswith(("X-", "X#")) else _NEVER_AGAIN)])
        return answer

    def _send_targets(self, value: str) -> bytes:
        """``All`` (discovery sessions only), a target's name, or nothing for the session's own (appendix C)."""
        who, source = self._session.identity, self._session.source
        if value == "All":
            if not self._session.discovery:
                return encode_keys([("SendTargets", _NEVER_AGAIN)])
            return encode_send_targets(self._group.records(who.initiator_name, source))
        only = value or who.target_name
        if only is None:
            return encode_keys([("SendTargets", _NEVER_AGAIN)])
        return encode_send_targets(self._group.records(who.initiator_name, source, only))
