"""Scenario faults in the simulated world: which of `sim.faults` each kind is, and what the array notices of it.

The array watches its own interfaces: it sees a lost carrier at once, stops redirecting logins there, and moves the
group address to another interface. It does not see a blackhole or a slow link.

Faults may overlap at one place, and heal in any order: what several of them break is whole when the last is healed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from harness.fault_step import Fault
from harness.world import ArraysOwn, WorldFault
from sim import faults
from sim.net.impairment import Direction
from sim.net.nic import Nic

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


class RateFault:
    """An interface negotiates another rate. Of several the last one holds; without any it has its own again."""

    def __init__(self, nic: Nic, standing: list[RateFault], rate_bits_per_s: int) -> None:
        self._nic = nic
        self._standing = standing
        self._rate_bits_per_s = rate_bits_per_s
        self._fault: faults.Rate | None = None

    async def apply(self) -> None:
        for other in self._standing:
            other._let_go()
        self._standing.append(self)
        self._hold()

    async def heal(self) -> None:
        self._let_go()
        self._standing.remove(self)
        if self._standing:
            self._standing[-1]._hold()

    def _hold(self) -> None:
        if self._fault is None:
            self._fault = faults.Rate(self._nic, self._rate_bits_per_s)
            self._fault.apply()

    def _let_go(self) -> None:
        if self._fault is not None:
            self._fault.heal()
            self._fault = None


class _ArrayKill:
    """The array's process is killed and later started again; its disks stay."""

    def __init__(self, world: SimWorld) -> None:
        self._world = world
        self._fault = faults.ProcessKill(world.array_host)

    async def apply(self) -> None:
        self._world.site.kill()
        self._fault.apply()

    async def heal(self) -> None:
        self._fault.heal()
        await self._world.site.restart()


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


def make_sim_fault(
    world: SimWorld, fault: Fault, reboot: Callable[[str], None], boot: Callable[[str], None]
) -> WorldFault:
    """The fault of a scenario step, ready to be applied."""
    if fault.array_fault is not None:
        return ArraysOwn(world.site, fault.array_fault)
    if fault.kind == "array_kill":
        return _ArrayKill(world)
    if fault.kind == "host_reboot":
        assert fault.host is not None
        return world.shared(f"host_reboot {fault.host}", _HostReboot(world, fault.host, reboot, boot))
    nic = world.nic(fault.nic) if fault.nic is not None else world.portal_nic(fault.portal or "")
    if fault.kind == "portal_down":
        assert fault.portal is not None
        down = _OnPortal(world, faults.PortalDown(nic, fault.portal), fault.portal)
        return world.shared(f"portal_down {fault.portal}", down)
    if fault.kind == "link_down":
        cable = faults.LinkDown(nic, carrier=not fault.carrier)  # there it says whether the carrier is lost
        noticed = fault.portal is not None and not fault.carrier
        return _OnPortal(world, cable, fault.portal or "") if noticed else _OnNetwork(cable)
    if fault.kind == "rate":
        return RateFault(nic, world.rates.setdefault(nic.label, []), fault.rate_bits_per_s or 0)
    return _OnNetwork(_of_cable(nic, fault))


def _of_cable(nic: Nic, fault: Fault) -> faults.Fault:
    """A fault that frames meet on their way. That its strengths are there the step has seen to."""
    direction = None if fault.direction is None else Direction(fault.direction)
    share, extra_ns = fault.share or 0, fault.extra_ns or 0
    match fault.kind:
        case "blackhole":
            return faults.Blackhole(nic, direction)
        case "latency":
            return faults.Latency(nic, extra_ns)
        case "loss":
            return faults.Loss(nic, share, direction)
        case "reorder":
            return faults.Reorder(nic, share, fault.delay_ns or 0, direction)
        case "jitter":
            return faults.JitterFault(nic, extra_ns)
        case "corrupt":
            return faults.Corrupt(nic, share, direction)
        case "queue_limit":
            return faults.ShortQueue(nic, fault.limit_bytes or 0)
        case "clog":
            return faults.ClogFault(nic, direction)
    raise AssertionError(f"no cable has a fault of kind {fault.kind}")
