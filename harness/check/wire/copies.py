"""The commands under way on a connection, and where the copies of a logical write have gone.

A logical write that is retried goes out several times: down one path, down another, again after a reconnect. Each
command is a *copy* of it. A copy may reach the medium from when it is sent until it is answered, or until something has
ended it: a task management function, a logout, the reinstatement of its session. It does not end with its connection:
what the target has taken in may live on there (RFC 7143 7.5, 7.14), and that is where ghost writes come from.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Copy", "OpenR2t", "Task"]


class Copy:
    """One command that carries a logical write. ``where`` is "local → remote" of its connection.

    ``sent``, ``answered`` and ``ended`` are ticks, `None` for never; ``ended_by`` says what ended it. ``good``: it was
    answered GOOD.
    """

    __slots__ = ("answered", "answered_ns", "ended", "ended_by", "good", "sent", "sent_ns", "where", "writer")

    def __init__(self, writer: int, where: str, sent: int, sent_ns: int) -> None:
        self.writer = writer
        self.where = where
        self.sent = sent
        self.sent_ns = sent_ns
        self.answered: int | None = None
        self.answered_ns: int | None = None
        self.good = False
        self.ended: int | None = None
        self.ended_by = ""

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

    ``moved`` is what has come of a read, and what has been sent of a write; ``asked`` up to where R2Ts have asked.
    """

    __slots__ = (
        "asked",
        "cmd_sn",
        "copy",
        "data_sn",
        "edtl",
        "exempt",
        "immediate",
        "is_read",
        "is_write",
        "lun",
        "moved",
        "r2t_sn",
        "r2ts",
        "sent",
        "unsolicited",
    )

    def __init__(self, header: Any, sent: int, is_read: bool, is_write: bool, exempt: bool) -> None:
        self.sent = sent
        self.lun: bytes = header.lun
        self.cmd_sn: int = header.w24
        self.edtl: int = header.w20
        self.immediate = bool(header.byte0 & 0x40)
        self.is_read = is_read
        self.is_write = is_write
        self.exempt = exempt
        self.data_sn = 0
        self.moved = 0
        self.asked = 0
        self.r2t_sn = 0
        self.r2ts: dict[int, OpenR2t] | None = None
        self.unsolicited = 0
        self.copy: Copy | None = None
