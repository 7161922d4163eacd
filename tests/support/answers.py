"""Which answers RFC 7143 allows: an oracle that knows what was sent, and looks at each PDU the target says to it.

It is no model of the target. It holds what is true of every answer by the figures and tables of section 11 alone: the
opcode is one that a target sends, its codes are defined ones, and a tag is one that was asked with.
"""

from __future__ import annotations

from typing import Final

from iscsi.constants import RESERVED_TAG
from iscsi.pdu import (
    R2T,
    AsyncMessage,
    DataIn,
    LoginResponse,
    LogoutResponse,
    NopIn,
    Pdu,
    Reject,
    ScsiResponse,
    TextResponse,
    TmfResponse,
)

_STATUSES: Final = (0x00, 0x02, 0x04, 0x08, 0x18, 0x28, 0x30, 0x40)
"""SCSI statuses, SAM-5 5.3.1; those that RFC 7143 11.4.2 names and CONDITION MET."""
_LOGIN_STATUSES: Final = (
    *(0x0000, 0x0101, 0x0102),
    *(0x0200, 0x0201, 0x0202, 0x0203, 0x0204, 0x0205, 0x0206, 0x0207, 0x0208, 0x0209, 0x020A, 0x020B),
    *(0x0300, 0x0301, 0x0302),
)
_TMF_RESPONSES: Final = (0, 1, 2, 3, 4, 5, 6, 7, 255)
_LOGOUT_RESPONSES: Final = (0, 1, 2, 3)
_REJECT_REASONS: Final = tuple(range(0x02, 0x0D))
_ASYNC_EVENTS: Final = (0, 1, 2, 3, 4, 5)

MIN_REJECTED_HEADER: Final = 48


class Conversation:
    """What was sent so far, as far as an answer may refer to it."""

    def __init__(self) -> None:
        self._sent = bytearray()

    def sends(self, data: bytes) -> None:
        """These bytes go to the target."""
        self._sent += data

    def hears(self, answers: list[Pdu]) -> None:
        """These PDUs came back. Raises AssertionError for one that the RFC does not allow."""
        for answer in answers:
            complaint = self.complaint(answer)
            assert complaint is None, f"{answer}: {complaint}"

    def complaint(self, answer: Pdu) -> str | None:
        """What is wrong with an answer; None when nothing is."""
        match answer:
            case LoginResponse():
                status = answer.status
                if status not in _LOGIN_STATUSES:
                    return f"no login status is 0x{status:04x} (11.13.5)"
                if answer.transit and answer.cont:
                    return "T and C are both set (11.13)"
            case ScsiResponse():
                if answer.response == 0 and answer.status not in _STATUSES:
                    return f"no SCSI status is 0x{answer.status:02x}"
                if answer.status == 0x02 and answer.response == 0 and len(answer.data) < 2 + 8:
                    return "CHECK CONDITION comes with sense data (11.4.7)"
                if answer.overflow and answer.underflow:
                    return "O and U exclude each other (11.4.1)"
            case DataIn():
                if answer.has_status and not answer.final:
                    return "S without F (11.7.3)"
                if answer.overflow and answer.underflow:
                    return "O and U exclude each other (11.7.1)"
            case TmfResponse():
                if answer.response not in _TMF_RESPONSES:
                    return f"no TMF response is {answer.response} (11.6.1)"
            case LogoutResponse():
                if answer.response not in _LOGOUT_RESPONSES:
                    return f"no logout response is {answer.response} (11.15.1)"
            case Reject():
                if answer.reason not in _REJECT_REASONS:
                    return f"no reject reason is 0x{answer.reason:02x} (11.17.1)"
                if len(answer.data) < MIN_REJECTED_HEADER:
                    return "a Reject carries the header it rejects (11.17.4)"
            case AsyncMessage():
                if answer.event not in _ASYNC_EVENTS:
                    return f"no async event is {answer.event} (11.9.1)"
            case R2T():
                if not answer.desired_length or answer.ttt == RESERVED_TAG:
                    return "an R2T asks for some data under a tag of its own (11.8)"
            case TextResponse():
                if answer.final and answer.ttt != RESERVED_TAG:
                    return "the last text response has no transfer tag (11.11.4)"
                if answer.final and answer.cont:
                    return "F and C are both set (11.11.2)"
            case NopIn():
                if answer.itt == RESERVED_TAG and answer.data:
                    return "a ping of the target's carries no data (11.19)"
            case _:
                return "a target does not send this"
        tag = getattr(answer, "itt", RESERVED_TAG)
        if tag != RESERVED_TAG and tag.to_bytes(4, "big") not in self._sent:
            return f"nothing was asked with tag 0x{tag:08x}"
        return None
