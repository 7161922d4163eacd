"""The seeds of the fuzzer and everything it ever found, replayed; and a taste of its work by Hypothesis."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, seeds


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    for seed in seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_stays_mended(name: str) -> None:
    for crash in sorted((Path(__file__).parent / "crashes" / name).glob("*")):
        TARGETS[name](crash.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes(name: str) -> None:
    @settings(deadline=None, max_examples=60)
    @given(st.binary(max_size=400))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()
