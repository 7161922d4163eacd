"""What a host keeps about its targets, and what it refuses, in the words of the Windows initiator.

A persistent login is what the applet's "automatically restore this connection" box makes: it survives a reboot. It
names the portal that was chosen, never the one a redirect led to.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from initiator_model.disk import MpioDisk
from initiator_model.lu_probe import LogicalUnitFacts
from initiator_model.paths import FailOverGroup, Path
from initiator_model.session import IscsiSession
from iscsi.chap import ChapCredentials
from iscsi.discovery import TargetAddress

__all__ = [
    "ISDSC_LOGIN_FAILED",
    "ISDSC_TARGET_ALREADY_LOGGED_IN",
    "ClaimedDisk",
    "HostSession",
    "InitiatorError",
    "LoginRequestRecord",
    "PortalRecord",
]

# Status codes of iscsierr.h, from memory (unverified).
ISDSC_LOGIN_FAILED = 0xEFFF0002
ISDSC_TARGET_ALREADY_LOGGED_IN = 0xEFFF003F
ISDSC_TARGET_NOT_FOUND = 0xEFFF0009
ISDSC_MULTIPATH_NOT_INSTALLED = 0xEFFF0013


class InitiatorError(Exception):
    """The initiator service refuses, or failed to do, what the user asked. ``code`` is its status code, if any."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text if code is None else f"{text} (0x{code:08X})")
        self.text = text
        self.code = code


@dataclass(frozen=True, slots=True)
class PortalRecord:
    """A target portal the user added: where to ask for targets, and from which of the host's addresses."""

    address: TargetAddress
    source: str | None


@dataclass(frozen=True, slots=True)
class LoginRequestRecord:
    """One press of Log On, as the user filled in the boxes. ``portal`` is one of the target's listed addresses."""

    target: str
    portal: TargetAddress
    source: str | None
    multipath: bool
    chap: ChapCredentials | None = None
    mutual_chap: ChapCredentials | None = None


@dataclass(slots=True, eq=False)
class ClaimedDisk:
    """A disk as MPIO has claimed it. ``number`` is that of ``MPIO Disk n``; ``facts`` are its first path's answers."""

    number: int
    target: str
    facts: LogicalUnitFacts
    disk: MpioDisk


@dataclass(slots=True, eq=False)
class HostSession:
    """A session with what hangs on it: its place on the adapter, and the paths it is for each unit's disk."""

    number: int
    request: LoginRequestRecord
    session: IscsiSession
    paths: list[tuple[ClaimedDisk, Path]] = field(default_factory=list)
    group: FailOverGroup = field(default_factory=FailOverGroup)
