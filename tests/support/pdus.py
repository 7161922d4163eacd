"""Hypothesis strategies for PDUs: any legal value in any field of any PDU of RFC 7143."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from iscsi.fields import Field
from iscsi.pdu import PDU_TYPES, Pdu, ScsiCommand

PDU_CLASSES: list[type[Pdu]] = list(PDU_TYPES.values())


def whole_numbers(bits: int) -> st.SearchStrategy[int]:
    """All of 0 .. 2^bits - 1, with the two ends (where sign and width mistakes show) drawn often."""
    top = (1 << bits) - 1
    return st.sampled_from((0, top, top >> 1)) | st.integers(0, top)


def ahs() -> st.SearchStrategy[bytes]:
    """An Additional Header Segment: whole 4-byte words, up to the 255 that TotalAHSLength can count."""
    short = st.integers(0, 4).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words))
    return short | st.just(bytes(range(204)) * 5)


def _field_values(field: Field) -> st.SearchStrategy[Any]:
    if field.kind == "flag":
        return st.booleans()
    if field.kind == "bytes":
        return st.binary(min_size=field.size, max_size=field.size)
    return whole_numbers(field.mask.bit_count() or 8 * field.size)


def pdus_of(kind: type[Pdu], max_data: int = 40) -> st.SearchStrategy[Pdu]:
    """PDUs of one class, with up to ``max_data`` bytes of data segment."""
    values = {field.name: _field_values(field) for field in kind.TABLE}
    if kind is ScsiCommand:
        values["ahs"] = ahs()
    return st.builds(kind, data=st.binary(max_size=max_data), **values)


def pdus(max_data: int = 40) -> st.SearchStrategy[Pdu]:
    """PDUs of any class."""
    return st.sampled_from(PDU_CLASSES).flatmap(lambda kind: pdus_of(kind, max_data))
