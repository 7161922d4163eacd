"""Whose fault an error is.

The idea is h11's: a rule broken by our own caller is a `LocalProtocolError` and means a bug here; a rule broken by
the peer is a `RemoteProtocolError` and means its connection ends, with the status RFC 7143 gives for it.
"""

from __future__ import annotations

from iscsi.constants import LoginStatus, RejectReason


class IscsiError(Exception):
    """Base of everything this package raises."""


class ProtocolError(IscsiError):
    """A rule of RFC 7143 was broken; see the two subclasses for by whom."""


class LocalProtocolError(ProtocolError):
    """This side was asked to do what the protocol forbids: a bug in the caller."""


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule.

    ``login_status`` is what a target answers when it happens during login, ``reject_reason`` what it answers in the
    full-feature phase; either may be None where the RFC asks for the connection to be dropped without an answer.
    ``header`` is the header of a PDU that was refused before it could be made one, for the Reject to give back.
    """

    def __init__(
        self,
        message: str,
        *,
        login_status: LoginStatus | None = None,
        reject_reason: RejectReason | None = None,
        header: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.login_status = login_status
        self.reject_reason = reject_reason
        self.header = header
