"""Text keys: the format of RFC 7143 6.1, and what is refused."""

from __future__ import annotations

import pytest

from iscsi.constants import LoginStatus
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.text import (
    MAX_TEXT_PARTS,
    TextAssembler,
    decode_keys,
    encode_keys,
    format_binary,
    parse_binary,
    parse_boolean,
    parse_list,
    parse_number,
    split,
)


def test_pairs_end_with_a_nul_each() -> None:
    data = encode_keys([("InitiatorName", "iqn.1991-05.com.microsoft:w2k3"), ("SessionType", "Discovery")])

    assert data == b"InitiatorName=iqn.1991-05.com.microsoft:w2k3\0SessionType=Discovery\0"
    assert decode_keys(data) == [("InitiatorName", "iqn.1991-05.com.microsoft:w2k3"), ("SessionType", "Discovery")]


def test_a_value_may_hold_an_equals_sign_and_may_be_empty() -> None:
    assert decode_keys(b"InitiatorAlias=a=b\0SendTargets=\0") == [("InitiatorAlias", "a=b"), ("SendTargets", "")]


def test_nuls_counted_in_after_the_last_pair_are_padding() -> None:
    assert decode_keys(b"SendTargets=All\0\0\0") == [("SendTargets", "All")]


def test_no_data_holds_no_pairs() -> None:
    assert decode_keys(b"") == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"SendTargets=All", "does not end with a NUL"),
        (b"SendTargets\0", "key=value is expected"),
        (b"A=1\0\0B=2\0", "key=value is expected"),
        (b"\0", "key=value is expected"),
        (b"=All\0", "not a key name"),
        (b"Send Targets=All\0", "not a key name"),
        (b"K" * 64 + b"=1\0", "longer than 63"),
        (b"InitiatorAlias=" + b"a" * 256 + b"\0", "longer than 255"),
        (b"CHAP_C=0x" + b"0" * 2049 + b"\0", "longer than 2050"),
        (b"InitiatorAlias=\xff\0", "not UTF-8"),
        (b"\xc3\xa4=1\0", "ASCII key"),
    ],
)
def test_malformed_text_is_an_initiator_error(data: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why) as caught:
        decode_keys(data)
    assert caught.value.login_status is LoginStatus.INITIATOR_ERROR


@pytest.mark.parametrize("pair", [("a b", "1"), ("A", "x" * 256), ("A", "x\0B=y"), ("", "1")])
def test_what_no_receiver_would_accept_is_not_encoded(pair: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        encode_keys([pair])


def test_a_pair_may_straddle_pdus() -> None:
    assembler = TextAssembler()

    assert assembler.feed(b"SendTar", cont=True) is None
    assert assembler.feed(b"", cont=True) is None
    assert assembler.feed(b"gets=All\0", cont=False) == [("SendTargets", "All")]
    assert assembler.feed(b"SendTargets=\0", cont=False) == [("SendTargets", "")], "the next set starts afresh"


def test_a_set_of_keys_is_bounded_in_bytes() -> None:
    assembler = TextAssembler(limit=100)
    assembler.feed(bytes(100), cont=True)
    with pytest.raises(RemoteProtocolError, match="longer than 100 bytes"):
        assembler.feed(b"x", cont=True)


def test_a_set_of_keys_is_bounded_in_pdus() -> None:
    assembler = TextAssembler()
    for _ in range(MAX_TEXT_PARTS):
        assembler.feed(b"", cont=True)
    with pytest.raises(RemoteProtocolError, match="spans more than 64 PDUs"):
        assembler.feed(b"", cont=True)


def test_split_gives_at_least_one_part() -> None:
    assert split(b"", 4) == [b""]
    assert split(b"abcd", 4) == [b"abcd"]
    assert split(b"abcde", 4) == [b"abcd", b"e"]


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("8192", 8192), ("0x2000", 8192), ("0XfF", 255), (str(2**64 - 1), 2**64 - 1)]
)
def test_numbers_are_decimal_or_hexadecimal(text: str, number: int) -> None:
    assert parse_number("MaxBurstLength", text) == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1 ", "010", "0x", "1e3", "1_000", str(2**64), "0x1" + "0" * 16, "٣", "9" * 500]
)
def test_other_numbers_are_refused_by_name(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="MaxBurstLength"):
        parse_number("MaxBurstLength", text)


def test_booleans_are_yes_and_no_in_that_case() -> None:
    assert parse_boolean("InitialR2T", "Yes") is True
    assert parse_boolean("InitialR2T", "No") is False
    with pytest.raises(RemoteProtocolError, match="InitialR2T=yes: expected Yes or No"):
        parse_boolean("InitialR2T", "yes")


def test_lists_are_separated_by_single_commas() -> None:
    assert parse_list("HeaderDigest", "CRC32C,None") == ("CRC32C", "None")
    for text in ("", "CRC32C,", ",None", "CRC32C,,None"):
        with pytest.raises(RemoteProtocolError, match="HeaderDigest"):
            parse_list("HeaderDigest", text)


@pytest.mark.parametrize("text", ["0x00ff10", "0X00FF10", "0bAP8Q", "0BAP8Q"])
def test_binary_strings_are_hexadecimal_or_base64(text: str) -> None:
    assert parse_binary("CHAP_C", text) == b"\x00\xff\x10"


def test_an_odd_number_of_hex_digits_has_an_implied_zero_in_front() -> None:
    assert parse_binary("CHAP_C", "0xabc") == b"\x0a\xbc"


@pytest.mark.parametrize("text", ["", "0x", "0xzz", "ff", "0b", "0bA", "0bAP8Q=", "0b====", "0x" + "00" * 1025])
def test_other_binary_strings_are_refused_by_name(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="CHAP_C"):
        parse_binary("CHAP_C", text)


def test_binary_strings_are_written_in_hexadecimal() -> None:
    assert format_binary(b"\x00\xff") == "0x00ff"
