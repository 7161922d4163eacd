"""The commands under way on a connection, and where the copies of a logical write have gone.

A logical write that is retried goes out several times: down one path, down another, again after a reconnect. Each
command is a *copy* of it. A copy may reach the medium from when it is sent until it is answered, or until something has
ended it: a task management function, a logout, the reinstatement of its session. It does not end with its connection:
what the target has taken in may live on there (RFC 7143 7.5, 7.14), and that is where ghost writes come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.check.wire.conversation import Conversation

__all__ = ["Copy", "OpenR2t", "Task"]


class Copy:
    """One command that carries a logical write, on ``conversation``.

    ``sent``, ``answered`` and ``ended`` are ticks, `None` for never; ``ended_by`` says what ended it. ``good``: it was
    answered GOOD.
    """

    __slots__ = ("answered", "answered_ns", "conversation", "ended", "ended_by", "good", "sent", "sent_ns", "writer")

    def __init__(self, writer: int, conversation: Conversation, sent: int, sent_ns: int) -> None:
        self.writer = writer
        self.conversation = conversation
        self.sent = sent
        self.sent_ns = sent_ns
        self.answered: int | None = None
        self.answered_ns: int | None = None
        self.good = False
        self.ended: int | None = None
        self.ended_by = ""

    @property
    def where(self) -> str:
        """Its connection, for people."""
        return self.conversation.where

    @property
    def open(self) -> bool:
        """It was neither answered nor ended."""
        return self.answered is None and self.ended is None


class OpenR2t:
    """Data a target has asked for: from ``offset`` to ``end``; the next piece comes at ``at`` as ``data_sn``."""

    __slots__ = ("at", "data_sn", "end")

    def __init__(self, offset: int, length: int) -> None:
        self.at = offset
        self.end = offset + length
        self.data_sn = 0


class Task:
    """One SCSI command that has not been answered.

    ``moved`` is what has come of a read, and what has been sent of a write; ``burst`` what of a read has come since the
    last F bit; ``asked`` up to where R2Ts have asked, ``unsolicited_end`` up to where data comes without. ``data_sn``,
    ``r2t_sn`` and ``unsolicited`` are the numbers that come next. ``sent`` is a tick. One is made for every command, so
    what most of them never change stands in the class.
    """

    data_sn = 0
    moved = 0
    burst = 0
    asked = 0
    r2t_sn = 0
    unsolicited = 0
    unsolicited_end = 0
    r2ts: dict[int, OpenR2t] | None = None
    copy: Copy | None = None

    def __init__(self, sent: int, cmd_sn: int, edtl: int, lun: bytes, immediate: int, opcode: int) -> None:
        self.sent = sent
        self.cmd_sn = cmd_sn
        self.edtl = edtl
        self.lun = lun
        self.immediate = immediate
        self.opcode = opcode
        """Of the CDB."""
