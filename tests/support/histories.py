"""Histories of one volume, said in a line each: what tests of the oracles are told."""

from __future__ import annotations

from itertools import groupby

from harness.check.history import Ending, Operation
from harness.sectors import Run


def write(number: int, begun: int, ended: int | None, lba: int = 0, blocks: int = 1) -> Operation:
    """A write, acknowledged at ``ended``; None: nobody knows what became of it."""
    operation = Operation(number, "host", True, lba, blocks, begun, begun * 1000)
    operation.ended = ended
    operation.ended_ns = None if ended is None else ended * 1000
    operation.ending = Ending.UNKNOWN if ended is None else Ending.OK
    return operation


def read(number: int, begun: int, ended: int, *values: int | None, lba: int = 0) -> Operation:
    """A read that returned the values of these writes, block after block."""
    operation = Operation(number, "host", False, lba, len(values), begun, begun * 1000)
    operation.ended, operation.ended_ns, operation.ending = ended, ended * 1000, Ending.OK
    for value, alike in groupby(values):
        blocks = len(list(alike))
        operation.seen += (Run(lba, blocks, value),)
        lba += blocks
    return operation
