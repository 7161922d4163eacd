"""What a login has agreed on, as far as the rules of the full feature phase need it (RFC 7143 section 13).

Both sides' keys are taken as they come: the smaller of two numbers holds, ImmediateData needs two yeses and InitialR2T
one, and of a list the last word is the answer. A key nobody mentioned has the RFC's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Terms"]

_SMALLEST: Final = ("FirstBurstLength", "MaxBurstLength", "MaxOutstandingR2T")
_DEFAULTS: Final[Mapping[str, int]] = {"FirstBurstLength": 65_536, "MaxBurstLength": 262_144, "MaxOutstandingR2T": 1}


@dataclass(slots=True)
class Terms:
    """The keys of one login, of both sides, so far."""

    names: dict[str, str] = field(default_factory=dict)
    """InitiatorName, TargetName, SessionType and TargetAddress as they were said last."""
    numbers: dict[str, int] = field(default_factory=lambda: dict(_DEFAULTS))
    _said: dict[str, list[str]] = field(default_factory=dict)

    def hear(self, text: bytes) -> None:
        """The data segment of a login PDU."""
        for pair in text.split(b"\0"):
            key, equals, value = pair.decode("utf-8", "replace").partition("=")
            if not equals:
                continue
            self.names[key] = value
            said = self._said.setdefault(key, [])
            said.append(value)
            if key in _SMALLEST and all(one.isdigit() for one in said):
                self.numbers[key] = min(map(int, said))

    def _agreed(self, key: str, combine: Callable[[list[bool]], bool], default: bool) -> bool:
        said = self._said.get(key)
        return combine([value == "Yes" for value in said]) if said else default

    @property
    def immediate_data(self) -> bool:
        """Data may come with the command."""
        return self._agreed("ImmediateData", all, True)

    @property
    def initial_r2t(self) -> bool:
        """Data beyond that comes only when it is asked for."""
        return self._agreed("InitialR2T", any, True)

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
