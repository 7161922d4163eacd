"""Scenario faults in the simulated world: which of `sim.faults` each kind is, and what the array notices of it.

The array watches its own interfaces: it sees a lost carrier at once, stops redirecting logins there, and moves the
group address to another interface. It does not see a blackhole or a slow link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from harness.steps import Fault
from harness.world import Mischief
from sim import faults

if TYPE_CHECKING:
    from harness.sim_world import SimWorld


class Reversible(Protocol):
    """A fault of `sim.faults`."""

    def apply(self) -> None: ...

    def heal(self) -> None: ...


class _OnNetwork:
    """A fault that only the network knows of."""

    def __init__(self, fault: Reversible) -> None:
        self._fault = fault

    async def apply(self) -> None:
        self._fault.apply()

    async def heal(self) -> None:
        self._fault.heal()


class _OnPortal:
    """A fault that takes one of the array's interfaces away, which the array notices."""

    def __init__(self, world: SimWorld, fault: Reversible, address: str) -> None:
        self._world = world
        self._fault = fault
        self._address = address

    async def apply(self) -> None:
        self._fault.apply()
        self._world.place_group_address()
        await self._world.site.portal_down(self._address)

    async def heal(self) -> None:
        self._fault.heal()
        self._world.place_group_address()
        await self._world.site.portal_up(self._address)


class _ArrayKill:
    """The array's process is killed and later started again; its disks stay."""

    def __init__(self, world: SimWorld) -> None:
        self._world = world
        self._fault = faults.ProcessKill(world.array_host)

    async def apply(self) -> None:
        self._world.site.forget_process()
        self._fault.apply()

    async def heal(self) -> None:
        self._fault.heal()
        await self._world.site.start()


class _HostReboot:
    """A host loses power and boots again."""

    def __init__(self, world: SimWorld, host: str, reboot: Callable[[str], None], boot: Callable[[str], None]) -> None:
        self._host = host
        self._reboot = reboot
        self._boot = boot
        self._fault = faults.HostReboot(world.host(host))

    async def apply(self) -> None:
        self._fault.apply()  # first the machine, so that nothing the initiator does then reaches the wire
        self._reboot(self._host)

    async def heal(self) -> None:
        self._fault.heal()
        self._boot(self._host)


def make_mischief(
    world: SimWorld, fault: Fault, reboot: Callable[[str], None], boot: Callable[[str], None]
) -> Mischief:
    """The fault of a scenario step, ready to be applied."""
    if fault.kind == "array_kill":
        return _ArrayKill(world)
    if fault.kind == "host_reboot":
        assert fault.host is not None
        return _HostReboot(world, fault.host, reboot, boot)
    nic = world.nic(fault.nic) if fault.nic is not None else world.portal_nic(fault.portal or "")
    if fault.kind == "portal_down":
        assert fault.portal is not None
        return _OnPortal(world, faults.PortalDown(nic, fault.portal), fault.portal)
    if fault.kind == "link_down":
        down = faults.LinkDown(nic, carrier=not fault.carrier)  # there it says whether the carrier is lost
        noticed = fault.portal is not None and not fault.carrier
        return _OnPortal(world, down, fault.portal or "") if noticed else _OnNetwork(down)
    if fault.kind == "blackhole":
        return _OnNetwork(faults.Blackhole(nic))
    if fault.kind == "latency":
        return _OnNetwork(faults.Latency(nic, fault.extra_ns or 0))
    return _OnNetwork(faults.Rate(nic, fault.rate_bits_per_s or 0))
