"""Text requests in full-feature phase: SendTargets, and the few keys that may still be spoken of (RFC 7143 6.4, 11.10).

A long answer leaves in pieces: each but the last has F=0 and a Target Transfer Tag, and the initiator asks for the
next one with an empty request that carries the tag. The same tag leads through a request that comes in pieces (C=1).
What was agreed on counts once the whole negotiation has ended; one that fails is forgotten, and the session goes on
with what it had (7.12).
"""

from __future__ import annotations

from collections.abc import Callable

from iscsi.constants import RESERVED_TAG, RejectReason
from iscsi.discovery import encode_send_targets
from iscsi.errors import RemoteProtocolError
from iscsi.keys import KEYS, NOT_UNDERSTOOD, REJECT, RESERVED_ANSWERS, Key, Side
from iscsi.pdu import TextRequest, TextResponse
from iscsi.text import KeyValue, TextAssembler, encode_keys, parse_number, split
from target.group import Group
from target.session import Session

_LENGTH = "MaxRecvDataSegmentLength"


class TextExchange:
    """The text negotiation of one connection; at most one is open at a time (11.10).

    ``max_segment`` is the longest data segment the initiator takes on this connection, in bytes. ``on_agreed`` hears,
    at the end of a negotiation, the lengths it declared: the initiator's MaxRecvDataSegmentLength and the array's own,
    each None when it stays.
    """

    __slots__ = (
        "_assembler",
        "_declared",
        "_group",
        "_itt",
        "_last_ttt",
        "_left",
        "_offer",
        "_offered",
        "_on_agreed",
        "_session",
        "_ttt",
        "max_segment",
    )

    def __init__(
        self, group: Group, session: Session, max_segment: int, on_agreed: Callable[[int | None, int | None], None]
    ) -> None:
        self._group = group
        self._session = session
        self.max_segment = max_segment
        self._on_agreed = on_agreed
        self._assembler = TextAssembler()
        self._left: list[bytes] = []
        self._itt = RESERVED_TAG
        self._ttt = RESERVED_TAG
        self._last_ttt = 0
        self._offer: int | None = None  # the array's own length, to be declared in the next answer
        self._offered: int | None = None  # and what of it stands in the answer under way
        self._declared: int | None = None  # the initiator's

    def offer(self, max_recv_data_segment_length: int) -> None:
        """Declare the array's own length anew in the next answer there is."""
        self._offer = max_recv_data_segment_length

    def receive(self, request: TextRequest, stat_sn: int, exp_cmd_sn: int, max_cmd_sn: int) -> TextResponse:
        """Answer one request.

        Raises RemoteProtocolError for text that breaks the rules. The negotiation is then over, nothing of it counts.
        """
        try:
            return self._respond(request, stat_sn, exp_cmd_sn, max_cmd_sn)
        except RemoteProtocolError:
            self._begin(RESERVED_TAG)
            raise

    def _respond(self, request: TextRequest, stat_sn: int, exp_cmd_sn: int, max_cmd_sn: int) -> TextResponse:
        if request.cont and request.final:
            raise _broken("text request with both C and F set", RejectReason.PROTOCOL_ERROR)
        if request.ttt == RESERVED_TAG:
            self._begin(request.itt)  # one left open is forgotten
        elif request.ttt != self._ttt or request.itt != self._itt:
            raise _broken(
                f"text request for transfer tag 0x{request.ttt:08x}, which is not open", RejectReason.INVALID_PDU_FIELD
            )
        if not self._left:
            pairs = self._assembler.feed(request.data, request.cont)
            if pairs is not None:
                self._left = split(self._answer(pairs), self.max_segment)
        elif request.data:
            raise _broken("text request with new pairs before the answer is out", RejectReason.PROTOCOL_ERROR)
        piece = self._left.pop(0) if self._left else b""
        more = bool(self._left)
        final = request.final and not more  # F=1 never answers F=0 (11.11.1)
        self._ttt = RESERVED_TAG if final else self._next_ttt()
        if final:
            self._agree()
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

    def _begin(self, itt: int) -> None:
        """Forget what was said so far."""
        self._itt, self._ttt = itt, RESERVED_TAG
        self._left, self._assembler = [], TextAssembler()
        self._declared = self._offered = None

    def _agree(self) -> None:
        """The negotiation has ended well."""
        declared, offered = self._declared, self._offered
        if offered is not None:
            self._offer = None
        self._declared = self._offered = None
        if declared is not None or offered is not None:
            self._on_agreed(declared, offered)

    def _next_ttt(self) -> int:
        self._last_ttt = (self._last_ttt + 1) % RESERVED_TAG
        return self._last_ttt

    def _answer(self, pairs: list[KeyValue]) -> bytes:
        answer = b""
        seen: list[str] = []
        for name, value in pairs:
            if name in seen:
                raise _broken(f"{name} stands twice in one text", RejectReason.PROTOCOL_ERROR)
            seen.append(name)
            answer += self._answer_pair(name, value)
        if self._offer is not None and self._offered is None:
            self._offered = self._offer
            answer += encode_keys([(_LENGTH, str(self._offer))])
        return answer

    def _answer_pair(self, name: str, value: str) -> bytes:
        """Keys that only a login may settle are refused, declarations need no answer (6.2, 13)."""
        key = KEYS.get(name)
        if name == "SendTargets":
            return self._send_targets(value)
        if value in RESERVED_ANSWERS:
            raise _broken(f"{name}={value} answers what was never offered", RejectReason.PROTOCOL_ERROR)
        if key is None:
            return encode_keys([(name, NOT_UNDERSTOOD)])
        if not key.in_full_feature or Side.INITIATOR not in key.senders:
            return encode_keys([(name, REJECT)])
        if name == _LENGTH:
            self._declared = _length(key, value)
            if self._declared is None:
                return encode_keys([(name, REJECT)])
        return b""

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


def _length(key: Key, value: str) -> int | None:
    """The length a pair declares, None when it is not one the key allows."""
    try:
        number = parse_number(key.name, value)
    except RemoteProtocolError:
        return None
    return number if key.low <= number <= key.high else None


def _broken(message: str, reason: RejectReason) -> RemoteProtocolError:
    return RemoteProtocolError(message, reject_reason=reason)
