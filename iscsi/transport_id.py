"""iSCSI TransportIDs: how a parameter list of PERSISTENT RESERVE names initiator ports (SPC-4 7.6.4.6).

Two forms: the name of an initiator port, ``<iqn>,i,0x<ISID>``, and the name of an initiator device, which means every
port of it that the device server knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PROTOCOL_ISCSI: Final = 5
_PORT_FORM: Final = 0x40
_FORM_MASK: Final = 0xC0
_MIN_NAME_BYTES: Final = 20
_PORT: Final = re.compile(r"(?P<name>[^,]+),i,0x(?P<isid>[0-9a-f]{1,12})")


@dataclass(frozen=True, slots=True)
class TransportId:
    """An iSCSI initiator: ``name`` in lower case, and the port's ISID as 12 hex digits, None for the whole device."""

    name: str
    isid: str | None = None

    @property
    def port(self) -> str | None:
        """The SCSI name of the initiator port, None for a device."""
        return None if self.isid is None else f"{self.name},i,0x{self.isid}"

    def encode(self) -> bytes:
        """The TransportID, a multiple of 4 bytes."""
        text = (self.port or self.name).encode("utf-8") + b"\0"
        text = text.ljust(max(_MIN_NAME_BYTES, -(-len(text) // 4) * 4), b"\0")
        form = _PROTOCOL_ISCSI | (0 if self.isid is None else _PORT_FORM)
        return bytes((form, 0)) + len(text).to_bytes(2, "big") + text

    @classmethod
    def of_port(cls, port: str) -> TransportId:
        """From the SCSI name of an initiator port; ValueError when it is none."""
        match = _PORT.fullmatch(port.lower())
        if match is None:
            raise ValueError(f"{port!r} does not name an iSCSI initiator port")
        return cls(match["name"], match["isid"].rjust(12, "0"))


def parse_transport_ids(raw: bytes) -> tuple[TransportId, ...]:
    """TransportIDs one behind the other; ValueError for another protocol, a malformed name, or a torn last one."""
    found: list[TransportId] = []
    while raw:
        length = 4 + int.from_bytes(raw[2:4], "big")
        if len(raw) < length or length % 4:
            raise ValueError(f"a TransportID of {length} bytes in {len(raw)}")
        found.append(_parse(raw[:length]))
        raw = raw[length:]
    return tuple(found)


def _parse(raw: bytes) -> TransportId:
    form = raw[0] & _FORM_MASK
    if raw[0] & 0x0F != _PROTOCOL_ISCSI or form not in (0, _PORT_FORM):
        raise ValueError(f"a TransportID of iSCSI starts with 05h or 45h, not {raw[0]:02x}h")
    text, end, _ = raw[4:].partition(b"\0")
    try:
        name = text.decode("utf-8").lower()
    except UnicodeDecodeError:
        raise ValueError("an iSCSI name is UTF-8") from None
    if not end or not name or (not form and "," in name):
        raise ValueError(f"{name!r} is no iSCSI initiator name that ends in NUL")
    return TransportId.of_port(name) if form else TransportId(name)
