"""From bytes to headers: however the bytes are cut, the same PDUs come out, and no digest is taken for one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.check.wire.scan import SHOWN_BYTES, Header, Op, Scanner
from iscsi.pdu import DataIn, LoginResponse, NopIn, Pdu, ScsiCommand, encode
from tests.support.pdus import pdus

Seen = tuple[int, int, bytes]
"""Opcode, the word at byte 16, and what is shown of the data."""


def scanned(chunks: list[bytes], header_digest: bool, data_digest: bool) -> tuple[list[Seen], list[str]]:
    """What a scanner makes of them, and the digests it complains of."""
    seen: list[Seen] = []
    wrong: list[str] = []

    def other(opcode: int, fields: Any, data: bytes) -> None:
        seen.append((opcode, Header._make(fields).w16, data))

    scanner = Scanner({0x01: lambda fields, data: other(0x01, fields, data)}, other)
    scanner.agree(header_digest, data_digest, lambda rule, what: wrong.append(what))
    for chunk in chunks:
        scanner.feed(chunk)
    return seen, wrong


def expected(sent: list[Pdu]) -> list[Seen]:
    """The same, by the codec."""
    seen = []
    for pdu in sent:
        whole = encode(pdu)
        opcode = whole[0] & 0x3F
        data = pdu.data[: SHOWN_BYTES.get(opcode, 0)]
        seen.append((opcode, int.from_bytes(whole[16:20]), data))
    return seen


SOME = st.lists(pdus(max_data=70), min_size=1, max_size=4)


@given(sent=SOME, cuts=st.lists(st.integers(0, 600), max_size=8), digests=st.tuples(st.booleans(), st.booleans()))
def test_however_the_bytes_are_cut_the_same_pdus_come_out(
    sent: list[Pdu], cuts: list[int], digests: tuple[bool, bool]
) -> None:
    whole = b"".join(encode(pdu, *digests) for pdu in sent)
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    chunks = [whole[start:end] for start, end in pairwise(edges)]
    assert scanned(chunks, *digests) == (expected(sent), [])


@given(sent=SOME, digests=st.tuples(st.booleans(), st.booleans()))
def test_byte_by_byte_too(sent: list[Pdu], digests: tuple[bool, bool]) -> None:
    whole = b"".join(encode(pdu, *digests) for pdu in sent)
    assert scanned([whole[at : at + 1] for at in range(len(whole))], *digests) == (expected(sent), [])


def test_an_ahs_is_stepped_over() -> None:
    command = ScsiCommand(itt=5, ahs=bytes(8), data=b"data", write=True, edtl=4)
    assert scanned([encode(command)], False, False)[0] == [(1, 5, b"data")]


OUTSIDE_LENGTHS = st.integers(0, 3) | st.integers(8, 51)


@given(at=OUTSIDE_LENGTHS, bit=st.integers(0, 7))
def test_one_bit_in_a_header_or_its_digest_breaks_it(at: int, bit: int) -> None:
    whole = bytearray(encode(DataIn(itt=5), header_digest=True))
    whole[at] ^= 1 << bit
    _, wrong = scanned([bytes(whole)], True, False)
    assert [one[:17] for one in wrong] == ["the header digest"]


@given(at=st.integers(0, 7), bit=st.integers(0, 7))
def test_one_bit_in_data_padding_or_digest_breaks_the_data_digest(at: int, bit: int) -> None:
    whole = bytearray(encode(DataIn(itt=5, data=b"dat"), data_digest=True))
    whole[48 + at] ^= 1 << bit
    assert scanned([bytes(whole)], False, True)[1] == ["the data digest of a PDU with opcode 0x25 is wrong"]


def test_what_comes_behind_a_login_in_one_piece_has_the_digests_it_agreed_on() -> None:
    seen: list[int] = []
    wrong: list[str] = []

    def other(opcode: int, fields: Any, data: bytes) -> None:
        seen.append(opcode)
        if opcode == Op.LOGIN_RESPONSE:
            scanner.agree(True, True, lambda rule, what: wrong.append(what))

    scanner = Scanner({}, other)
    damaged = bytearray(encode(NopIn(ttt=1), True, True))
    damaged[-1] ^= 1
    scanner.feed(encode(LoginResponse()) + encode(NopIn(ttt=1), True, True) + damaged)
    assert seen == [Op.LOGIN_RESPONSE, Op.NOP_IN, Op.NOP_IN]
    assert len(wrong) == 1
