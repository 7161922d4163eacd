"""What a run needs of the world it happens in, simulated or real: a loop, a clock, a network, and ways to break it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from harness.array_site import ArraySite
from harness.fault_step import Fault
from initiator_model.connector import Connector
from sim.rng import Stream
from target.faults import ArrayFault

T = TypeVar("T")


class WorldError(Exception):
    """The world cannot do what a step asks for; the message names it."""


@dataclass(frozen=True, slots=True)
class SocketLine:
    """A connection of one host as netstat shows it: ``local`` and ``remote`` are ``ip:port``."""

    local: str
    remote: str
    state: str
    offload: bool


class WorldFault(Protocol):
    """A fault that has been made ready for this world."""

    async def apply(self) -> None:
        """Break it."""

    async def heal(self) -> None:
        """Mend it."""


class Shared:
    """One state that several faults hold: the first breaks it, the last mends it."""

    def __init__(self, fault: WorldFault) -> None:
        self._fault = fault
        self._holders = 0

    async def apply(self) -> None:
        self._holders += 1
        if self._holders == 1:
            await self._fault.apply()

    async def heal(self) -> None:
        self._holders -= 1
        if not self._holders:
            await self._fault.heal()


class ArraysOwn:
    """A fault of the array itself, the same in every world."""

    def __init__(self, site: ArraySite, fault: ArrayFault) -> None:
        self._site = site
        self._fault = fault

    async def apply(self) -> None:
        self._site.fault_on(self._fault)

    async def heal(self) -> None:
        self._site.fault_off(self._fault)


class World(Protocol):
    """One world, for one run."""

    site: ArraySite
    is_simulated: bool
    """Whether time is virtual, so that waiting costs nothing."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop everything runs on."""

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end, on this world's clock; then nothing of it is left running."""

    def now_ns(self) -> int:
        """Nanoseconds since the run began."""

    def stream(self, name: str) -> Stream:
        """The named stream of random numbers of this run."""

    def connector(self, host: str) -> Connector:
        """The network as this host reaches it."""

    def sockets(self, host: str) -> list[SocketLine]:
        """What netstat shows at this host."""

    def make_fault(self, fault: Fault, reboot: Callable[[str], None], boot: Callable[[str], None]) -> WorldFault:
        """Make a fault ready. ``reboot`` and ``boot`` tell the modeled host that its machine goes down and comes back.

        Raises WorldError for a fault that has no meaning here.
        """
