"""Text survives any cut into PDUs, and bytes that are no text are refused, never more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from iscsi.discovery import TargetAddress, TargetRecord, encode_send_targets, parse_send_targets
from iscsi.errors import RemoteProtocolError
from iscsi.text import (
    TextAssembler,
    decode_keys,
    encode_keys,
    format_binary,
    parse_binary,
    parse_number,
    split,
)

names = st.from_regex(r"\A[A-Za-z][A-Za-z0-9.+@_#-]{0,62}\Z")
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
pairs = st.lists(st.tuples(names, values), max_size=20)
ports = st.integers(1, 65535)
hosts = (
    st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
    | st.from_regex(r"\A[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z][a-z0-9]{0,8}){0,3}\Z")
)
addresses = st.builds(TargetAddress, hosts, ports, st.none() | st.integers(0, 65535))
records = st.builds(
    TargetRecord,
    st.from_regex(r"\Aiqn\.20[0-9]{2}-(0[1-9]|1[0-2])\.com\.[a-z0-9:-]{1,30}\Z"),
    st.lists(addresses, max_size=4).map(tuple),
)


@settings(deadline=None)
@given(pairs, st.integers(1, 400))
def test_pairs_survive_any_cut_into_pdus(written: list[tuple[str, str]], limit: int) -> None:
    assembler = TextAssembler()
    data = encode_keys(written)
    limit = max(limit, len(data) // 60 + 1)  # within the bound on PDUs
    *begun, last = split(data, limit)

    assert all(assembler.feed(part, cont=True) is None for part in begun)
    assert assembler.feed(last, cont=False) == written


@settings(deadline=None)
@given(st.binary(max_size=200) | st.lists(st.sampled_from([b"A=1", b"\0", b"=", b"Key", b"\xff"])).map(b"".join))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        decoded = decode_keys(data)
    except RemoteProtocolError:
        return
    assert encode_keys(decoded) == (data.rstrip(b"\0") + b"\0" if data else b"")


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=1024))
def test_binary_strings_survive(raw: bytes) -> None:
    assert parse_binary("CHAP_C", format_binary(raw)) == raw


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_numbers_read_the_same_in_both_notations(number: int) -> None:
    assert parse_number("MaxBurstLength", str(number)) == parse_number("MaxBurstLength", hex(number)) == number


@settings(deadline=None)
@given(st.lists(records, max_size=5))
def test_a_sendtargets_answer_survives(written: list[TargetRecord]) -> None:
    assert parse_send_targets(encode_send_targets(written)) == written


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("0123456789abcdef.:,[]-", max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = TargetAddress.parse(text)
    except RemoteProtocolError:
        return
    assert TargetAddress.parse(str(address)) == address
