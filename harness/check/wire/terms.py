"""What a login has agreed on, as far as the rules of the full feature phase need it (RFC 7143 section 13).

Both sides' keys are taken as they come: the smaller of two numbers holds, ImmediateData needs two yeses and InitialR2T
one, and of a list the last word is the answer. A key nobody mentioned has the RFC's default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Terms"]

_SMALLEST: Final = ("FirstBurstLength", "MaxBurstLength", "MaxOutstandingR2T")
_SEGMENT: Final = "MaxRecvDataSegmentLength"
_SEGMENT_DEFAULT: Final = 8192


@dataclass(slots=True)
class Terms:
    """The keys of one login, of both sides, so far; the fields that have a default are right once it is settled."""

    names: dict[str, str] = field(default_factory=dict)
    """InitiatorName, TargetName, SessionType and TargetAddress, among others, as they were said last."""
    immediate_data: bool = True
    """Data may come with the command."""
    initial_r2t: bool = True
    """Data beyond that comes only when it is asked for."""
    first_burst: int = 65_536
    max_burst: int = 262_144
    max_r2ts: int = 1
    target_segment: int = _SEGMENT_DEFAULT
    """The longest data segment that the target takes."""
    initiator_segment: int = _SEGMENT_DEFAULT
    """And the initiator."""
    _said: dict[str, list[str]] = field(default_factory=dict)

    def hear(self, text: bytes, *, of_target: bool) -> None:
        """The data segment of a login PDU."""
        for pair in text.split(b"\0"):
            key, equals, value = pair.decode("utf-8", "replace").partition("=")
            if not equals:
                continue
            self.names[key] = value
            if key == _SEGMENT and value.isdigit():
                if of_target:
                    self.target_segment = int(value)
                else:
                    self.initiator_segment = int(value)
            self._said.setdefault(key, []).append(value)

    def settle(self) -> None:
        """The login is over: what was said holds now."""
        self.immediate_data = self._agreed("ImmediateData", all)
        self.initial_r2t = self._agreed("InitialR2T", any)
        defaults = (self.first_burst, self.max_burst, self.max_r2ts)
        numbers = [self._smallest(key, default) for key, default in zip(_SMALLEST, defaults, strict=True)]
        self.first_burst, self.max_burst, self.max_r2ts = numbers

    def _agreed(self, key: str, combine: Callable[[list[bool]], bool]) -> bool:
        said = self._said.get(key)
        return combine([value == "Yes" for value in said]) if said else True

    def _smallest(self, key: str, default: int) -> int:
        return min((int(value) for value in self._said.get(key, ()) if value.isdigit()), default=default)

    @property
    def header_digest(self) -> bool:
        """Each header is followed by four bytes more."""
        return self.names.get("HeaderDigest") == "CRC32C"

    @property
    def data_digest(self) -> bool:
        """Each data segment is, too."""
        return self.names.get("DataDigest") == "CRC32C"

    @property
    def discovery(self) -> bool:
        """The session has no target."""
        return self.names.get("SessionType") == "Discovery"
