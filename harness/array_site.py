"""The array of a run as a thing that lives on: its disks outlast the process that serves them.

A killed array process loses its sessions, redirect tickets and unit attentions; what was written stays, and so do
persistent reservations that were to survive a loss of power. `restart` makes a new process over the old disks. Faults
may overlap: a portal is up when nothing holds it down any more, and the process runs when nobody keeps it dead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.array import lun_map
from target.config import GroupConfig
from target.decisions import Decision
from target.faults import ArrayFault
from target.group import Group, Volume
from target.operations import OperationError, Operations
from target.reservation_memory import KeptRecord, ReservationMemory
from target.server import ArrayServer
from target.store import BlockStore, MemoryStore


class ArraySite:
    """The stores, and the process that serves them now (None while it is dead)."""

    def __init__(
        self,
        config: GroupConfig,
        random_bytes: Callable[[int], bytes],
        on_decision: Callable[[Decision], None],
        log: Callable[[str], None],
        make_store: Callable[[str, int, int], MemoryStore] = lambda volume, lun, size_bytes: MemoryStore(size_bytes),
    ) -> None:
        self.config = config
        self.server: ArrayServer | None = None
        self.power: Callable[[bool], None] | None = None
        """The world's switch for the array's interfaces, thrown by a controller failover."""
        self._operations: Operations | None = None
        self._random_bytes = random_bytes
        self._on_decision = on_decision
        self._log = log
        self._stores: dict[str, dict[int, BlockStore]] = {
            volume.iqn.lower(): {lun.number: make_store(volume.name, lun.number, lun.size_bytes) for lun in volume.luns}
            for volume in config.volumes
        }
        self._memories: dict[str, dict[int, ReservationMemory]] = {
            volume.iqn.lower(): {lun.number: KeptRecord() for lun in volume.luns} for volume in config.volumes
        }
        self._portals_down: list[str] = []
        self._faults: list[ArrayFault] = []
        self._killed = 0

    async def start(self) -> None:
        """Start the process and listen on every address that is up. Raises OSError when one cannot be had."""
        volumes = {}
        for volume in self.config.volumes:
            name = volume.iqn.lower()
            luns = lun_map(self.config, volume, self._stores[name], self._memories[name])
            volumes[name] = Volume(volume, luns)
        group = Group(self.config, volumes, self._on_decision)
        self.server = ArrayServer(group, self._random_bytes, lambda ended: self._log(ended.words))
        self._operations = Operations(self.server, self.power)
        for address in self._portals_down:
            group.set_portal(address, False)
        for fault in self._faults:
            group.faults.on(fault)
        for address in self.config.addresses:
            if address not in self._portals_down:
                await self._listen(self.server, address)
        self._operations.start()

    @property
    def operations(self) -> Operations:
        """The desk of the running array. Raises OperationError while the process is dead."""
        if self._operations is None:
            raise OperationError("the array's process is not running")
        return self._operations

    def medium(self, volume: str, offset: int, length: int) -> bytes:
        """What stands on the medium of a volume's LUN 0, below everything that serves it."""
        iqn = next(one.iqn for one in self.config.volumes if one.name == volume)
        return self._stores[iqn.lower()][0].read(offset, length)

    def swap(self, one: str, other: str) -> None:
        """Two volumes exchange their target names, from the next start of the process on.

        A volume keeps what it stores and the identity it shows; whoever logs in by a name finds the other volume.
        """
        iqns = {volume.name: volume.iqn for volume in self.config.volumes}
        swapped = {one: iqns[other], other: iqns[one]}
        volumes = tuple(replace(volume, iqn=swapped.get(volume.name, volume.iqn)) for volume in self.config.volumes)
        self.config = replace(self.config, volumes=volumes)
        here, there = iqns[one].lower(), iqns[other].lower()
        self._stores[here], self._stores[there] = self._stores[there], self._stores[here]
        self._memories[here], self._memories[there] = self._memories[there], self._memories[here]

    async def _listen(self, server: ArrayServer, address: str) -> None:
        try:
            await server.listen(address)
        except OSError as error:
            self.close()
            reason = error.strerror or str(error)
            raise OSError(error.errno, f"the array cannot listen at {address}:{self.config.port}: {reason}") from error

    def break_off(self) -> None:
        """Break every connection and stop listening: what the operating system does for a process that has died."""
        self._stop_operating()
        if self.server is not None:
            self.server.close()

    def kill(self) -> None:
        """The process dies, and nothing of it runs on. Its network side is the world's to break."""
        self._killed += 1
        self._stop_operating()
        if self.server is not None:
            self.server.vanish()
            self.server = None

    async def restart(self) -> None:
        """Undo one `kill`; after the last one there is a new process over the old disks."""
        self._killed -= 1
        if not self._killed:
            await self.start()

    async def portal_down(self, address: str) -> None:
        """The array notices that one of its interfaces is gone."""
        self._portals_down.append(address)
        if self._operations is not None:
            await self._operations.portal_down(address, "the array sees its interface fail")

    async def portal_up(self, address: str) -> None:
        """Undo one `portal_down`; after the last one the interface is back."""
        self._portals_down.remove(address)
        if self._operations is not None and address not in self._portals_down:
            await self._operations.portal_up(address, "its interface is back")

    def fault_on(self, fault: ArrayFault) -> None:
        """One of the array's own faults begins; it outlasts the process."""
        self._faults.append(fault)
        if self._operations is not None:
            self._operations.begin(fault)

    def fault_off(self, fault: ArrayFault) -> None:
        """Undo one `fault_on`; after the last one it is over."""
        self._faults.remove(fault)
        if self._operations is not None and fault not in self._faults:
            self._operations.end(fault)

    def close(self) -> None:
        """The run is over."""
        self.break_off()
        self.server = None

    def _stop_operating(self) -> None:
        if self._operations is not None:
            self._operations.stop()
            self._operations = None
