"""What everything a connection sends has in common: tags, numbers, and the buffers that wait to be written.

One `Wire` belongs to one connection in full feature phase. RFC 7143 section 4.2.2 has the numbering; 11.2.1.8 the tag.
"""

from __future__ import annotations

from typing import Final

from google_crc32c import value as crc32c

from iscsi.login_initiator import LoginDone
from iscsi.pdu import Pdu, encode_buffers
from iscsi.plain_command import pack_digest
from iscsi.window import CommandNumbering, StatusNumbering

__all__ = ["Wire"]

_TAGS: Final = 0x7FFF_FFFF  # the tags used here; the reserved one is not among them


class Wire:
    """The sending side of one connection.

    ``login`` is what the login phase settled and ``cmd_sn`` the CmdSN it used, which the first command uses too.
    """

    __slots__ = ("_data_digest", "_header_digest", "_out", "_tag", "numbering", "params", "status")

    def __init__(self, login: LoginDone, cmd_sn: int) -> None:
        self.params = login.params
        self.numbering = CommandNumbering(cmd_sn, login.exp_cmd_sn, login.max_cmd_sn)
        self.status = StatusNumbering(login.exp_stat_sn)
        self._header_digest = login.params.header_digest
        self._data_digest = login.params.data_digest
        self._tag = 0
        self._out: list[bytes] = []

    @property
    def cmd_sn(self) -> int:
        """The CmdSN an immediate PDU carries: the next command's, not used up."""
        return self.numbering.cmd_sn

    @property
    def exp_stat_sn(self) -> int:
        """What every PDU acknowledges."""
        return self.status.exp_stat_sn

    def next_tag(self) -> int:
        """A fresh Initiator Task Tag. They come round again after 2^31: the caller looks whether it is taken."""
        self._tag = (self._tag + 1) & _TAGS
        return self._tag

    def send(self, pdu: Pdu) -> None:
        """Put a PDU behind what waits to be written."""
        self._out += encode_buffers(pdu, self._header_digest, self._data_digest)

    def send_header(self, header: bytes) -> None:
        """The same for a PDU that is all in its header."""
        if self._header_digest:
            header += pack_digest(crc32c(header))
        self._out.append(header)

    def take_output(self) -> list[bytes]:
        """The buffers to be written, in order; they are the caller's now."""
        out, self._out = self._out, []
        return out
