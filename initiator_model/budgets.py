"""How often a logical I/O is tried: each cause by its own count, and all of them together.

What a stack counts, its timers say; these bounds come beneath them, so that nothing is tried for ever whatever a target
answers.
"""

from __future__ import annotations

from typing import Final

from initiator_model.errors import Action
from initiator_model.logical_io import LogicalIo
from initiator_model.timers import Timers

__all__ = ["ATTEMPTS_MAX", "CHANGES_MAX", "attempts_limit", "count", "used_up"]

ATTEMPTS_MAX: Final = 64
"""Attempts at one logical I/O, all causes together. Beyond it the last error is final."""

CHANGES_MAX: Final = 512
"""Attempts at one logical I/O that met an array changing over: it may take 255 s, and is asked every second."""

_UNCOUNTED: Final = (Action.RETRY_UNCOUNTED, Action.REQUEUE)
_RETRIES: Final = (Action.RETRY, Action.RETRY_HERE)


def count(io: LogicalIo, action: Action) -> bool:
    """Count an attempt that led to this action; False when there have been enough of them, whatever the stack says."""
    io.uncounted += action in _UNCOUNTED
    io.changes += action is Action.RETRY_UNCOUNTED
    return io.attempts - io.uncounted < ATTEMPTS_MAX and io.changes < CHANGES_MAX


def attempts_limit(timers: Timers) -> int:
    """More attempts than these at one logical I/O there cannot be, whatever a target answers.

    Those that count; those at an array that changes over; and those that a path puts off, anew after each that counts.
    """
    put_off = timers.requeue_patience_ns // timers.requeue_ns if timers.requeue_ns else 0
    return ATTEMPTS_MAX * (1 + put_off) + CHANGES_MAX


def used_up(io: LogicalIo, action: Action, timers: Timers) -> bool:
    """Count one more try of this kind, where the stack counts it; True when the request has used up its tries."""
    if action is Action.REQUEUE:
        io.requeues += 1
        return io.requeues * timers.requeue_ns > timers.requeue_patience_ns
    if action in _RETRIES:
        io.retries += 1
        return io.retries > timers.retries
    return False
