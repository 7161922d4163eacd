"""Where persistent reservations outlive a loss of power (APTPL), and the record that is kept there.

Whoever owns the store hands a memory in: a file beside the volume's file for an array that is served, an object that
outlives the modeled process in a simulation. The generation is not kept: it starts at zero with the power.

Source: SPC-4 5.13.5 (preserving persistent reservations through power loss).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from iscsi.scsi import PersistentType
from target.block_file import FileRefused, sync_directory
from target.nexus import Nexus

_FORMAT: Final = "mpiolab.reservations/1"
_MAX_RECORD_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """Registrations, oldest first, and the reservation: its type and the place of its holder among them."""

    registrations: tuple[tuple[Nexus, int], ...] = ()
    kind: PersistentType | None = None
    holder: int = 0

    def encode(self) -> str:
        """The record as text."""
        rows = [
            {
                "initiator_port": nexus.initiator_port,
                "target_port": nexus.target_port,
                "relative_port": nexus.relative_port,
                "tpgt": nexus.tpgt,
                "key": f"0x{key:016x}",
            }
            for nexus, key in self.registrations
        ]
        reservation = None if self.kind is None else {"type": int(self.kind), "holder": self.holder}
        return json.dumps({"format": _FORMAT, "registrations": rows, "reservation": reservation}, indent=1) + "\n"

    @classmethod
    def decode(cls, text: str) -> Record:
        """Read it back; ValueError for what `encode` does not write."""
        try:
            tables = json.loads(text)
            if tables["format"] != _FORMAT:
                raise ValueError(f"format {tables['format']!r} is not {_FORMAT}")
            registrations = tuple(_registration(row) for row in tables["registrations"])
            reservation = tables["reservation"]
            if reservation is None:
                return cls(registrations)
            kind, holder = PersistentType(reservation["type"]), int(reservation["holder"])
        except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
            raise ValueError(f"not a record of reservations: {type(error).__name__}: {error}") from None
        if not 0 <= holder < len(registrations) or len(dict(registrations)) != len(registrations):
            raise ValueError("not a record of reservations: its holder or its registrations do not fit")
        return cls(registrations, kind, holder)


def _registration(row: Any) -> tuple[Nexus, int]:
    key = int(row["key"], 16)
    if not 0 < key < 1 << 64:
        raise ValueError(f"key {row['key']}")
    nexus = Nexus(str(row["initiator_port"]), str(row["target_port"]), int(row["relative_port"]), int(row["tpgt"]))
    return nexus, key


class ReservationMemory(Protocol):
    """One logical unit's record; what `load` gives is what the last `save` was given, never half of it."""

    def load(self) -> Record:
        """The record, an empty one when none was kept. Raises FileRefused."""
        ...

    def save(self, record: Record) -> None:
        """Keep the record and return when it is stable. Raises OSError."""
        ...


class KeptRecord:
    """A record that lives as long as this object: longer than the modeled process that saves it."""

    __slots__ = ("_record",)

    def __init__(self) -> None:
        self._record = Record()

    def load(self) -> Record:
        return self._record

    def save(self, record: Record) -> None:
        self._record = record


class RecordFile:
    """A record in a file, which is there only while there is something to keep."""

    __slots__ = ("_path",)

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def load(self) -> Record:
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                return Record.decode(file.read(_MAX_RECORD_BYTES))
        except FileNotFoundError:
            return Record()
        except OSError as error:
            raise FileRefused(f"{self._path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise FileRefused(f"{self._path} is damaged: {error}") from None

    def save(self, record: Record) -> None:
        if record.registrations:
            beside = self._path.with_name(self._path.name + ".new")
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(record.encode())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        else:
            self._path.unlink(missing_ok=True)
        sync_directory(self._path)
