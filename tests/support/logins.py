"""Both ends of a login wired together in memory: what the login tests talk to."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from iscsi.chap import ChapCredentials, ChapPolicy
from iscsi.login_gate import Admit, Agreement, LoginIdentity, Redirect, Refuse
from iscsi.login_initiator import InitiatorLogin
from iscsi.login_target import TargetLogin
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LoginRequest, LoginResponse
from iscsi.text import decode_keys, encode_keys

HOST_NAME = "iqn.1991-05.com.microsoft:w2k3"
VOLUME_NAME = "iqn.2001-05.com.equallogic:0-8a0906-exchange-logs"
ISID = bytes.fromhex("400001370000")
HOST = ChapCredentials("w2k3", b"host-secret-0123")
ARRAY = ChapCredentials("ps100", b"array-secret-456")
POLICY = ChapPolicy(one_way=(HOST,), mutual=ARRAY)


@dataclass
class Gate:
    """An array that gives the answers it is made with and remembers what it was asked."""

    identify_with: Admit | Redirect | Refuse = field(default_factory=lambda: Admit(tpgt=1))
    complete_with: int | Redirect | Refuse = 0x51
    asked: list[LoginIdentity] = field(default_factory=list)
    completed: list[tuple[LoginIdentity, Agreement]] = field(default_factory=list)

    def identify(self, who: LoginIdentity) -> Admit | Redirect | Refuse:
        self.asked.append(who)
        return self.identify_with

    def complete(self, who: LoginIdentity, agreed: Agreement) -> int | Redirect | Refuse:
        self.completed.append((who, agreed))
        return self.complete_with


def initiator(**changes: Any) -> InitiatorLogin:
    """An initiator's login to the volume; ``changes`` replace constructor arguments."""
    arguments: dict[str, Any] = {
        "initiator_name": HOST_NAME,
        "target_name": VOLUME_NAME,
        "isid": ISID,
        "itt": 1,
        "cmd_sn": 100,
        "wishes": OperationalKeys(),
        "random_bytes": random.Random("initiator").randbytes,
    }
    return InitiatorLogin(**(arguments | changes))


def target(gate: Gate | None = None, **changes: Any) -> TargetLogin:
    """A target's login; ``changes`` replace constructor arguments."""
    arguments: dict[str, Any] = {
        "gate": gate or Gate(),
        "wishes": OperationalKeys(),
        "stat_sn": 7,
        "random_bytes": random.Random("target").randbytes,
    }
    return TargetLogin(**(arguments | changes))


def converse(one: InitiatorLogin, other: TargetLogin) -> list[LoginRequest | LoginResponse]:
    """Let both ends talk until neither has more to say; every PDU, in order."""
    said: list[LoginRequest | LoginResponse] = []
    requests = one.start()
    while requests:
        (request,) = requests
        (response,) = other.receive(request)
        said += [request, response]
        requests = one.receive(response)
    return said


def keys(pdu: LoginRequest | LoginResponse) -> dict[str, str]:
    """The pairs a login PDU carries."""
    return dict(decode_keys(pdu.data))


FIRST = LoginRequest(transit=True, csg=0, nsg=1, isid=ISID, itt=1, cmd_sn=100)
"""A first request but for its keys."""


def request(*pairs: tuple[str, str], **changes: Any) -> LoginRequest:
    """A request in the security stage asking for the operational one, with ``pairs`` as its keys."""
    return replace(FIRST, data=encode_keys(pairs), **changes)


NAMES = (("InitiatorName", HOST_NAME), ("TargetName", VOLUME_NAME))
