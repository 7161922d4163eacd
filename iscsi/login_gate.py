"""What a target's login asks of the array behind it: who may come in, where to send it, and the session's handle.

The array decides with pure data, so that every decision of a group (placement, access, redirect) can be tested without
a PDU in sight. RFC 7143 11.13.5 lists the answers an initiator can be given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from iscsi.chap import ChapPolicy
from iscsi.constants import LoginStatus
from iscsi.discovery import TargetAddress
from iscsi.negotiation import SessionParameters


@dataclass(frozen=True, slots=True)
class LoginIdentity:
    """Who asks, and for what. ``target_name`` is None in an unnamed discovery session; ``isid`` is 6 bytes."""

    initiator_name: str
    target_name: str | None
    discovery: bool
    isid: bytes
    tsih: int
    cid: int
    initiator_alias: str | None = None


@dataclass(frozen=True, slots=True)
class Admit:
    """Go on with the login, in portal group ``tpgt``, with CHAP when ``chap`` is given."""

    tpgt: int
    chap: ChapPolicy | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """Log in at ``address`` instead (0x0101, or 0x0102 when ``permanent``)."""

    address: TargetAddress
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """No, with a status of class 2 or 3."""

    status: LoginStatus


class LoginGate(Protocol):
    """What the array answers. Both calls must return at once and change nothing outside the array."""

    def identify(self, who: LoginIdentity) -> Admit | Redirect | Refuse:
        """Called once, when the first set of keys is complete."""
        ...

    def complete(self, who: LoginIdentity, params: SessionParameters) -> int | Redirect | Refuse:
        """Called once, authenticated and agreed, before the final response: the session's TSIH, never 0."""
        ...
