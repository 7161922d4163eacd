"""Faults an operator can switch on in a running array: a small closed set, each with the place it strikes.

    busy, task-set-full   commands end with that status (SAM-5 5.3.1)
    reservation-conflict  commands end with that status, as if another host held the volume
    check-condition       commands end with the sense given, the first so many of them or all
    medium-error          commands that read a range of blocks end MEDIUM ERROR, UNRECOVERED READ ERROR (03h/11h/00h)
    silent                a portal's connections, old and new, get no answers; TCP goes on
    no-login              logins are answered 0x0301, service unavailable
    redirect-to-dead      the group redirects logins to an address where nobody answers

What no place is named for strikes everywhere. The healthy array pays nothing per command: faults that touch commands
stand between the tasks of a session and its logical units, and only while they are on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from iscsi.constants import ScsiStatus, SenseKey
from iscsi.scsi import ScsiOpcode
from iscsi.sense import LOGICAL_UNIT_NOT_SUPPORTED, MEDIUM_READ_ERROR, Sense
from target.command import DataDirection, ScsiResult
from target.disk import Disk
from target.lun import LogicalUnit
from target.nexus import Nexus


class FaultName(Enum):
    """What can be wrong; values are the words of commands and files."""

    BUSY = "busy"
    TASK_SET_FULL = "task-set-full"
    RESERVATION_CONFLICT = "reservation-conflict"
    CHECK_CONDITION = "check-condition"
    MEDIUM_ERROR = "medium-error"
    SILENT = "silent"
    NO_LOGIN = "no-login"
    REDIRECT_TO_DEAD = "redirect-to-dead"


class FaultError(ValueError):
    """No such fault, or not with such a place; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class ArrayFault:
    """One fault and its place. ``portal``: an address of the array; ``volume``: a volume's name; None: any.

    ``lba`` and ``blocks`` are medium-error's range, ``to`` is redirect-to-dead's address. check-condition has ``sense``
    ("5/25/00": key, ASC and ASCQ as hexadecimal numbers) and ``count``, how many commands meet it (None: all).
    FaultError for a place that the fault has not, or lacks.
    """

    name: FaultName
    portal: str | None = None
    volume: str | None = None
    lba: int | None = None
    blocks: int | None = None
    to: str | None = None
    sense: str | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        may, must = _PLACES[self.name]
        given = [key for key in PLACE_KEYS if getattr(self, key) is not None]
        stray = [key for key in given if key not in (*may, *must)]
        missing = [key for key in must if key not in given]
        if stray:
            raise FaultError(f"{self.name.value} has no {' and no '.join(stray)}")
        if missing:
            raise FaultError(f"{self.name.value} wants {' and '.join(missing)}")
        if (self.lba or 0) < 0 or (self.blocks is not None and self.blocks < 1):
            raise FaultError(f"{self.name.value} wants an lba of 0 or more and 1 block or more")
        if self.count is not None and self.count < 1:
            raise FaultError(f"{self.name.value} wants a count of 1 command or more")
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
        parts += [f"{self.count} times"] if self.count is not None else []
        return ", ".join(parts) or "everywhere"


