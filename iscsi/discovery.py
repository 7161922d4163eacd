"""Where targets are: the TargetAddress value, and the answer to SendTargets (RFC 7143 13.8 and appendix C).

The same value has two dresses: with ``,tag`` in a SendTargets answer, without it in a redirect. One parser reads both.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from iscsi.constants import ISCSI_PORT
from iscsi.errors import RemoteProtocolError
from iscsi.names import name_complaint
from iscsi.text import KeyValue, decode_keys, encode_keys, parse_number

MAX_SEND_TARGETS_LENGTH: Final = 1 << 20
MAX_ADDRESSES_PER_TARGET: Final = 256

_VALUE: Final = re.compile(
    r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^\[\]:,]*))"  # an IPv6 address stands in brackets
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?:,(?P<tpgt>[^,]*))?"
)
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_DOTTED_DIGITS: Final = re.compile(r"[0-9.]+")


@dataclass(frozen=True, slots=True)
class TargetAddress:
    """One portal: ``host`` is a DNS name, an IPv4 or an IPv6 address (no brackets), ``tpgt`` its portal group tag."""

    host: str
    port: int = ISCSI_PORT
    tpgt: int | None = None

    @classmethod
    def parse(cls, value: str) -> TargetAddress:
        """Read ``host[:port][,tpgt]``; the port is 3260 when not given.

        Raises:
            RemoteProtocolError: not such a value, saying which part is wrong.
        """
        match = _VALUE.fullmatch(value)
        if match is None:
            raise _bad(value, "expected host[:port][,tag], an IPv6 host in brackets")
        port = int(match["port"]) if match["port"] is not None else ISCSI_PORT
        if not 1 <= port <= 0xFFFF:
            raise _bad(value, "the port must be 1 to 65535")
        tpgt = None
        if match["tpgt"] is not None:
            tpgt = parse_number("TargetAddress portal group tag", match["tpgt"])
            if tpgt > 0xFFFF:
                raise _bad(value, "the portal group tag must be 0 to 65535")
        if match["v6"] is not None:
            if not _is_ip(match["v6"], ipaddress.IPv6Address):
                raise _bad(value, "the brackets hold no IPv6 address")
            return cls(match["v6"], port, tpgt)
        host = match["name"]
        if _DOTTED_DIGITS.fullmatch(host):
            if not _is_ip(host, ipaddress.IPv4Address):
                raise _bad(value, "not an IPv4 address")
        elif len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split(".")):
            raise _bad(value, "not a host name")
        return cls(host, port, tpgt)

    def __str__(self) -> str:
        """The value as SendTargets carries it: ``192.168.51.2:3260,1``, without ``,tag`` when there is none."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + ("" if self.tpgt is None else f",{self.tpgt}")

    @property
    def redirect_value(self) -> str:
        """The value as a redirect carries it; the tag must not stand there (RFC 7143 13.8)."""
        return str(replace(self, tpgt=None))


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """One target of a SendTargets answer. No addresses means: at the address this was asked."""

    name: str
    addresses: tuple[TargetAddress, ...] = ()


def encode_send_targets(records: Sequence[TargetRecord]) -> bytes:
    """The answer's data segment, to be cut into PDUs with `iscsi.text.split`."""
    pairs: list[KeyValue] = []
    for record in records:
        pairs.append(("TargetName", record.name))
        pairs.extend(("TargetAddress", str(address)) for address in record.addresses)
    return encode_keys(pairs)


def parse_send_targets(data: bytes) -> list[TargetRecord]:
    """The records of a complete SendTargets answer, in order.

    Raises:
        RemoteProtocolError: another key than the two, an address before any name, or more than the bounds above.
    """
    if len(data) > MAX_SEND_TARGETS_LENGTH:
        raise RemoteProtocolError(f"SendTargets answer is longer than {MAX_SEND_TARGETS_LENGTH} bytes")
    found: list[tuple[str, list[TargetAddress]]] = []
    for key, value in decode_keys(data):
        if key == "TargetName":
            if complaint := name_complaint(value):
                raise RemoteProtocolError(f"SendTargets answer: {complaint}")
            found.append((value, []))
        elif key != "TargetAddress":
            raise RemoteProtocolError(f"SendTargets answer holds {key}: expected only TargetName and TargetAddress")
        elif not found:
            raise RemoteProtocolError("SendTargets answer begins with TargetAddress: expected TargetName before it")
        elif len(found[-1][1]) >= MAX_ADDRESSES_PER_TARGET:
            raise RemoteProtocolError(f"{found[-1][0]} has more than {MAX_ADDRESSES_PER_TARGET} addresses")
        else:
            found[-1][1].append(TargetAddress.parse(value))
    return [TargetRecord(name, tuple(addresses)) for name, addresses in found]


def _is_ip(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _bad(value: str, expected: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"TargetAddress={value[:80]}: {expected}")
