"""What happens to a served array, one event a line on stderr: as sentences for people, or as JSON for machines.

An event has a name ("login.refused"), a sentence, and fields. The text form is the sentence with time and level before
it; the JSON form has everything. When stderr is systemd's journal, which keeps time and level itself, the text form
hands it the level in the way of sd-daemon(3) and leaves the time away.

Each kind of event has a budget, so that a storm of logins cannot fill a disk: what exceeds it is counted, and told as
one `log.suppressed` as soon as there is budget again.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Final

from harness.serving.settings import LogFormat, LogLevel

BURST: Final = 200
"""Events of one kind that are written at once."""
PER_S: Final = 5.0
"""And how many a second thereafter."""

LEVELS: Final[dict[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_JOURNAL_PRIORITY: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
_MAX_TEXT: Final = 2000
"""Longer texts are cut: an initiator chooses some of what is written here."""


class EventLog:
    """Writes events to a stream. ``clock`` gives seconds that only grow; it pays for the budget."""

    def __init__(self, stream: IO[str], form: LogFormat, level: LogLevel, clock: Callable[[], float]) -> None:
        self.level = level
        """Events below it are not written."""
        self._logger = logging.Logger("mpiolab")  # not of the global tree: two arrays, two logs
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Json() if form == "json" else _Journal() if _is_journal(stream) else _Text())
        self._logger.addHandler(handler)
        self._clock = clock
        self._budgets: dict[str, _Budget] = {}

    def event(
        self, name: str, words: str, fields: Mapping[str, object] | None = None, *, level: LogLevel = "info"
    ) -> None:
        """Write an event, unless its kind has used up its budget."""
        number = LEVELS[level]
        if number < LEVELS[self.level]:
            return
        budget = self._budgets.get(name)
        if budget is None:
            budget = self._budgets[name] = _Budget(self._clock())
        if budget.pays(self._clock()):
            self._tell_suppressed(name, budget)
            self._write(number, name, words, fields or {})
        else:
            budget.suppressed += 1

    def tell_suppressed(self) -> None:
        """Say what was left out, as far as there is budget again; to be called now and then."""
        now = self._clock()
        for name, budget in self._budgets.items():
            if budget.suppressed and budget.pays(now):
                self._tell_suppressed(name, budget)

    def _tell_suppressed(self, name: str, budget: _Budget) -> None:
        if budget.suppressed:
            words = f"{budget.suppressed:,} events {name} were not written: too many at once"
            self._write(logging.WARNING, "log.suppressed", words, {"of": name, "count": budget.suppressed})
            budget.suppressed = 0

    def _write(self, level: int, name: str, words: str, fields: Mapping[str, object]) -> None:
        self._logger.log(level, "%s", _one_line(words), extra={"event": name, "fields": dict(fields)})


@dataclass(slots=True)
class _Budget:
    """A token bucket."""

    at: float
    tokens: float = float(BURST)
    suppressed: int = 0

    def pays(self, now: float) -> bool:
        self.tokens = min(float(BURST), self.tokens + (now - self.at) * PER_S)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _one_line(text: str) -> str:
    """One printable line: names come from the wire, and must not forge a line or drive a terminal."""
    clean = _printable(text)
    return clean if len(clean) <= _MAX_TEXT else clean[: _MAX_TEXT - 1] + "…"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{_time(record)} {record.levelname.lower():7} {record.getMessage()}"


class _Journal(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"<{_JOURNAL_PRIORITY[record.levelno]}>{record.getMessage()}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event: str = record.event  # type: ignore[attr-defined]
        fields: dict[str, object] = record.fields  # type: ignore[attr-defined]
        head = {"time": _time(record), "level": record.levelname.lower(), "event": event}
        told = {key: _one_line(value) if isinstance(value, str) else value for key, value in fields.items()}
        return _printable(json.dumps(head | {"message": record.getMessage()} | told, ensure_ascii=False))


def _is_journal(stream: IO[str]) -> bool:
    """True when the stream is the journal's: systemd says which device and inode that is (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def stderr_log(form: LogFormat, level: LogLevel, clock: Callable[[], float]) -> EventLog:
    """The log of a process."""
    return EventLog(sys.stderr, form, level, clock)
