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


class CommandNumbers(Protocol):
    """A session's command window, as the responses of a login to an existing session have to tell it."""

    @property
    def exp_cmd_sn(self) -> int:
        """The next CmdSN due."""

    @property
    def max_cmd_sn(self) -> int:
        """The highest CmdSN the target takes."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Go on with the login, in portal group ``tpgt``, with CHAP when ``chap`` is given.

    ``window`` is that of the session the login names by its TSIH; None for a new session, whose window begins at the
    login's own CmdSN. ``alias`` is the target's name for people to read (TargetAlias, 13.6); it is told once the
    initiator has authenticated.
    """

    tpgt: int
    chap: ChapPolicy | None = None
    window: CommandNumbers | None = None
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Log in at ``address`` instead (0x0101, or 0x0102 when ``permanent``)."""

    address: TargetAddress
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """No, with a status of class 2 or 3."""

    status: LoginStatus


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a login has come to. ``cmd_sn`` is the login's, which is also the first command's on a new session.

    ``authenticated_as`` is the initiator's CHAP name, None when CHAP was not demanded.
    """

    params: SessionParameters
    cmd_sn: int
    authenticated_as: str | None = None


class LoginGate(Protocol):
    """What the array answers. Both calls must return at once and change nothing outside the array."""

    def identify(self, who: LoginIdentity) -> Admit | Redirect | Refuse:
        """Called once, when the first set of keys is complete."""
        ...

    def complete(self, who: LoginIdentity, agreed: Agreement) -> int | Redirect | Refuse:
        """Called once, authenticated and agreed, before the final response: the session's TSIH, never 0."""
        ...
