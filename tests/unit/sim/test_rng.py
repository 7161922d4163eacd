"""Streams are seeded by name, independent of one another, and pinned: these values must never change."""

import pytest

from sim.rng import stream


def test_a_name_and_a_seed_always_give_the_same_numbers() -> None:
    assert [stream(7, "isn").bits(16) for _ in range(2)] == [stream("7", "isn").bits(16)] * 2
    assert stream(7, "isn").bytes(8) != stream(8, "isn").bytes(8)
    assert stream(7, "isn").bytes(8) != stream(7, "chap").bytes(8)


def test_the_numbers_are_pinned() -> None:
    source = stream(1, "pinned")
    assert [source.below(100) for _ in range(8)] == [58, 15, 89, 61, 62, 50, 76, 86]


def test_draws_stay_in_their_range() -> None:
    source = stream(1, "range")
    assert {source.below(3) for _ in range(200)} == {0, 1, 2}
    assert {source.between(5, 6) for _ in range(100)} == {5, 6}
    assert source.below(1) == 0
    assert all(0.0 <= source.random() < 1.0 for _ in range(100))
    assert 0 < sum(source.chance(0.5) for _ in range(100)) < 100
    assert len(source.bytes(16)) == 16
    assert source.bytes(0) == b""


def test_shuffling_keeps_every_item() -> None:
    source = stream(1, "shuffle")
    assert sorted(source.shuffled(range(20))) == list(range(20))
    assert source.pick(["only"]) == "only"


def test_nothing_can_be_drawn_from_nothing() -> None:
    with pytest.raises(ValueError, match="stream empty"):
        stream(1, "empty").pick([])
