"""Additional Header Segments: what they say, and which are refused (RFC 7143 11.2.2)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscsi.ahs import AdditionalHeaders, encode_ahs, parse_ahs
from iscsi.constants import RejectReason
from iscsi.errors import LocalProtocolError, RemoteProtocolError

BIDIRECTIONAL = bytes.fromhex("0005 02 00 00001000")
LONG_CDB = bytes.fromhex("0011 01 00") + bytes(range(16, 32))
ODD_CDB = bytes.fromhex("0004 01 00 aabbcc 00")


@pytest.mark.parametrize(
    ("ahs", "said"),
    [
        (b"", AdditionalHeaders()),
        (BIDIRECTIONAL, AdditionalHeaders(read_length=4096)),
        (LONG_CDB, AdditionalHeaders(cdb_rest=bytes(range(16, 32)))),
        (ODD_CDB, AdditionalHeaders(cdb_rest=b"\xaa\xbb\xcc")),
        (LONG_CDB + BIDIRECTIONAL, AdditionalHeaders(bytes(range(16, 32)), 4096)),
        (BIDIRECTIONAL + LONG_CDB, AdditionalHeaders(bytes(range(16, 32)), 4096)),
    ],
)
def test_what_they_say(ahs: bytes, said: AdditionalHeaders) -> None:
    assert parse_ahs(ahs) == said


@pytest.mark.parametrize(
    ("ahs", "why"),
    [
        (bytes.fromhex("0005 03 00 00001000"), "type 3"),
        (bytes.fromhex("0005 00 00 00001000"), "type 0"),
        (BIDIRECTIONAL + BIDIRECTIONAL, "two AHS of type 2"),
        (bytes.fromhex("0006 02 00 00001000 00 000000"), "type 2 with 5 bytes"),
        (bytes.fromhex("0001 01 00"), "type 1 with 0 bytes"),
        (bytes.fromhex("0000 01 00"), "announces 0 bytes"),
        (bytes.fromhex("0009 01 00 00001000"), "announces 9 bytes"),
        (bytes.fromhex("ffff 01 00"), "announces 65535 bytes"),
        (bytes.fromhex("00f6 01 00") + bytes(248), "type 1 with 245 bytes"),
    ],
)
def test_what_is_refused(ahs: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why) as caught:
        parse_ahs(ahs)
    assert caught.value.reject_reason is RejectReason.INVALID_PDU_FIELD


@given(st.binary(min_size=1, max_size=260), st.none() | st.integers(0, 0xFFFFFFFF))
def test_there_and_back(cdb: bytes, read_length: int | None) -> None:
    ahs = encode_ahs(cdb, read_length)
    assert len(ahs) % 4 == 0
    assert parse_ahs(ahs) == AdditionalHeaders(cdb[16:], read_length)


@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_be_refused(ahs: bytes) -> None:
    with suppress(RemoteProtocolError):
        assert len(parse_ahs(ahs).cdb_rest) <= len(ahs)


def test_a_cdb_longer_than_any() -> None:
    with pytest.raises(LocalProtocolError, match="at most 260 bytes"):
        encode_ahs(bytes(261))
