"""Pieces are to be had like the bytes they hold: length, slices, equality; and on the wire they are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscsi.pdu import DataIn, encode
from iscsi.pieces import Pieces


def joined_in(pieces: list[bytes]) -> Pieces:
    return Pieces(pieces, len(b"".join(pieces)))


buffers = st.lists(st.binary(max_size=9), max_size=6)


@given(buffers, st.integers(0, 60), st.integers(0, 60))
def test_a_slice_is_the_slice_of_what_was_joined(pieces: list[bytes], start: int, stop: int) -> None:
    joined = b"".join(pieces)
    cut = joined_in(pieces)[start:stop]
    assert bytes(cut) == joined[start:stop]
    assert len(cut) == len(joined[start:stop])
    assert b"".join(cut.buffers) == joined[start:stop]
    assert joined_in(pieces) == joined


@given(buffers, st.booleans(), st.booleans())
def test_on_the_wire_nothing_shows(pieces: list[bytes], header_digest: bool, data_digest: bool) -> None:
    whole = DataIn(data=b"".join(pieces))
    apart = DataIn(data=joined_in(pieces))  # type: ignore[arg-type]
    assert encode(apart, header_digest, data_digest) == encode(whole, header_digest, data_digest)


def test_every_other_byte_is_not_to_be_had() -> None:
    with pytest.raises(ValueError, match="step of 1, not 2"):
        Pieces([b"abcd"], 4)[::2]
