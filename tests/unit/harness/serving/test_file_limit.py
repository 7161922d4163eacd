"""A process that serves many connections may open as many files."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from harness.serving.file_limit import BESIDE, make_room


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    """The limits as they are, and as they are again afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_rises_as_far_as_it_takes(limits: tuple[int, int]) -> None:
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    assert make_room(500) is None
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (500 + BESIDE, hard)


def test_it_never_falls(limits: tuple[int, int]) -> None:
    assert make_room(1) is None
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


def test_a_hard_limit_that_is_too_low_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 1000))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: asked.append(limits))
    assert make_room(1024) == ("only 1000 files may be open at once: not enough for 1024 connections (max_connections)")
    assert asked == [(1000, 1000)]
