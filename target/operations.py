"""The operator's desk: what a person (or `mpiolab ctl`) does to a running array.

Each operation says what it decided, in `Decision`s that were also told to `Group.on_decision`. What cannot be done
raises `OperationError` in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Final

from iscsi.port_groups import AccessState
from target.access_config import STATES
from target.decisions import BY_OPERATOR, Decision, Kind, about_array
from target.faults import ArrayFault, FaultError, FaultName
from target.group import Volume
from target.holds import HELD
from target.port_groups import TransitionFailed
from target.rebalancing import Rebalancing
from target.server import ArrayProtocol, ArrayServer
from target.store import CannotGrow

FAILOVER_GAP_S: Final = 27.0
"""Measured at a firmware cut-over of a PS6000: 26,969 ms (FACTS C.4)."""


MAX_GAP_S: Final = 3600.0


class OperationError(ValueError):
    """The array cannot do that; the text says why and names what was given."""


class FailoverManner(Enum):
    """What the sessions see of their controller when it goes."""

    RST = "rst"
    """Every connection is reset."""
    FIN = "fin"
    """Every connection is closed in order."""
    SILENT = "silent"
    """Nothing is said any more; what is sent to the other controller later is answered with a reset."""


def _fault_name(name: str) -> FaultName:
    try:
        return FaultName(name)
    except ValueError:
        known = ", ".join(fault.value for fault in FaultName)
        raise OperationError(f"there is no fault {name!r}: {known}") from None


def _no_switch(up: bool) -> None:
    """On a real network nobody can darken the interfaces from here."""


_END: Final = {
    FailoverManner.RST: ArrayProtocol.drop,
    FailoverManner.FIN: ArrayProtocol.finish,
    FailoverManner.SILENT: ArrayProtocol.hang,
}


class Operations:
    """Operates one server. `start` begins the regular balancing; the rest is done on demand, until `stop`.

    ``power`` is told when a failover takes the interfaces out (False) and when they are back (True); a simulated
    world makes them dark meanwhile.
    """

    def __init__(self, server: ArrayServer, power: Callable[[bool], None] | None = None) -> None:
        self.server = server
        self.group = server.group
        self._power = power or _no_switch
        self._rebalancing = Rebalancing(server)
        self._failing_over = False
        self._stopped = False

    def start(self) -> None:
        """Begin the regular looks of the balancer, if the configuration wants any."""
        self._rebalancing.start()

    def stop(self) -> None:
        """The server is about to go: nothing is done of itself any more, and no failover that is under way ends."""
        self._stopped = True
        self._rebalancing.stop()

    # -- portals ---------------------------------------------------------------------------------------------------

    async def portal_down(self, address: str, reason: str = BY_OPERATOR) -> Decision:
        """An interface fails: its address is gone, its connections break."""
        self._check_portal(address)
        decision = self._tell(about_array(Kind.PORTAL, address, "down", reason))
        await self.server.portal_down(address)
        return decision

    async def portal_up(self, address: str, reason: str = BY_OPERATOR) -> Decision:
        """It is back; during a controller failover, when that is over. OperationError: its address cannot be had."""
        self._check_portal(address)
        try:
            if self._failing_over:
                self.group.set_portal(address, True)
            else:
                await self.server.portal_up(address)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OperationError(f"portal {address} cannot come up: {reason}") from error
        return self._tell(about_array(Kind.PORTAL, address, "up", reason))

    def drain(self, address: str, within_s: int | None = None) -> list[Decision]:
        """No login is placed at this portal any more, and every connection there is asked to log out.

        ``within_s``: what the initiators are given, 1 to 65535; None: the configured `logout_request_s`. The portal
        listens on. Raises OperationError for the last portal that takes logins.
        """
        self._check_portal(address)
        seconds = self._seconds(within_s)
        others = [p.address for p in self.group.config.portals if p.address != address]
        if not any(self.group.takes_logins(other) for other in others):
            raise OperationError(f"{address} is the last portal that takes logins: its connections could go nowhere")
        self.group.set_drained(address, True)
        decisions = [self._tell(about_array(Kind.PORTAL, address, "drained", BY_OPERATOR))]
        for protocol in self.server.connections():
            if protocol.local == address:
                decisions += self._rebalancing.ask(protocol, seconds, None, f"{address} is drained")
        return decisions

    def undrain(self, address: str) -> Decision:
        """Logins are placed at this portal again. Nothing moves by itself: that is the balancer's."""
        self._check_portal(address)
        self.group.set_drained(address, False)
        return self._tell(about_array(Kind.PORTAL, address, "takes logins again", BY_OPERATOR))

    # -- connections -----------------------------------------------------------------------------------------------

    def rebalance(self, within_s: int | None = None) -> list[Decision]:
        """Let the balancer look now; its moves, and last why there are none or no more of them."""
        return self._rebalancing.rebalance(self._seconds(within_s))

    def request_logout(self, number: int, within_s: int | None = None) -> Decision:
        """Ask the connection with this number (`ArrayProtocol.number`) to log out.

        Its next login is placed elsewhere if there is an elsewhere. Raises OperationError for a number that is not
        there or has no session.
        """
        protocol = self._connection(number)
        seconds = self._seconds(within_s)
        session = protocol.session
        if session is None or session.discovery:
            raise OperationError(f"connection {number} is not a path: it has no session to a volume")
        (decision,) = self._rebalancing.ask(protocol, seconds, None, BY_OPERATOR)
        return decision

    def drop(self, number: int, how: FailoverManner) -> Decision:
        """End the connection with this number, without a logout. Raises OperationError for one that is not there."""
        protocol = self._connection(number)
        session = protocol.session
        initiator = "" if session is None else session.identity.initiator_name
        _END[how](protocol)
        why = f"connection of {initiator or 'nobody yet'} from {protocol.source}: {BY_OPERATOR}"
        return self._tell(about_array(Kind.FAULT, protocol.local, f"connection ended by {how.value}", why))

    def paths(self, initiator: str, source: str | None = None, target: str | None = None) -> list[int]:
        """The numbers of an initiator's connections to volumes: all, or those from one address or to one target."""
        found = []
        for protocol in self.server.connections():
            session = protocol.session
            if session is None or session.discovery or session.identity.initiator_name != initiator.lower():
                continue
            if source in (None, protocol.source) and (target or "").lower() in ("", session.identity.target_name):
                found.append(protocol.number)
        return found

    # -- controllers -----------------------------------------------------------------------------------------------

    async def controller_failover(
        self, gap_s: float = FAILOVER_GAP_S, how: FailoverManner = FailoverManner.RST
    ) -> list[Decision]:
        """The active controller is lost and the other one takes over; returns when that one serves, after ``gap_s``.

        Every session dies in the given manner. Nothing listens during the gap. Each address moves to the same-numbered
        port of the other controller, which knows the disks and their persistent reservations, but no session: the first
        command of each nexus finds unit attention 29h/00h.
        """
        if self._failing_over:
            raise OperationError("a controller failover is under way")
        if not 0 <= gap_s <= MAX_GAP_S:
            raise OperationError(f"the gap of a controller failover is 0 to {MAX_GAP_S:g} s, not {gap_s:g}")
        self._failing_over = True
        try:
            why = f"sessions end by {how.value}, the other controller serves in {gap_s:g} s"
            decisions = [self._tell(about_array(Kind.FAILOVER, "", "controller lost", why))]
            self.server.stop_listening()
            for protocol in self.server.connections():
                _END[how](protocol)
            self._power(False)
            await asyncio.sleep(gap_s)
            if self._stopped:
                return decisions
            self._power(True)
            for protocol in self.server.connections():
                protocol.drop()
            self.group.taken_over()
            self._rebalancing.start_over()
            await self._listen_again()
        finally:
            self._failing_over = False
        return [*decisions, self._tell(about_array(Kind.FAILOVER, "", "controller took over", "its addresses are up"))]

    async def _listen_again(self) -> None:
        for address in self.group.config.addresses:
            if not self.group.portal_is_up(address):
                continue
            try:
                await self.server.listen(address)
            except OSError as error:
                reason = error.strerror or str(error)
                raise OperationError(f"the other controller cannot listen at {address}: {reason}") from error

    # -- volumes ---------------------------------------------------------------------------------------------------

    def resize(self, volume: str, size_bytes: int, lun: int = 0) -> Decision:
        """A volume (by its name) becomes larger, which its hosts are told by unit attention 2Ah/09h.

        Before the array starts anew its configuration has to name the new size. Raises OperationError.
        """
        named = [running for running in self.group.volumes.values() if running.config.name == volume]
        unit = named[0].luns.get(lun) if named else None
        if unit is None:
            raise OperationError(f"there is no volume {volume} with a LUN {lun}")
        try:
            unit.disk.grow(size_bytes)
        except OSError as error:
            raise OperationError(f"volume {volume} cannot grow: {error.strerror}") from error
        except (ValueError, CannotGrow) as error:
            raise OperationError(f"volume {volume} cannot grow: {error}") from None
        return self._tell(about_array(Kind.VOLUME, "", f"volume {volume}, LUN {lun}: {size_bytes} bytes", BY_OPERATOR))

    def access_state(self, number: int, state: AccessState, volume: str | None = None) -> list[Decision]:
        """A target port group gives another access to a volume (by its name), or to all: an implicit change.

        Raises OperationError where the array has no such group, or its hosts alone may change it, or the group's
        portals are down; the volumes named before one that cannot change have changed.
        """
        access = self.group.config.access
        if access is None:
            raise OperationError("the array has no target port groups")
        if not access.implicit:
            raise OperationError("the states of this array's port groups are changed by hosts alone (implicit = false)")
        numbers = [str(group.number) for group in access.groups]
        if str(number) not in numbers:
            raise OperationError(f"there is no port group {number}: {', '.join(numbers)}")
        if state not in STATES:
            raise OperationError(f"a port group cannot be {state.words} here")
        decisions: list[Decision] = []
        for running in self._volumes(volume):
            groups = running.luns.port_groups
            assert groups is not None, "an array with port groups has them for every volume"
            try:
                decisions += groups.set_by_array({number: state}, BY_OPERATOR)
            except TransitionFailed as error:
                raise OperationError(str(error)) from None
        return decisions

    def _volumes(self, name: str | None) -> list[Volume]:
        """The volume of this name, or all. OperationError when there is none."""
        volumes = list(self.group.volumes.values())
        named = [running for running in volumes if name in (None, running.config.name)]
        if not named:
            known = ", ".join(running.config.name for running in volumes)
            raise OperationError(f"there is no volume {name}: {known}")
        return named

    # -- faults ----------------------------------------------------------------------------------------------------

    def fault_on(
        self,
        name: str,
        *,
        portal: str | None = None,
        volume: str | None = None,
        lba: int | None = None,
        blocks: int | None = None,
        to: str | None = None,
        sense: str | None = None,
        count: int | None = None,
        op: str | None = None,
        extra_ns: int | None = None,
    ) -> Decision:
        """Switch one of the faults of `target.faults` on, by its name there, at a place.

        Raises OperationError for a name, a portal or a volume that is not there, or a place the fault cannot have.
        """
        return self.begin(self._fault(name, portal, volume, lba, blocks, to, sense, count, op, extra_ns))

    def fault_off(
        self,
        name: str,
        *,
        portal: str | None = None,
        volume: str | None = None,
        lba: int | None = None,
        blocks: int | None = None,
        to: str | None = None,
        sense: str | None = None,
        count: int | None = None,
        op: str | None = None,
        extra_ns: int | None = None,
    ) -> list[Decision]:
        """Switch off the fault with this name and place; without a place every fault of the name.

        Raises OperationError when there is none.
        """
        if all(part is None for part in (portal, volume, lba, blocks, to, sense, count, op, extra_ns)):
            faults = self.group.faults.named(_fault_name(name))
            if not faults:
                raise OperationError(f"{name} is not on")
        else:
            faults = [self._fault(name, portal, volume, lba, blocks, to, sense, count, op, extra_ns)]
        return [self.end(fault) for fault in faults]

    def begin(self, fault: ArrayFault) -> Decision:
        """Switch a fault on."""
        self.group.faults.on(fault)
        return self._spread(fault, "on")

    def end(self, fault: ArrayFault) -> Decision:
        """Switch a fault off. Raises OperationError when that very fault is not on."""
        try:
            executed = self.group.lift(fault)
        except FaultError as error:
            raise OperationError(str(error)) from None
        return self._spread(fault, f"off, {executed} held executed" if fault.name in HELD else "off")

    def faults(self) -> list[ArrayFault]:
        """The faults that are on."""
        return self.group.faults.all()

    def _fault(
        self,
        name: str,
        portal: str | None,
        volume: str | None,
        lba: int | None,
        blocks: int | None,
        to: str | None,
        sense: str | None,
        count: int | None,
        op: str | None,
        extra_ns: int | None,
    ) -> ArrayFault:
        addresses = self.group.config.addresses
        if portal is not None and portal not in addresses:
            raise OperationError(f"{portal} is not an address of the array: {', '.join(addresses)}")
        volumes = [one.name for one in self.group.config.volumes]
        if volume is not None and volume not in volumes:
            raise OperationError(f"there is no volume {volume}: {', '.join(volumes)}")
        try:
            return ArrayFault(_fault_name(name), portal, volume, lba, blocks, to, sense, count, op, extra_ns)
        except FaultError as error:
            raise OperationError(str(error)) from None

    def _spread(self, fault: ArrayFault, how: str) -> Decision:
        decision = self._tell(
            about_array(Kind.FAULT, fault.portal or "", f"fault {fault.name.value} {how}", fault.place)
        )
        self.group.spread_faults()
        for protocol in self.server.connections():
            if self.group.faults.silences(protocol.local):
                protocol.hang()
            elif not self._failing_over:
                protocol.unhang()
        return decision

    # -- inside ----------------------------------------------------------------------------------------------------

    def _connection(self, number: int) -> ArrayProtocol:
        for protocol in self.server.connections():
            if protocol.number == number:
                return protocol
        raise OperationError(f"there is no connection {number}")

    def _check_portal(self, address: str) -> None:
        portals = [portal.address for portal in self.group.config.portals]
        if address not in portals:
            raise OperationError(f"{address} is not a portal of {self.group.config.name}: {', '.join(portals)}")

    def _seconds(self, within_s: int | None) -> int:
        seconds = self.group.config.balancing.logout_request_s if within_s is None else within_s
        if not 1 <= seconds <= 0xFFFF:
            raise OperationError(f"an initiator is given 1 to 65535 s to log out, not {seconds}")
        return seconds

    def _tell(self, decision: Decision) -> Decision:
        self.group.decide(decision)
        return decision
