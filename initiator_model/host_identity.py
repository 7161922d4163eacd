"""Who the host is at a login: its name, an ISID of its own for each session, and the keys it offers.

The ISID is Microsoft's: enterprise number format with number 311 and a 16-bit qualifier (RFC 7143 11.12.5). Two
sessions of one host that shared one would reinstate each other for ever, so the qualifiers are counted, from a random
first one on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from initiator_model.login_chain import LoginTerms
from initiator_model.profiles import Profile
from iscsi.chap import ChapCredentials
from iscsi.negotiation import OperationalKeys

__all__ = ["HostIdentity"]


class HostIdentity:
    """Makes the terms of each session's logins."""

    def __init__(
        self, iqn: str, profile: Profile, random_bytes: Callable[[int], bytes], first_cmd_sn: int | None = None
    ) -> None:
        self._first_cmd_sn = first_cmd_sn
        self._iqn = iqn
        self._profile = profile
        self._qualifier = int.from_bytes(random_bytes(2), "big")
        offered = profile.offered
        self._wishes = OperationalKeys(**{key.name: getattr(offered, key.name) for key in fields(offered)})

    def terms(
        self,
        target: str | None,
        source: str | None,
        chap: ChapCredentials | None = None,
        mutual_chap: ChapCredentials | None = None,
    ) -> LoginTerms:
        """Terms for a new session, with an ISID no other has had for 65 536 sessions; target None: discovery."""
        self._qualifier = (self._qualifier + 1) & 0xFFFF
        return LoginTerms(
            initiator_name=self._iqn,
            target_name=target,
            isid=self._profile.isid_prefix + self._qualifier.to_bytes(2, "big"),
            source=source,
            wishes=self._wishes,
            timers=self._profile.timers,
            chap=chap,
            mutual_chap=mutual_chap,
            first_cmd_sn=self._first_cmd_sn,
        )
