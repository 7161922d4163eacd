"""One fault an operator can switch on in a running array: its name, and the place it strikes.

    busy, task-set-full   commands end with that status (SAM-5 5.3.1)
    reservation-conflict  commands end with that status, as if another host held the volume
    check-condition       commands end with the sense given, the first so many of them or all
    medium-error          commands that read a range of blocks end MEDIUM ERROR, UNRECOVERED READ ERROR (03h/11h/00h)
    write-error           commands that write a range of blocks end MEDIUM ERROR, WRITE ERROR (03h/0Ch/00h)
    late                  commands are taken in, and executed when the fault is over (see `target.holds`)
    stalled               the same, of every command whatever it does
    slow                  commands are executed so much later
    silent                a portal's connections, old and new, get no answers; TCP goes on
    no-login              logins are answered 0x0301, service unavailable
    out-of-resources      logins are answered 0x0302, out of resources
    redirect-to-dead      the group redirects logins to an address where nobody answers

What no place is named for strikes everywhere.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from iscsi.constants import SenseKey
from iscsi.sense import Sense


class FaultName(Enum):
    """What can be wrong; values are the words of commands and files."""

    BUSY = "busy"
    TASK_SET_FULL = "task-set-full"
    RESERVATION_CONFLICT = "reservation-conflict"
    CHECK_CONDITION = "check-condition"
    MEDIUM_ERROR = "medium-error"
    WRITE_ERROR = "write-error"
    LATE = "late"
    STALLED = "stalled"
    SLOW = "slow"
    SILENT = "silent"
    NO_LOGIN = "no-login"
    OUT_OF_RESOURCES = "out-of-resources"
    REDIRECT_TO_DEAD = "redirect-to-dead"


class FaultError(ValueError):
    """No such fault, or not with such a place; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class ArrayFault:
    """One fault and its place. ``portal``: an address of the array; ``volume``: a volume's name; None: any.

    ``lba`` and ``blocks`` are the range of medium-error and write-error, ``to`` is redirect-to-dead's address.
    check-condition has ``sense`` ("5/25/00": key, ASC and ASCQ as hexadecimal numbers). ``count`` is how many commands
    meet it (None: all). ``op`` ("read" or "write") has it strike only commands that read or write blocks. ``extra_ns``
    is what slow adds to each command. FaultError for a place that the fault has not, or lacks.
    """

    name: FaultName
    portal: str | None = None
    volume: str | None = None
    lba: int | None = None
    blocks: int | None = None
    to: str | None = None
    sense: str | None = None
    count: int | None = None
    op: str | None = None
    extra_ns: int | None = None

    def __post_init__(self) -> None:
        may, must = _PLACES[self.name]
        given = [key for key in PLACE_KEYS if getattr(self, key) is not None]
        stray = [key for key in given if key not in (*may, *must)]
        missing = [key for key in must if key not in given]
        if stray:
            raise FaultError(f"{self.name.value} has no {' and no '.join(map(_word, stray))}")
        if missing:
            raise FaultError(f"{self.name.value} wants {' and '.join(map(_word, missing))}")
        if (self.lba or 0) < 0 or (self.blocks is not None and self.blocks < 1):
            raise FaultError(f"{self.name.value} wants an lba of 0 or more and 1 block or more")
        if self.count is not None and self.count < 1:
            raise FaultError(f"{self.name.value} wants a count of 1 command or more")
        if self.op not in (None, *OPS):
            raise FaultError(f"{self.name.value} wants an op of {' or '.join(OPS)}, not {self.op!r}")
        if self.extra_ns is not None and not 0 < self.extra_ns <= MAX_EXTRA_NS:
            raise FaultError(f"{self.name.value} wants an extra of more than 0 and at most {MAX_EXTRA_NS // 10**9} s")
        if self.sense is not None:
            parse_sense(self.sense)
        if self.to is not None:
            try:
                ipaddress.IPv4Address(self.to)
            except ValueError:
                raise FaultError(f"{self.name.value} wants an IPv4 address to redirect to, not {self.to!r}") from None

    def strikes(self, portal: str, volume: str | None) -> bool:
        """True at this address and this volume; ``volume`` None (discovery) only where none is named."""
        return self.portal in (None, portal) and self.volume in (None, volume)

    @property
    def place(self) -> str:
        """Where it strikes, in words."""
        parts = [f"portal {self.portal}"] if self.portal is not None else []
        parts += [f"volume {self.volume}"] if self.volume is not None else []
        parts += [f"{self.blocks} blocks from {self.lba}"] if self.blocks is not None else []
        parts += [f"to {self.to}"] if self.to is not None else []
        parts += [self.sense] if self.sense is not None else []
        parts += [f"{self.op}s only"] if self.op is not None else []
        parts += [f"{self.extra_ns / 1e9:g} s more"] if self.extra_ns is not None else []
        parts += [f"{self.count} times"] if self.count is not None else []
        return ", ".join(parts) or "everywhere"


_PLACES: Final[dict[FaultName, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    # name: (what it may say, what it must say)
    FaultName.BUSY: (("portal", "volume"), ()),
    FaultName.TASK_SET_FULL: (("portal", "volume"), ()),
    FaultName.RESERVATION_CONFLICT: (("portal", "volume"), ()),
    FaultName.CHECK_CONDITION: (("portal", "volume", "count"), ("sense",)),
    FaultName.MEDIUM_ERROR: (("portal",), ("volume", "lba", "blocks")),
    FaultName.WRITE_ERROR: (("portal",), ("volume", "lba", "blocks")),
    FaultName.LATE: (("portal", "volume", "op", "count"), ()),
    FaultName.STALLED: (("portal", "volume"), ()),
    FaultName.SLOW: (("portal", "volume", "op"), ("extra_ns",)),
    FaultName.SILENT: ((), ("portal",)),
    FaultName.NO_LOGIN: (("portal", "volume"), ()),
    FaultName.OUT_OF_RESOURCES: (("portal", "volume"), ()),
    FaultName.REDIRECT_TO_DEAD: (("volume",), ("to",)),
}


PLACE_KEYS: Final = ("portal", "volume", "lba", "blocks", "to", "sense", "count", "op", "extra_ns")
"""What a fault may say of itself beside its name."""

OPS: Final = ("read", "write")
MAX_EXTRA_NS: Final = 3600 * 10**9
"""An hour: more than any host waits for a command."""


def _word(key: str) -> str:
    """What files and commands call it."""
    return key.removesuffix("_ns")


def parse_sense(text: str) -> Sense:
    """ "5/25/00" as sense data. FaultError for anything else."""
    parts = text.split("/")
    try:
        key, asc, ascq = (int(part, 16) for part in parts)
        if not (0 <= asc <= 0xFF and 0 <= ascq <= 0xFF):
            raise ValueError(text)
        return Sense(SenseKey(key), asc, ascq)
    except ValueError:
        raise FaultError(f'expected a sense such as "5/25/00" (key/ASC/ASCQ, hexadecimal), got {text!r}') from None
