"""TargetAddress values and SendTargets answers."""

from __future__ import annotations

import pytest

from iscsi.discovery import (
    MAX_ADDRESSES_PER_TARGET,
    MAX_SEND_TARGETS_LENGTH,
    TargetAddress,
    TargetRecord,
    encode_send_targets,
    parse_send_targets,
)
from iscsi.errors import RemoteProtocolError

VOLUME = "iqn.2001-05.com.equallogic:0-8a0906-exchange-logs"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.51.2:3260", TargetAddress("192.168.51.2", 3260)),
        ("192.168.51.2", TargetAddress("192.168.51.2", 3260)),
        ("192.168.51.2:860,1", TargetAddress("192.168.51.2", 860, 1)),
        ("192.168.51.2,0", TargetAddress("192.168.51.2", 3260, 0)),
        ("[2001:db8::2]:3261,7", TargetAddress("2001:db8::2", 3261, 7)),
        ("[::1]", TargetAddress("::1")),
        ("array.example.com", TargetAddress("array.example.com")),
        ("ps100_eth0.lab:3260", TargetAddress("ps100_eth0.lab")),
    ],
)
def test_addresses_are_read_in_every_form(text: str, address: TargetAddress) -> None:
    assert TargetAddress.parse(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a host name"),
        (":3260", "not a host name"),
        ("-a.example", "not a host name"),
        ("a..b", "not a host name"),
        ("a b", "not a host name"),
        ("x" * 64, "not a host name"),
        ("192.168.51.256", "not an IPv4 address"),
        ("192.168.51", "not an IPv4 address"),
        ("2001:db8::2", "in brackets"),
        ("[2001:db8::zz]:3260", "no IPv6 address"),
        ("[192.168.51.2]", "no IPv6 address"),
        ("[]", "no IPv6 address"),
        ("192.168.51.2:0", "1 to 65535"),
        ("192.168.51.2:65536", "1 to 65535"),
        ("192.168.51.2:http", "expected host"),
        ("192.168.51.2:", "expected host"),
        ("192.168.51.2:3260,", "portal group tag"),
        ("192.168.51.2:3260,65536", "0 to 65535"),
        ("192.168.51.2:3260,1,2", "expected host"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        TargetAddress.parse(text)


def test_the_tag_stands_in_sendtargets_and_not_in_a_redirect() -> None:
    address = TargetAddress("192.168.51.2", 3260, 1)

    assert str(address) == "192.168.51.2:3260,1"
    assert address.redirect_value == "192.168.51.2:3260"


def test_ipv6_hosts_are_written_in_brackets() -> None:
    assert str(TargetAddress("2001:db8::2", 3260, 1)) == "[2001:db8::2]:3260,1"


def test_a_sendtargets_answer_is_names_with_their_addresses() -> None:
    records = [
        TargetRecord(VOLUME, (TargetAddress("192.168.51.1", 3260, 1),)),
        TargetRecord(VOLUME + "-2"),
    ]
    data = encode_send_targets(records)

    assert data == f"TargetName={VOLUME}\0TargetAddress=192.168.51.1:3260,1\0TargetName={VOLUME}-2\0".encode()
    assert parse_send_targets(data) == records


def test_no_targets_is_an_empty_answer() -> None:
    assert encode_send_targets([]) == b""
    assert parse_send_targets(b"") == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"TargetAddress=192.168.51.1:3260,1\0", "expected TargetName before it"),
        (b"TargetName=iqn.2001-05.com.equallogic:a\0TargetAlias=a\0", "TargetAlias"),
        (b"TargetName=volume one\0", "not an iSCSI name"),
        (b"TargetName=iqn.2001-05.com.equallogic:a\0TargetAddress=nowhere:\0", "TargetAddress=nowhere:"),
        (b"TargetName=iqn.2001-05.com.equallogic:a", "does not end with a NUL"),
        (
            b"TargetName=iqn.2001-05.com.equallogic:a\0"
            + b"TargetAddress=10.0.0.1,1\0" * (MAX_ADDRESSES_PER_TARGET + 1),
            "more than 256 addresses",
        ),
        (bytes(MAX_SEND_TARGETS_LENGTH + 1), "longer than"),
    ],
)
def test_a_malformed_answer_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        parse_send_targets(data)
