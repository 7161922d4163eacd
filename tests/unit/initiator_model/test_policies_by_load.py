"""Least Queue Depth and Least Blocks, row by row (FACTS D.2)."""

import pytest

from initiator_model.paths import FailOverGroup, Path, PathState, ScsiAddress
from initiator_model.policies import Move
from initiator_model.policies.least_blocks import CACHE_BYTES, LeastBlocks
from initiator_model.policies.least_queue_depth import LeastQueueDepth
from initiator_model.requests import Io, Operation

ACTIVE, STANDBY, FAILED = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY, PathState.FAILED
READ, WRITE, FLUSH = Operation.READ, Operation.WRITE, Operation.FLUSH
KIB = 1024


def make_paths(*states: PathState) -> list[Path]:
    paths = [
        Path(source=f"10.0.0.{n}:2800", portal=f"10.0.1.{n}:3260", scsi_address=ScsiAddress(1, 0, n, 0))
        for n in range(len(states))
    ]
    for path, state in zip(paths, states, strict=True):
        path.state = state
    return paths


@pytest.mark.parametrize(
    ("in_flight", "chosen"),
    [
        ((0, 0, 0), 0),  # a tie: the first in the list
        ((1, 0, 0), 1),  # strictly fewer: the first of the two
        ((2, 1, 1), 1),
        ((1, 1, 0), 2),
        ((3, 3, 3), 0),  # a tie again: no rotation
    ],
)
def test_least_queue_depth_takes_the_fewest_and_the_first_of_equals(in_flight: tuple[int, ...], chosen: int) -> None:
    paths = make_paths(ACTIVE, ACTIVE, ACTIVE)
    for path, count in zip(paths, in_flight, strict=True):
        path.group.in_flight = count
    assert LeastQueueDepth().choose(paths, Io()) is paths[chosen]


def test_least_queue_depth_passes_over_paths_that_are_not_active() -> None:
    paths = make_paths(FAILED, STANDBY, ACTIVE)
    paths[2].group.in_flight = 9
    assert LeastQueueDepth().choose(paths, Io()) is paths[2]
    assert LeastQueueDepth().choose(paths[:2], Io()) is None


def test_least_queue_depth_counts_the_requests_of_every_lun_of_a_session() -> None:
    """Two LUNs behind each of two sessions: what one disk has under way makes the path busy for the other."""
    groups = [FailOverGroup(), FailOverGroup()]
    disks = [
        [
            Path(source="", portal="", scsi_address=ScsiAddress(1, 0, n, lun), group=group)
            for n, group in enumerate(groups)
        ]
        for lun in range(2)
    ]
    for path in (*disks[0], *disks[1]):
        path.state = ACTIVE
    disks[0][0].take(4 * KIB)
    assert (disks[1][0].in_flight, disks[1][0].group.in_flight) == (0, 1)
    assert LeastQueueDepth().choose(disks[1], Io()) is disks[1][1]
    disks[0][0].release(4 * KIB)
    assert LeastQueueDepth().choose(disks[1], Io()) is disks[1][0]


def test_every_path_of_both_is_active_on_arrival_and_nobody_is_called_on_loss() -> None:
    for selector, words in ((LeastQueueDepth(), "Least Queue Depth"), (LeastBlocks(), "Least Blocks")):
        paths = make_paths(ACTIVE, FAILED)
        assert selector.after_arrival(paths, paths[1]) == [Move(paths[1], ACTIVE, f"arrived: {words} uses every path")]
        assert selector.after_loss(paths) == []


Step = tuple[Operation, int, int, int]
"""Operation, first block, KiB, and the index of the path that must be chosen; the request stays outstanding."""


@pytest.mark.parametrize(
    ("use_cache", "steps"),
    [
        (False, [(READ, 0, 64, 0), (READ, 128, 64, 1), (READ, 256, 8, 0), (READ, 272, 8, 1), (READ, 288, 8, 0)]),
        # a large request weighs as much as the small ones that go the other way meanwhile
        (False, [(READ, 0, 64, 0), (READ, 900, 4, 1), (READ, 800, 4, 1), (READ, 700, 4, 1), (READ, 600, 56, 1)]),
        (False, [(READ, 0, 64, 0), (FLUSH, 0, 0, 0), (READ, 900, 4, 1), (FLUSH, 0, 0, 1)]),  # neither: as the last
        (True, [(READ, 0, 64, 0), (READ, 128, 64, 0), (READ, 256, 64, 0)]),  # a stream stays
        (True, [(READ, 500, 64, 0), (READ, 900, 64, 0), (READ, 100, 64, 1)]),  # rising is "sequential", falling is not
        (True, [(WRITE, 0, 512, 0), (WRITE, 1024, 512, 0), (WRITE, 2048, 4, 1)]),  # 1 MiB is cached, and no more
    ],
    ids=["fewest bytes", "sizes count", "flush", "stream of reads", "rising", "stream of writes"],
)
def test_least_blocks(use_cache: bool, steps: list[Step]) -> None:
    selector, paths = LeastBlocks(use_cache), make_paths(ACTIVE, ACTIVE)
    for number, (operation, lba, kib, wanted) in enumerate(steps):
        chosen = selector.choose(paths, Io(operation, lba, kib * 2, kib * KIB))
        assert chosen is paths[wanted], f"request {number + 1}"
        chosen.take(kib * KIB)


def test_least_blocks_does_not_stay_on_a_path_that_is_lost_or_removed() -> None:
    selector, paths = LeastBlocks(use_cache=True), make_paths(ACTIVE, ACTIVE)
    assert selector.choose(paths, Io(READ, 0)) is paths[0]
    paths[0].state = FAILED
    assert selector.choose(paths, Io(READ, 8)) is paths[1]
    selector.forget(1)
    assert selector.choose(paths[:1], Io(READ, 16)) is None
    paths[0].state = ACTIVE
    assert selector.choose(paths[:1], Io(READ, 24)) is paths[0]


def test_the_cache_is_as_large_as_the_sample_says() -> None:
    assert CACHE_BYTES == 0x100000
