"""The faults of one array that are on. What there are, `target.array_fault` says.

The healthy array pays nothing per command: faults that touch commands stand between the tasks of a session and its
logical units (`target.spoilers`, `target.holds`), and only while they are on.
"""

from __future__ import annotations

from target.array_fault import PLACE_KEYS, ArrayFault, FaultError, FaultName, parse_sense
from target.chores import TakeUp, at_once
from target.flush import Flush
from target.holds import HELD, Hold, Holds
from target.spoilers import SPOILERS, GoneAfterLogoutRequest, Luns, SpoiledLuns

__all__ = [
    "PLACE_KEYS",
    "ArrayFault",
    "FaultError",
    "FaultName",
    "Faults",
    "GoneAfterLogoutRequest",
    "Luns",
    "SpoiledLuns",
    "parse_sense",
]


class Faults:
    """The faults of one array that are on, in the order they were switched on.

    ``take_up`` has time for what slow commands wait for; see `target.chores`.
    """

    __slots__ = ("_gates", "_left", "_on", "take_up")

    def __init__(self) -> None:
        self.take_up: TakeUp = at_once
        self._on: dict[ArrayFault, None] = {}
        self._gates: dict[ArrayFault, Flush] = {}  # of those that hold commands until they are over
        self._left: dict[ArrayFault, int] = {}  # of those with a count: how many commands have yet to meet them

    def on(self, fault: ArrayFault) -> None:
        """Switch a fault on; one that is on stays on, and begins to count anew."""
        self._on[fault] = None
        if fault.name in HELD and fault.extra_ns is None:
            self._gates.setdefault(fault, Flush())
        if fault.count is not None:
            self._left[fault] = fault.count

    def meets(self, fault: ArrayFault) -> bool:
        """Whether a command meets the fault, which counts it."""
        left = self._left.get(fault)
        if left is None:
            return True
        self._left[fault] = max(0, left - 1)
        return left > 0

    def off(self, fault: ArrayFault) -> None:
        """Switch a fault off; what it held is executed before this returns. FaultError when that fault is not on."""
        if fault not in self._on:
            raise FaultError(f"{fault.name.value} ({fault.place}) is not on")
        del self._on[fault]
        self._left.pop(fault, None)
        gate = self._gates.pop(fault, None)
        if gate is not None:
            gate.end(None)

    def named(self, name: FaultName) -> list[ArrayFault]:
        """The faults of this name that are on."""
        return [fault for fault in self._on if fault.name is name]

    def all(self) -> list[ArrayFault]:
        """Every fault that is on."""
        return list(self._on)

    def silences(self, portal: str) -> bool:
        """True while this portal's connections get no answers."""
        return any(fault.portal == portal for fault in self.named(FaultName.SILENT))

    def refuses_login(self, portal: str, volume: str | None) -> bool:
        """True while logins there are answered service unavailable."""
        return any(fault.strikes(portal, volume) for fault in self.named(FaultName.NO_LOGIN))

    def has_no_room(self, portal: str, volume: str | None) -> bool:
        """True while logins there are answered out of resources."""
        return any(fault.strikes(portal, volume) for fault in self.named(FaultName.OUT_OF_RESOURCES))

    def redirects_to(self, volume: str) -> str | None:
        """The dead address the group redirects to; None while it redirects properly."""
        for fault in self.named(FaultName.REDIRECT_TO_DEAD):
            if fault.volume in (None, volume):
                return fault.to
        return None

    def over(self, luns: Luns, portal: str, volume: str) -> Luns:
        """What the tasks of a session find: its logical units, or faults in front of them."""
        here = [fault for fault in self._on if fault.strikes(portal, volume)]
        spoilers = [SPOILERS[fault.name](fault, self.meets) for fault in here if fault.name in SPOILERS]
        held = any(fault.name in HELD for fault in here)  # each command has to be looked at then, too
        return SpoiledLuns(luns, spoilers) if spoilers or held else luns

    def holds(self, portal: str, volume: str) -> Holds | None:
        """What the commands of a session wait for before its units see them; None when no such fault is on."""
        held = [
            Hold(fault, self._gates.get(fault))
            for fault in self._on
            if fault.name in HELD and fault.strikes(portal, volume)
        ]
        return Holds(held, self.meets, self.take_up) if held else None
