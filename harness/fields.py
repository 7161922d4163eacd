"""The vocabulary scenario files are written in: what a rate, an address or an iSCSI name may look like.

Each type below reads the text of a TOML value and says in its error what was expected. Quantities become integers on
the way in (see `units`) and the same text on the way out, so a scenario made by a program can be saved as a file.
"""

import ipaddress
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
    Strict,
    WithJsonSchema,
)

from harness import units
from iscsi.port_groups import AccessState

# RFC 3720 3.2.6.3 (and RFC 3980 for naa.): reversed domain of the naming authority, then whatever it likes.
_ISCSI_NAME = re.compile(
    r"iqn\.\d{4}-(0[1-9]|1[0-2])\.[a-z0-9.-]+(:\S+)?|eui\.[0-9A-Fa-f]{16}|naa\.([0-9A-Fa-f]{16}){1,2}"
)
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}")

MAX_ISCSI_NAME_BYTES = 223
"""RFC 7143 4.2.7.1."""

MIN_CHAP_SECRET_BYTES = 12
"""96 bits: what RFC 7143 9.2.1 wants of a secret without IPsec."""
MAX_CHAP_BYTES = 255
"""What a text value holds (RFC 7143 6.1)."""


class Table(BaseModel):
    """One table of a scenario file: exact types, no unknown keys, immutable once read."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    def tables(self) -> dict[str, Any]:
        """As a file has it, secrets included: for what is read again, never for showing."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, context=_WITH_SECRETS)


def _ip(text: str) -> str:
    expected = f'expected the IPv4 address of one interface such as "192.168.51.1", got "{text}"'
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError(expected) from None
    if _is_no_host(address):
        raise ValueError(expected)
    return str(address)


def _is_no_host(address: ipaddress.IPv4Address) -> bool:
    """0.0.0.0 would mean every interface, a multicast or broadcast address no single one."""
    return address.is_unspecified or address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255")


def _interface(text: str) -> str:
    expected = f'expected an IPv4 address with its prefix such as "192.168.50.105/22", got "{text}"'
    if "/" not in text:
        raise ValueError(expected)
    try:
        interface = ipaddress.IPv4Interface(text)
    except ValueError:
        raise ValueError(expected) from None
    if _is_no_host(interface.ip):
        raise ValueError(expected)
    return interface.with_prefixlen


def _subnet(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError:
        raise ValueError(f'expected an IPv4 network such as "192.168.48.0/22", got "{text}"') from None


def _iscsi_name(text: str) -> str:
    if not _ISCSI_NAME.fullmatch(text) or len(text.encode()) > MAX_ISCSI_NAME_BYTES:
        raise ValueError(f'expected an iSCSI name such as "iqn.1991-05.com.microsoft:w2k3", got "{text}"')
    return text


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(
            f'expected a name of at most 63 letters, digits, "_", "-", "." or blanks, such as "3A_iSCSI", got "{text}"'
        )
    return text


RateBitsPerS = Annotated[
    int,
    BeforeValidator(units.parse_rate),
    PlainSerializer(units.format_rate),
    WithJsonSchema({"type": "string", "description": "bits per second", "examples": ["1Gbit", "100Mbit"]}),
]
SizeBytes = Annotated[
    int,
    BeforeValidator(units.parse_size),
    PlainSerializer(units.format_size),
    WithJsonSchema({"type": "string", "description": "bytes", "examples": ["64KiB", "10GiB"]}),
]
DurationNs = Annotated[
    int,
    BeforeValidator(units.parse_duration),
    PlainSerializer(units.format_duration),
    WithJsonSchema({"type": "string", "description": "a span of time", "examples": ["250us", "15s", "2min"]}),
]


def _timer(value: object) -> object:
    if isinstance(value, str):
        return units.parse_duration(value)
    return int(value) if isinstance(value, bool) else value


TimerValue = Annotated[
    NonNegativeInt,
    BeforeValidator(_timer),
    WithJsonSchema({"type": ["string", "integer", "boolean"], "description": "a duration, a count or a switch"}),
]


def _chap_text(text: str) -> str:
    size = len(text.encode())
    if not 1 <= size <= MAX_CHAP_BYTES or "\0" in text:
        raise ValueError(f"expected 1 to {MAX_CHAP_BYTES} bytes without NUL, got {size}")
    return text


def _offered_secret(secret: SecretStr) -> SecretStr:
    _chap_text(secret.get_secret_value())
    return secret


def _good_secret(secret: SecretStr) -> SecretStr:
    size = len(secret.get_secret_value().encode())
    if size < MIN_CHAP_SECRET_BYTES:
        raise ValueError(f"expected at least {MIN_CHAP_SECRET_BYTES} bytes (RFC 7143 9.2.1), got {size}")
    return _offered_secret(secret)


_WITH_SECRETS = {"secrets": "shown"}


def _written_secret(secret: SecretStr, info: SerializationInfo) -> str:
    return secret.get_secret_value() if info.context == _WITH_SECRETS else str(secret)


_AS_WRITTEN = PlainSerializer(_written_secret, when_used="json")

ChapText = Annotated[str, AfterValidator(_chap_text)]
"""A CHAP name."""
OfferedSecret = Annotated[SecretStr, AfterValidator(_offered_secret), _AS_WRITTEN]
"""What a login step offers as a secret. Neither its repr nor a dump shows it."""
ChapSecret = Annotated[SecretStr, AfterValidator(_good_secret), _AS_WRITTEN]
"""A secret worth the name, as well hidden."""

AccessStateName = Literal[
    "active-optimized", "active-non-optimized", "standby", "unavailable", "offline", "transitioning"
]
"""The states of a target port group."""

Ip = Annotated[str, AfterValidator(_ip)]
Interface = Annotated[str, AfterValidator(_interface)]
Subnet = Annotated[str, AfterValidator(_subnet)]
IscsiName = Annotated[str, AfterValidator(_iscsi_name)]
Label = Annotated[str, AfterValidator(_label)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
FrameShare = Annotated[float, Field(gt=0.0, le=1.0)]


def access_state(name: AccessStateName) -> AccessState:
    """The state of a target port group by its name."""
    return next(state for state in AccessState if state.words == name)


T = TypeVar("T")
# TOML has arrays only; the array may become a tuple while its items stay strict.
Listing = Annotated[tuple[T, ...], Strict(False)]
