"""What goes over the control socket: one JSON object a line, a request and then its answer (version 1).

    → {"v": 1, "command": "drain", "arguments": {"address": "127.0.51.2"}}
    ← {"v": 1, "ok": true, "said": ["127.0.51.2: drained (told by the operator)"], "result": {...}}
    ← {"v": 1, "ok": false, "error": "127.0.51.9 is not a portal of PS100: ..."}

A connection may carry any number of requests, one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

VERSION: Final = 1
MAX_REQUEST_BYTES: Final = 64 << 10
MAX_ANSWER_BYTES: Final = 64 << 20
"""Far more than the status of 65,535 sessions takes."""


class WireError(ValueError):
    """What came in is no such line; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command with its arguments by name."""

    command: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        return _line({"v": VERSION, "command": self.command, "arguments": dict(self.arguments)})


@dataclass(frozen=True, slots=True)
class Answer:
    """What was done: in sentences, and as data."""

    said: tuple[str, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        return _line({"v": VERSION, "ok": True, "said": self.said, "result": self.result})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was done."""

    error: str

    def encode(self) -> bytes:
        return _line({"v": VERSION, "ok": False, "error": self.error})


def decode_request(line: bytes) -> Request:
    """One line as a request. Raises WireError."""
    message = _decode(line)
    command, arguments = message.get("command"), message.get("arguments", {})
    if not isinstance(command, str) or not isinstance(arguments, dict):
        raise WireError('expected {"v": 1, "command": "...", "arguments": {...}}')
    return Request(command, arguments)


def decode_answer(line: bytes) -> Answer | Refusal:
    """One line as an answer. Raises WireError."""
    match _decode(line):
        case {"ok": True, "said": list(said), "result": dict(result)}:
            return Answer(tuple(map(str, said)), result)
        case {"ok": False, "error": str(error)}:
            return Refusal(error)
    raise WireError("the answer is neither yes nor no")


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def _decode(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise WireError("expected one JSON object in a line") from None
    if not isinstance(message, dict):
        raise WireError("expected one JSON object in a line")
    if message.get("v") != VERSION:
        raise WireError(f"expected version {VERSION} of this protocol, got {json.dumps(message.get('v'))[:40]}")
    return message
