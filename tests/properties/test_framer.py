"""The framer does not care how TCP cuts the stream, and nothing a peer sends makes it do more than refuse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iscsi.errors import RemoteProtocolError
from iscsi.framer import BrokenStream, DamagedPdu, Framer, Received
from iscsi.pdu import Pdu, encode
from tests.support.pdus import pdus

LIMIT = 64
LARGEST_PDU = 48 + 255 * 4 + 4 + LIMIT + 4
streams = st.lists(pdus(max_data=LIMIT), max_size=6)
digests = st.tuples(st.booleans(), st.booleans())


def framer(header_digest: bool, data_digest: bool) -> Framer:
    made = Framer(LIMIT)
    made.header_digest, made.data_digest = header_digest, data_digest
    return made


def pieces(wire: bytes, cuts: list[int]) -> Iterator[bytes]:
    """``wire`` cut at the given places, taken modulo its length."""
    edges = sorted(cut % (len(wire) + 1) for cut in cuts)
    for begin, end in zip([0, *edges], [*edges, len(wire)], strict=True):
        yield wire[begin:end]


cuts = st.lists(st.integers(0, 1 << 14), max_size=12)


@settings(deadline=None, max_examples=100)
@given(sent=streams, digest=digests, cuts=cuts)
def test_any_fragmentation_gives_the_same_pdus(sent: list[Pdu], digest: tuple[bool, bool], cuts: list[int]) -> None:
    receiver = framer(*digest)
    wire = b"".join(encode(pdu, *digest) for pdu in sent)
    assert [pdu for piece in pieces(wire, cuts) for pdu in receiver.receive(piece)] == sent
    receiver.receive_eof()


@settings(deadline=None, max_examples=100)
@given(sent=streams, digest=digests, cuts=cuts, limit=st.integers(1, 3))
def test_so_does_taking_them_a_few_at_a_time(
    sent: list[Pdu], digest: tuple[bool, bool], cuts: list[int], limit: int
) -> None:
    receiver = framer(*digest)
    wire = b"".join(encode(pdu, *digest) for pdu in sent)
    seen: list[Received] = []
    for piece in pieces(wire, cuts):
        batch = receiver.receive(piece, limit)
        while batch:
            assert len(batch) <= limit
            seen += batch
            batch = receiver.receive(b"", limit)
    assert seen == sent


@settings(deadline=None, max_examples=100)
@given(sent=st.lists(pdus(max_data=LIMIT), min_size=1, max_size=4), digest=digests, data=st.data())
def test_a_stream_cut_short_yields_what_is_whole_and_says_so(
    sent: list[Pdu], digest: tuple[bool, bool], data: st.DataObject
) -> None:
    receiver = framer(*digest)
    whole = [encode(pdu, *digest) for pdu in sent]
    missing = data.draw(st.integers(1, len(whole[-1]) - 1))
    assert receiver.receive(b"".join(whole)[:-missing]) == sent[:-1]
    with pytest.raises(RemoteProtocolError, match="inside a PDU"):
        receiver.receive_eof()


@settings(deadline=None, max_examples=100)
@given(sent=st.lists(pdus(max_data=LIMIT), min_size=1, max_size=4), cuts=cuts, data=st.data())
def test_with_both_digests_a_flipped_bit_never_passes_for_a_sound_pdu(
    sent: list[Pdu], cuts: list[int], data: st.DataObject
) -> None:
    """CRC32C finds any one flipped bit: the PDU it hits is refused, or marked as damaged and its neighbours not."""
    wire = bytearray(b"".join(encode(pdu, True, True) for pdu in sent))
    place = data.draw(st.integers(0, 8 * len(wire) - 1))
    wire[place // 8] ^= 1 << place % 8
    receiver = framer(True, True)
    seen: list[Received] = []
    for piece in pieces(bytes(wire), cuts):
        try:
            seen += receiver.receive(piece)
        except RemoteProtocolError as error:
            seen.append(BrokenStream(error))
        if seen and isinstance(seen[-1], BrokenStream):
            assert seen[:-1] == sent[: len(seen) - 1]
            assert len(seen) <= len(sent), "the PDU that was hit is not among them"
            return
    if len(seen) == len(sent):
        assert [isinstance(pdu, DamagedPdu) for pdu in seen].count(True) == 1
        assert [pdu for pdu in seen if not isinstance(pdu, DamagedPdu)] == [
            pdu for pdu, got in zip(sent, seen, strict=True) if not isinstance(got, DamagedPdu)
        ]
    else:  # a damaged TotalAHSLength lets the header seem longer than the stream: nothing behind it is believed
        assert seen == sent[: len(seen)]
        assert receiver.buffered <= LARGEST_PDU


PLAUSIBLE_HEADERS = pdus(max_data=LIMIT).map(lambda pdu: encode(pdu))
garbage = st.lists(st.binary(max_size=200) | PLAUSIBLE_HEADERS, max_size=20)


@settings(deadline=None, max_examples=120)
@given(chunks=garbage, digest=digests, limit=st.none() | st.integers(1, 3))
def test_garbage_is_the_peers_fault_and_costs_bounded_memory(
    chunks: list[bytes], digest: tuple[bool, bool], limit: int | None
) -> None:
    receiver = framer(*digest)
    for chunk in chunks:
        try:
            while receiver.receive(chunk, limit) and limit is not None:
                chunk = b""
        except RemoteProtocolError:
            assert receiver.buffered == 0
        assert receiver.buffered < LARGEST_PDU


@settings(deadline=None, max_examples=100)
@given(sent=streams, cuts=cuts)
def test_what_comes_before_garbage_is_received_however_tcp_cuts_it(sent: list[Pdu], cuts: list[int]) -> None:
    receiver = framer(False, False)
    seen: list[Received] = []
    refused = 0
    for piece in pieces(b"".join(map(encode, sent)) + b"\xff" * 48, cuts):
        try:
            seen += receiver.receive(piece)
        except RemoteProtocolError:
            refused += 1
    assert [item for item in seen if isinstance(item, Pdu)] == sent
    assert refused + sum(isinstance(item, BrokenStream) for item in seen) >= 1