_PLACES: Final[dict[FaultName, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    # name: (what it may say, what it must say)
    FaultName.BUSY: (("portal", "volume"), ()),
    FaultName.TASK_SET_FULL: (("portal", "volume"), ()),
    FaultName.RESERVATION_CONFLICT: (("portal", "volume"), ()),
    FaultName.CHECK_CONDITION: (("portal", "volume", "count"), ("sense",)),
    FaultName.MEDIUM_ERROR: (("portal",), ("volume", "lba", "blocks")),
    FaultName.SILENT: ((), ("portal",)),
    FaultName.NO_LOGIN: (("portal", "volume"), ()),
    FaultName.REDIRECT_TO_DEAD: (("volume",), ("to",)),
}


PLACE_KEYS: Final = ("portal", "volume", "lba", "blocks", "to", "sense", "count")
"""What a fault may say of itself beside its name."""


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


class Faults:
    """The faults of one array that are on, in the order they were switched on."""

    __slots__ = ("_left", "_on")

    def __init__(self) -> None:
        self._on: dict[ArrayFault, None] = {}
        self._left: dict[ArrayFault, int] = {}  # of those with a count: how many commands have yet to meet them

    def on(self, fault: ArrayFault) -> None:
        """Switch a fault on; one that is on stays on, and begins to count anew."""
        self._on[fault] = None
        if fault.count is not None:
            self._left[fault] = fault.count

    def meets(self, fault: ArrayFault) -> bool:
        """Whether a command meets the fault, which counts it."""
        left = self._left.get(fault)
        if left is None:
            return True
        self._left[fault] = max(0, left - 1)
        return left > 0

    def off(self, fault: ArrayFault) -> None:
        """Switch a fault off. FaultError when that very fault is not on."""
        if fault not in self._on:
            raise FaultError(f"{fault.name.value} ({fault.place}) is not on")
        del self._on[fault]
        self._left.pop(fault, None)

    def named(self, name: FaultName) -> list[ArrayFault]:
        """The faults of this name that are on."""
        return [fault for fault in self._on if fault.name is name]

    def all(self) -> list[ArrayFault]:
        """Every fault that is on."""
        return list(self._on)

    def silences(self, portal: str) -> bool:
        """True while this portal's connections get no answers."""
        return any(fault.portal == portal for fault in self.named(FaultName.SILENT))

    def refuses_login(self, portal: str, volume: str | None) -> bool:
        """True while logins there are answered service unavailable."""
        return any(fault.strikes(portal, volume) for fault in self.named(FaultName.NO_LOGIN))

    def redirects_to(self, volume: str) -> str | None:
        """The dead address the group redirects to; None while it redirects properly."""
        for fault in self.named(FaultName.REDIRECT_TO_DEAD):
            if fault.volume in (None, volume):
                return fault.to
        return None

    def over(self, luns: Luns, portal: str, volume: str) -> Luns:
        """What the tasks of a session find: its logical units, or faults in front of them."""
        spoilers = [
            _SPOILERS[fault.name](fault, self)
            for fault in self._on
            if fault.name in _SPOILERS and fault.strikes(portal, volume)
        ]
        return SpoiledLuns(luns, spoilers) if spoilers else luns


# -- faults that commands meet -----------------------------------------------------------------------------------------


class Luns(Protocol):
    """The logical units of a target as its tasks need them; see `target.lun_map.LunMap`."""

    def get(self, lun: int) -> LogicalUnit | None:
        """The unit at ``lun``."""

    def open_to_reads(self, lun: int, nexus: Nexus) -> Disk | None:
        """The disk that reads of ``nexus`` at ``lun`` would be served by; None when anything might stop one."""

    def open_to_writes(self, lun: int, nexus: Nexus) -> Disk | None:
        """The same for writes that need not be flushed."""

    def execute(self, lun: int, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        """Run a command."""

    def transfer_length(self, lun: int, cdb: bytes) -> tuple[DataDirection, int] | None:
        """Which way and how many bytes the CDB itself moves."""

    def wants_exactly(self, lun: int, cdb: bytes) -> bool:
        """Whether the command takes all the data its CDB calls for or none."""

    def check_condition(self, lun: int, condition: Sense) -> ScsiResult:
        """How a command ends that is refused by this condition."""


class Spoiler(Protocol):
    """Ends some commands before they reach their logical unit."""

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        """How this command ends; None when it goes through."""


class SpoiledLuns:
    """Logical units behind spoilers: the first one that ends a command, ends it."""

    __slots__ = ("_luns", "_spoilers")

    def __init__(self, luns: Luns, spoilers: Sequence[Spoiler]) -> None:
        self._luns = luns
        self._spoilers = tuple(spoilers)

    def get(self, lun: int) -> LogicalUnit | None:
        """See `Luns.get`."""
        return self._luns.get(lun)

    def open_to_reads(self, lun: int, nexus: Nexus) -> None:
        """See `Luns.open_to_reads`: the spoilers have to look at each command."""

    def open_to_writes(self, lun: int, nexus: Nexus) -> None:
        """As `open_to_reads`."""

    def execute(self, lun: int, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        """See `Luns.execute`."""
        for spoiler in self._spoilers:
            end = spoiler.spoil(self._luns, lun, cdb)
            if end is not None:
                return end
        return self._luns.execute(lun, cdb, data_out, nexus)

    def transfer_length(self, lun: int, cdb: bytes) -> tuple[DataDirection, int] | None:
        """See `Luns.transfer_length`."""
        return self._luns.transfer_length(lun, cdb)

    def wants_exactly(self, lun: int, cdb: bytes) -> bool:
        """See `Luns.wants_exactly`."""
        return self._luns.wants_exactly(lun, cdb)

    def check_condition(self, lun: int, condition: Sense) -> ScsiResult:
        """See `Luns.check_condition`."""
        return self._luns.check_condition(lun, condition)


_ALWAYS_ANSWERED: Final = frozenset((ScsiOpcode.INQUIRY, ScsiOpcode.REPORT_LUNS, ScsiOpcode.REQUEST_SENSE))


@dataclass(frozen=True, slots=True)
class _WithStatus:
    """Every command ends with a status."""

    fault: ArrayFault
    faults: Faults

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        return ScsiResult(_STATUSES[self.fault.name])


_STATUSES: Final = {
    FaultName.BUSY: ScsiStatus.BUSY,
    FaultName.TASK_SET_FULL: ScsiStatus.TASK_SET_FULL,
    FaultName.RESERVATION_CONFLICT: ScsiStatus.RESERVATION_CONFLICT,
}


@dataclass(frozen=True, slots=True)
class _WithSense:
    """Commands end CHECK CONDITION, but for those that a unit answers in any state."""

    fault: ArrayFault
    faults: Faults

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        assert self.fault.sense is not None
        if cdb[0] in _ALWAYS_ANSWERED or not self.faults.meets(self.fault):
            return None
        return luns.check_condition(lun, parse_sense(self.fault.sense))


@dataclass(frozen=True, slots=True)
class _UnreadableBlocks:
    """Commands that read one of the blocks fail; INFORMATION names the first of them (SPC-4 4.5.2)."""

    fault: ArrayFault
    faults: Faults

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        assert self.fault.lba is not None
        assert self.fault.blocks is not None
        if lun or cdb[0] not in _READS:
            return None
        first, count = _range_of(cdb)
        bad = max(first, self.fault.lba)
        if bad >= min(first + count, self.fault.lba + self.fault.blocks):
            return None
        return luns.check_condition(lun, MEDIUM_READ_ERROR.with_information(bad))


_SPOILERS: Final[dict[FaultName, Callable[[ArrayFault, Faults], Spoiler]]] = {
    FaultName.BUSY: _WithStatus,
    FaultName.TASK_SET_FULL: _WithStatus,
    FaultName.RESERVATION_CONFLICT: _WithStatus,
    FaultName.CHECK_CONDITION: _WithSense,
    FaultName.MEDIUM_ERROR: _UnreadableBlocks,
}

_READS: Final = frozenset(
    (
        ScsiOpcode.READ_6,
        ScsiOpcode.READ_10,
        ScsiOpcode.READ_12,
        ScsiOpcode.READ_16,
        ScsiOpcode.VERIFY_10,
        ScsiOpcode.VERIFY_12,
        ScsiOpcode.VERIFY_16,
        ScsiOpcode.COMPARE_AND_WRITE,
        ScsiOpcode.ORWRITE,
    )
)
"""Commands that cannot end well without reading the medium."""


def _range_of(cdb: bytes) -> tuple[int, int]:
    """First block and number of blocks of a read, by the length of its CDB (SPC-4 4.3)."""
    match cdb[0] >> 5:
        case 0:
            return int.from_bytes(cdb[1:4]) & 0x1FFFFF, cdb[4] or 256
        case 1:
            return int.from_bytes(cdb[2:6]), int.from_bytes(cdb[7:9])
        case 5:
            return int.from_bytes(cdb[2:6]), int.from_bytes(cdb[6:10])
        case _:
            blocks = cdb[13] if cdb[0] == ScsiOpcode.COMPARE_AND_WRITE else int.from_bytes(cdb[10:14])
            return int.from_bytes(cdb[2:10]), blocks


# -- a defect of real firmware -----------------------------------------------------------------------------------------


class GoneAfterLogoutRequest:
    """EqualLogic firmware 7.x: between the logout request and the drop, commands end LOGICAL UNIT NOT SUPPORTED.

    5/25/00 makes Microsoft's DSM and dm-multipath fail over, and ESXi fail the I/O (docs/profiles.md). Bug 71409 was
    mended in 7.0.7, 73732 still there in 7.0.9 (FACTS C.3).
    """

    __slots__ = ()

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        """See `Spoiler.spoil`."""
        return None if cdb[0] in _ALWAYS_ANSWERED else luns.check_condition(lun, LOGICAL_UNIT_NOT_SUPPORTED)
