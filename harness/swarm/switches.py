"""Which features are on in a seed: the first of its two drawings.

Each is on or off for the whole scenario. The odds are those of a bench: two paths and patient hosts mostly, CHAP and
asymmetric access rarely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.fault_step import FaultKind
from harness.swarm.fault_table import FAULTS, Cost
from sim.rng import stream

__all__ = ["OPERATIONS", "PLAIN", "Switches", "switches_of"]

OPERATIONS: Final = ("drop", "drain", "rebalance", "request_logout", "controller_failover")
"""What an operator of the array may do in the break phase."""


_HAUNTING: Final = 3
"""Kinds of faults beside held writes are few, so that those are drawn."""


@dataclass(frozen=True, slots=True)
class Switches:
    """The features of one seed."""

    hosts: int
    redirecting: bool
    """The array has a group address; else it lists its portals."""
    alua: bool
    chap: bool
    digests: bool
    short_timers: bool
    """A failover takes seconds of virtual time, not a minute."""
    patient: bool
    """No host gives up while a fault stands."""
    shared_volume: bool
    """Several hosts work on one volume."""
    large_blocks: bool
    deep_queues: bool
    """More I/Os may be under way than the array's command window holds."""
    kinds: tuple[FaultKind, ...]
    """Faults that may be drawn; none: a run without faults but for what follows."""
    fencing: str
    """What hosts do about writes that were under way on a lost path."""
    haunted: bool
    """Commands wait in the array for long: longer than hosts wait for them, and than some sessions live."""
    flap: bool
    """Several NICs or portals go down one by one and come back in another order."""
    operations: tuple[str, ...]
    policy_changes: bool

    @property
    def writes_are_fenced(self) -> bool:
        """Whether a write that the array still holds is ended before it is sent again on another path."""
        return self.fencing in ("lun-reset", "preempt-and-abort") and not self.shared_volume


PLAIN: Final = Switches(
    hosts=1,
    redirecting=True,
    alua=False,
    chap=False,
    digests=False,
    short_timers=True,
    patient=True,
    shared_volume=False,
    large_blocks=False,
    deep_queues=False,
    kinds=(),
    fencing="none",
    haunted=False,
    flap=False,
    operations=(),
    policy_changes=False,
)
"""Nothing special: what others start from that draw machines."""


def switches_of(seed: int) -> Switches:
    """The features that are on in this seed."""
    rng = stream(seed, "swarm:switches")
    hosts = 2 if rng.chance(0.25) else 1
    redirecting = rng.chance(0.8)
    digests = rng.chance(0.3)
    haunted = rng.chance(0.12)  # writes wait in the array, sessions end meanwhile, and hosts fence
    harmless = (
        rng.chance(0.7) and not haunted
    )  # faults that cost time alone: then nothing may fail, which is the sharper demand
    large_blocks = rng.chance(0.3)
    swift = large_blocks and rng.chance(0.6)  # where nothing is slow much may be under way, so cables fail in its midst
    kinds = [
        fault.kind
        for fault in FAULTS
        if rng.chance(0.4)
        and (fault.cost is Cost.TIME or not harmless)
        and (redirecting or not fault.redirecting_only)
        and (digests or not fault.wants_digests)
        and not (swift and fault.slows)
    ]
    if haunted:
        kinds = ["late", *(kind for kind in kinds if kind not in ("late", "array_kill"))][:_HAUNTING]
    operations = [name for name in OPERATIONS if rng.chance(0.2)]
    if (large_blocks or haunted) and "drop" not in operations:
        operations.append("drop")  # what is under way then is what large blocks and held writes are for
    fencing = rng.pick(_fences(kinds)) if rng.chance(0.2) else "none"
    if haunted:
        fencing = rng.pick(("lun-reset", "preempt-and-abort"))
    return Switches(
        hosts=hosts,
        redirecting=redirecting,
        alua=rng.chance(0.1),
        chap=rng.chance(0.1),
        digests=digests,
        short_timers=rng.chance(0.8),
        # Faults that cost I/O may fail a path whose session works; a disk that is removed then is not found again.
        patient=rng.chance(0.65) or not harmless,
        shared_volume=hosts > 1 and rng.chance(0.5) and not haunted,
        large_blocks=large_blocks,
        deep_queues=rng.chance(0.15),
        kinds=tuple(kinds),
        fencing=fencing,
        haunted=haunted,
        flap=rng.chance(0.25),
        operations=tuple(operations),
        policy_changes=rng.chance(0.3),
    )


def _fences(kinds: list[FaultKind]) -> tuple[str, ...]:
    """An array that starts anew has forgotten the keys, and a path that did not fail meanwhile registers none."""
    return ("wait", "lun-reset") if "array_kill" in kinds else ("wait", "lun-reset", "preempt-and-abort")
