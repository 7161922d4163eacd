"""Reads and writes, one by one, each at a moment of its own: what shrinks better than a workload."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.strategies.drawn import Steps, expect_within, moments_ms
from harness.swarm.topology import Topology

__all__ = ["operations"]

AT_MOST: Final = 12
MOST: Final = 200
REGION_BLOCKS: Final = 64
"""They all fall into so few blocks that they meet."""
_BLOCKS: Final = (8, 1, 16, 32)


def operations(topology: Topology, *, at_most: int = AT_MOST) -> SearchStrategy[Steps]:
    """1 to ``at_most`` (200 at most) `io` steps in the background, as a file has them.

    Those of one moment overlap. The plainest is one write of 8 blocks at block 0, at 1 s. Raises ValueError.
    """
    expect_within("at_most", at_most, 1, MOST)
    disks = [(host.name, volume) for host in topology.hosts for volume in host.volumes]
    return st.lists(_timed(disks), min_size=1, max_size=at_most).map(_in_order)


@st.composite
def _timed(draw: DrawFn, disks: list[tuple[str, str]]) -> tuple[int, dict[str, Any]]:
    op, (host, volume) = draw(st.sampled_from([(op, disk) for disk in disks for op in ("write", "read")]))
    lba, blocks = draw(st.integers(0, REGION_BLOCKS - 1)), draw(st.sampled_from(_BLOCKS))
    at_ms = draw(moments_ms())
    step = {"do": "io", "host": host, "volume": volume, "op": op, "lba": lba, "blocks": blocks, "background": True}
    return at_ms, {**step, "at": f"{at_ms}ms"}


def _in_order(timed: list[tuple[int, dict[str, Any]]]) -> Steps:
    return tuple(step for _, step in sorted(timed, key=lambda event: event[0]))
