"""The text format of login and text PDUs: ``key=value`` pairs ended by NUL, and the values' own notations.

RFC 7143 section 6.1 gives the format, 11.12.2 and 11.10.2 the C bit by which one set of pairs spans several PDUs. Which
keys exist and what they mean is the business of `iscsi.keys`; this file only knows how they are spelled.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from typing import Final

from iscsi.constants import LoginStatus
from iscsi.errors import LocalProtocolError, RemoteProtocolError

KeyValue = tuple[str, str]

MAX_TEXT_LENGTH: Final = 65536
"""Bytes one set of pairs may take over all its PDUs: the most RFC 7143 6.1 asks anyone to accept."""
MAX_TEXT_PARTS: Final = 64
"""PDUs one set of pairs may span, so that empty parts cannot go on for ever."""
MAX_KEY_LENGTH: Final = 63
MAX_VALUE_LENGTH: Final = 255
MAX_BINARY_LENGTH: Final = 1024
"""Bytes of a CHAP challenge or response once decoded (RFC 7143 12.1.3)."""

LONG_VALUES: Final = {"CHAP_C": 2 + 2 * MAX_BINARY_LENGTH, "CHAP_R": 2 + 2 * MAX_BINARY_LENGTH, "TargetAddress": 1024}
"""Keys whose values may pass `MAX_VALUE_LENGTH`, and how long those may be in bytes."""

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9.\-+@_#]*")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}")
_HEX: Final = re.compile(r"0[xX]([0-9a-fA-F]+)")
_BASE64: Final = re.compile(r"0[bB]((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)")
_NUMBER_LIMIT: Final = 1 << 64


def encode_keys(pairs: Iterable[KeyValue]) -> bytes:
    """The pairs as a data segment, in the order given.

    Raises:
        LocalProtocolError: a key or value that no receiver would accept.
    """
    encoded = bytearray()
    for key, value in pairs:
        raw = value.encode()
        if (complaint := _key_complaint(key)) or (complaint := _value_complaint(key, raw)):
            raise LocalProtocolError(complaint)
        encoded += key.encode() + b"=" + raw + b"\0"
    return bytes(encoded)


def decode_keys(data: bytes) -> list[KeyValue]:
    """The pairs of a complete data segment, in order, repeats and all.

    NULs after the last pair are taken for padding that was counted in, as some peers do.

    Raises:
        RemoteProtocolError: not UTF-8, a pair without ``=`` or without its NUL, a key or value out of bounds.
    """
    if not data:
        return []
    if not data.endswith(b"\0"):
        raise _bad(f"text does not end with a NUL: ...{data[-16:]!r}")
    pairs = []
    for part in data.rstrip(b"\0").split(b"\0"):
        name, equals, raw = part.partition(b"=")
        if not equals:
            raise _bad(f"text holds {part[:40]!r} where key=value is expected")
        try:
            key, value = name.decode("ascii"), raw.decode()
        except UnicodeDecodeError:
            raise _bad(f"text holds {part[:40]!r}, which is not UTF-8 with an ASCII key") from None
        if (complaint := _key_complaint(key)) or (complaint := _value_complaint(key, raw)):
            raise _bad(complaint)
        pairs.append((key, value))
    return pairs


def split(data: bytes, limit: int) -> list[bytes]:
    """``data`` in parts of at most ``limit`` bytes; always at least one part, which may be empty."""
    return [data[at : at + limit] for at in range(0, len(data), limit)] or [b""]


class TextAssembler:
    """Puts one set of pairs back together from PDUs with the C bit, within bounds."""

    __slots__ = ("_limit", "_parts", "_size")

    def __init__(self, limit: int = MAX_TEXT_LENGTH) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes, cont: bool) -> list[KeyValue] | None:
        """Add one PDU's data segment; the pairs once the set is complete, None while more parts follow.

        Raises:
            RemoteProtocolError: the set outgrew its bounds, or `decode_keys` refuses it.
        """
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._limit:
            raise _bad(f"text is longer than {self._limit} bytes")
        if len(self._parts) > MAX_TEXT_PARTS:
            raise _bad(f"text spans more than {MAX_TEXT_PARTS} PDUs")
        if cont:
            return None
        whole = b"".join(self._parts)
        self._parts, self._size = [], 0
        return decode_keys(whole)


def parse_number(key: str, value: str) -> int:
    """A decimal or ``0x`` hexadecimal number below 2^64.

    Raises:
        RemoteProtocolError: anything else, with ``key`` in the message.
    """
    if _DECIMAL.fullmatch(value):
        number = int(value)
    elif (digits := _HEX.fullmatch(value)) and len(value) <= MAX_VALUE_LENGTH:
        number = int(digits[1], 16)
    else:
        raise _bad(f"{key}={value[:40]}: expected a decimal or 0x number")
    if number >= _NUMBER_LIMIT:
        raise _bad(f"{key}={value[:40]}: expected a number below 2^64")
    return number


def parse_boolean(key: str, value: str) -> bool:
    """``Yes`` or ``No``, in exactly that case."""
    if value not in ("Yes", "No"):
        raise _bad(f"{key}={value[:40]}: expected Yes or No")
    return value == "Yes"


def format_boolean(value: bool) -> str:
    """``Yes`` or ``No``."""
    return "Yes" if value else "No"


def parse_list(key: str, value: str) -> tuple[str, ...]:
    """Comma-separated values in order of preference; none may be empty."""
    choices = tuple(value.split(","))
    if "" in choices:
        raise _bad(f"{key}={value[:40]}: expected values separated by single commas")
    return choices


def parse_binary(key: str, value: str, limit: int = MAX_BINARY_LENGTH) -> bytes:
    """A binary string in ``0x`` hexadecimal or ``0b`` base64, of 1 to ``limit`` bytes.

    An odd number of hex digits stands for a number with an implied leading zero (RFC 7143 6.1).
    """
    raw = b""
    if digits := _HEX.fullmatch(value):
        raw = bytes.fromhex(digits[1].zfill(len(digits[1]) + len(digits[1]) % 2))
    elif encoded := _BASE64.fullmatch(value):
        try:
            raw = binascii.a2b_base64(encoded[1].encode(), strict_mode=True)
        except binascii.Error as error:
            raise _bad(f"{key}: not base64: {error}") from None
    if not 1 <= len(raw) <= limit:
        raise _bad(f"{key}={value[:40]}: expected 1 to {limit} bytes as 0x hexadecimal or 0b base64")
    return raw


def format_binary(raw: bytes) -> str:
    """Hexadecimal with ``0x``: every peer reads it, not every peer reads base64."""
    return "0x" + raw.hex()


def _key_complaint(key: str) -> str | None:
    if len(key) > MAX_KEY_LENGTH:
        return f"key {key[:20]}... is longer than {MAX_KEY_LENGTH} characters"
    if not _KEY.fullmatch(key):
        return f"{key!r} is not a key name: expected a letter, then letters, digits and . - + @ _ #"
    return None


def _value_complaint(key: str, raw: bytes) -> str | None:
    limit = LONG_VALUES.get(key, MAX_VALUE_LENGTH)
    if len(raw) > limit:
        return f"the value of {key} is longer than {limit} bytes"
    if b"\0" in raw:
        return f"the value of {key} holds a NUL"
    return None


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, login_status=LoginStatus.INITIATOR_ERROR)
