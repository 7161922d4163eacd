"""The rules of a login that hold for both ends (RFC 7143 sections 6.3, 11.12 and 11.13).

A login is a dialogue of requests and responses, one outstanding at a time, all under one task tag. Each PDU says in
which stage it stands (CSG) and, with T=1, which stage it asks for or grants (NSG); C=1 says that its text goes on in
the next PDU, and then the other end just says "go on" with an empty one. This file does not know which end it is: each
end holds what it receives against these rules, and what it is about to send as well, so that they cannot disagree.

```
start ──► SECURITY ──► OPERATIONAL ──► FULL_FEATURE
   └───────────┼────────────┘               ▲
               └────────────────────────────┘
```
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from iscsi.constants import DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH, LoginStatus, Stage
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.keys import KEYS, Side
from iscsi.pdu import LoginRequest, LoginResponse
from iscsi.text import KeyValue, TextAssembler, encode_keys, split

MAX_LOGIN_EXCHANGES: Final = 32
"""Requests one login phase may take; eight full PDUs hold the longest text, and CHAP both ways takes four."""
SUPPORTED_VERSION: Final = 0x00
"""The only version RFC 7143 knows."""

TRANSITIONS: Final[Mapping[Stage | None, tuple[Stage, ...]]] = MappingProxyType(
    {
        None: (Stage.SECURITY, Stage.OPERATIONAL),
        Stage.SECURITY: (Stage.OPERATIONAL, Stage.FULL_FEATURE),
        Stage.OPERATIONAL: (Stage.FULL_FEATURE,),
    }
)
"""From each stage to those that may follow it; None is the start."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a login request and a login response have in common: one move of the dialogue."""

    transit: bool
    cont: bool
    csg: int
    nsg: int
    data: bytes = b""

    @classmethod
    def of(cls, pdu: LoginRequest | LoginResponse) -> Step:
        """The move a PDU makes. NSG counts only with T=1 and is read as 0 otherwise."""
        return cls(pdu.transit, pdu.cont, pdu.csg, pdu.nsg if pdu.transit else 0, pdu.data)


def request_complaint(stage: Stage | None, before: Step | None, request: Step) -> str | None:
    """What is wrong with a request made in ``stage`` after the response ``before`` (both None at the start)."""
    if stage is None and request.csg not in TRANSITIONS[None]:
        return f"a login cannot begin in stage {request.csg}: expected 0 or 1"
    if stage is not None and request.csg != stage:
        return f"request stands in stage {request.csg} where the login is in stage {stage.value}"
    if complaint := _move_complaint(request):
        return complaint
    if before is not None and before.cont and (request.data or request.cont):
        return "request carries text where an empty one is due, the response having C=1"
    return None


def response_complaint(request: Step, response: Step) -> str | None:
    """What is wrong with a response to ``request``."""
    if response.csg != request.csg:
        return f"response stands in stage {response.csg} where the request stood in stage {request.csg}"
    if complaint := _move_complaint(response):
        return complaint
    if response.transit and not request.transit:
        return "response has T=1 where the request had T=0"
    if response.transit and response.nsg > request.nsg:
        return f"response grants stage {response.nsg} where only {request.nsg} was asked for"
    if request.cont and (response.data or response.cont):
        return "response carries text where an empty one is due, the request having C=1"
    return None


def stage_after(request: Step, response: Step) -> Stage:
    """The stage a legal exchange leads to."""
    return Stage(response.nsg if response.transit else request.csg)


def _move_complaint(step: Step) -> str | None:
    if step.cont and step.transit:
        return "C=1 and T=1 exclude each other"
    if step.transit and step.nsg not in TRANSITIONS[Stage(step.csg)]:
        return f"no transition leads from stage {step.csg} to stage {step.nsg}"
    return None


class LoginText:
    """One end's text of one login phase: what is still to be sent, what has come in, which keys the peer has used."""

    __slots__ = ("_assembler", "_outgoing", "_peer", "_used")

    def __init__(self, peer: Side) -> None:
        self._peer = peer
        self._assembler = TextAssembler()
        self._outgoing: deque[bytes] = deque()
        self._used: dict[str, None] = {}

    def load(self, pairs: Iterable[KeyValue]) -> None:
        """Queue one set of pairs, cut to what any peer takes before it has declared its own limit."""
        if self._outgoing:
            raise LocalProtocolError("a set of login keys is still on its way")
        self._outgoing.extend(split(encode_keys(pairs), DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH))

    @property
    def sending(self) -> bool:
        """True while parts of the set loaded last are still to be sent."""
        return bool(self._outgoing)

    def next_part(self) -> tuple[bytes, bool]:
        """The next part to send and its C bit; empty when nothing is queued."""
        if not self._outgoing:
            return b"", False
        return self._outgoing.popleft(), bool(self._outgoing)

    def receive(self, step: Step) -> list[KeyValue] | None:
        """The peer's pairs once they are complete, None while more follow.

        Raises:
            RemoteProtocolError: malformed, out of bounds, said a second time, or not to be said in this stage by
                this end.
        """
        pairs = self._assembler.feed(step.data, step.cont)
        for name, _ in pairs or ():
            key = KEYS.get(name)
            if key is not None and (complaint := key.complaint(Stage(step.csg), self._peer)):
                raise RemoteProtocolError(complaint, login_status=LoginStatus.INITIATOR_ERROR)
            if name in self._used and not (key is not None and key.repeats):
                raise RemoteProtocolError(f"{name} is declared again", login_status=LoginStatus.INITIATOR_ERROR)
            self._used[name] = None
        return pairs
