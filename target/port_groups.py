"""Asymmetric logical unit access: through which portals a volume is served, and how well.

The states are a volume's own (all its LUNs share them), so that one controller can be the better way to one volume and
the other one to the next. What a command meets depends on the group of the portal it came in on, whatever the session.

A change is explicit when a host has asked for it by SET TARGET PORT GROUPS, else implicit. When it is done every nexus
is told by unit attention 2Ah/06h, except the one that asked; an implicit change that fails is told by 2Ah/07h.

Source: SPC-4 5.15.2: 5.15.2.4 (states), 5.15.2.5 (transitions), 5.15.2.7 and 5.15.2.8 (who changes them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from iscsi import port_groups as wire
from iscsi.constants import ScsiStatus
from iscsi.port_groups import AccessState, ChangedBy, PortGroup
from iscsi.sense import ASYMMETRIC_ACCESS_CHANGED, IMPLICIT_TRANSITION_FAILED, Sense
from target.access_config import AccessConfig
from target.access_states import REFUSALS, permits
from target.chores import TakeUp, at_once
from target.command import Command, ScsiResult
from target.decisions import Decision, Kind, about_array
from target.delay import Delay
from target.flush import Flush, joined
from target.nexus import Nexus

_RISES_FROM: Final = (AccessState.ACTIVE_NON_OPTIMIZED, AccessState.STANDBY)
"""From which states the array makes a group optimized by itself, the best first."""

Tell = Callable[[Sense, Nexus | None], None]
"""Owe a unit attention to every nexus of the volume's units, but one."""


class TransitionFailed(Exception):
    """No state was changed: a group cannot become active while all of its portals are down."""


@dataclass(slots=True, eq=False)
class _Group:
    number: int
    ports: tuple[int, ...]
    preferred: bool
    state: AccessState
    goal: AccessState
    """Where a transition that is under way leads; else the state."""
    changed_by: ChangedBy = ChangedBy.NOTHING
    way: Delay | None = None
    """The transition under way."""


class PortGroups:
    """The groups of one volume. ``portals`` are the array's addresses in the order of their relative ports.

    Set by whoever it is part of: ``tell``, ``on_decision``, and ``take_up``, who has the clock.
    """

    __slots__ = ("_by_port", "_down", "_groups", "_latency_ns", "_volume", "config", "on_decision", "take_up", "tell")

    def __init__(self, config: AccessConfig, portals: tuple[str, ...], volume: str) -> None:
        self.config = config
        self.tell: Tell = _tell_nobody
        self.on_decision: Callable[[Decision], None] = _unheard
        self.take_up: TakeUp = at_once
        self._volume = volume
        self._latency_ns = round(config.non_optimized_latency_s * 1e9)
        self._down: dict[int, None] = {}
        self._groups = {
            group.number: _Group(
                group.number,
                tuple(portals.index(address) + 1 for address in group.portals),
                group.preferred,
                group.state,
                group.state,
            )
            for group in sorted(config.groups, key=lambda group: group.number)
        }
        self._by_port = {port: group for group in self._groups.values() for port in group.ports}

    # -- what a command meets --------------------------------------------------------------------------------------

    def number_of(self, nexus: Nexus) -> int:
        """The group of the portal that ``nexus`` comes through."""
        return self._by_port[nexus.relative_port].number

    def condition(self, nexus: Nexus) -> Sense | None:
        """Why commands for the medium are refused there; None where they are served."""
        return REFUSALS.get(self._by_port[nexus.relative_port].state)

    def refuses(self, command: Command, nexus: Nexus) -> Sense | None:
        """Why this command is refused there; None when it is served."""
        state = self._by_port[nexus.relative_port].state
        return None if permits(state, command) else REFUSALS[state]

    def serves_at_once(self, nexus: Nexus) -> bool:
        """Whether commands for the medium are served there without an extra delay."""
        state = self._by_port[nexus.relative_port].state
        return state is AccessState.ACTIVE_OPTIMIZED or (state.active and not self._latency_ns)

    def slowed(self, result: ScsiResult, nexus: Nexus) -> ScsiResult:
        """The end of a command for the medium, later where the way is not optimized."""
        if self.serves_at_once(nexus) or result.status is not ScsiStatus.GOOD:
            return result
        delay = Delay(self._latency_ns)
        self.take_up(delay)
        if delay.due_ns is None:
            return result
        return result._replace(pending=joined([each for each in (result.pending, delay.over) if each is not None]))

    # -- what is told ----------------------------------------------------------------------------------------------

    def described(self) -> tuple[PortGroup, ...]:
        """Every group as REPORT TARGET PORT GROUPS tells it, by number."""
        return tuple(
            PortGroup(group.number, group.state, group.ports, group.preferred, group.changed_by)
            for group in self._groups.values()
        )

    def report(self, *, extended: bool) -> bytes:
        """The data of REPORT TARGET PORT GROUPS."""
        whole_seconds = int(-(-self.config.transition_s // 1))
        return wire.build_port_groups(self.described(), transition_s=whole_seconds if extended else None)

    @property
    def in_transition(self) -> bool:
        """True while a change of this volume's groups takes its time."""
        return any(group.way is not None for group in self._groups.values())

    def __contains__(self, number: int) -> bool:
        return number in self._groups

    # -- changes ---------------------------------------------------------------------------------------------------

    def set_by_host(self, wanted: Mapping[int, AccessState], nexus: Nexus) -> Flush | None:
        """SET TARGET PORT GROUPS over ``nexus``; what to wait for, None when it is done. TransitionFailed.

        A host names the group it wants optimized and no other (Linux and Windows do), so the one that was gives way.
        """
        rising = [
            self._groups[number]
            for number, state in wanted.items()
            if state is AccessState.ACTIVE_OPTIMIZED and self._groups[number].goal is not state
        ]
        ousted = self._ousted_by(rising[0]) if rising else {}
        reason = f"asked for by {nexus.initiator_port.partition(',i,')[0]}"
        return self._change({**ousted, **wanted}, reason, ChangedBy.SET_TARGET_PORT_GROUPS, nexus)[1]

    def set_by_array(self, wanted: Mapping[int, AccessState], reason: str) -> list[Decision]:
        """An implicit change: of these groups, to these states. TransitionFailed, which every nexus is told."""
        try:
            return self._change(wanted, reason, ChangedBy.IMPLICIT, None)[0]
        except TransitionFailed:
            self.tell(IMPLICIT_TRANSITION_FAILED, None)
            raise

    def set_port(self, port: int, up: bool) -> None:
        """A portal went down or came back. With ``failover`` another group takes over from one that is cut off."""
        if up:
            self._down.pop(port, None)
        else:
            self._down[port] = None
        optimized = [group for group in self._groups.values() if group.goal is AccessState.ACTIVE_OPTIMIZED]
        if not self.config.failover or not optimized or any(self._is_up(group) for group in optimized):
            return
        able = [group for group in self._groups.values() if group.goal in _RISES_FROM and self._is_up(group)]
        if able:
            best = min(able, key=lambda group: (_RISES_FROM.index(group.goal), not group.preferred))
            reason = f"every portal of port group {optimized[0].number} is down"
            self.set_by_array({**self._ousted_by(best), best.number: AccessState.ACTIVE_OPTIMIZED}, reason)
        elif not up:
            self.tell(IMPLICIT_TRANSITION_FAILED, None)
            self._decide("no port group can take over", f"port group {optimized[0].number} has lost its last portal")

    def _is_up(self, group: _Group) -> bool:
        return any(port not in self._down for port in group.ports)

    def _ousted_by(self, rising: _Group) -> dict[int, AccessState]:
        """The groups that are optimized now, with the state the rising one leaves: they change places."""
        left = AccessState.ACTIVE_NON_OPTIMIZED if rising.goal.active else AccessState.STANDBY
        return {group.number: left for group in self._groups.values() if group.goal is AccessState.ACTIVE_OPTIMIZED}

    def _change(
        self, wanted: Mapping[int, AccessState], reason: str, by: ChangedBy, but: Nexus | None
    ) -> tuple[list[Decision], Flush | None]:
        changing = [(self._groups[number], state) for number, state in wanted.items()]
        changing = [(group, state) for group, state in changing if group.goal is not state]
        for group, state in changing:
            if state.active and state < group.goal and not self._is_up(group):
                raise TransitionFailed(f"every portal of port group {group.number} is down")
        if not changing:
            return [], None
        way, decisions = Delay(round(self.config.transition_s * 1e9)), []
        for group, state in changing:
            group.goal, group.way = state, way
            if self.config.transition_s:
                before, group.state = group.state, AccessState.TRANSITIONING
                words = f"port group {group.number} is transitioning from {before.words} to {state.words}"
                decisions.append(self._decide(words, reason))
        if not self.config.transition_s:
            return self._arrive(way, reason, by, but), None

        def arrive(_: OSError | None) -> None:
            self._arrive(way, "the transition is over", by, but)

        way.over.on_done(arrive)
        self.take_up(way)
        return decisions, None if way.due_ns is None else way.over

    def _arrive(self, way: Delay, reason: str, by: ChangedBy, but: Nexus | None) -> list[Decision]:
        """A change is done; groups that were sent elsewhere meanwhile are another change's."""
        decisions = []
        for group in self._groups.values():
            if group.way is way:
                group.state, group.way, group.changed_by = group.goal, None, by
                decisions.append(self._decide(f"port group {group.number} is {group.state.words}", reason))
        if decisions:
            self.tell(ASYMMETRIC_ACCESS_CHANGED, but)
        return decisions

    def _decide(self, words: str, reason: str) -> Decision:
        decision = about_array(Kind.ACCESS, "", f"volume {self._volume}: {words}", reason)
        self.on_decision(decision)
        return decision


def _tell_nobody(condition: Sense, but: Nexus | None) -> None:
    """No unit is behind the groups yet."""


def _unheard(decision: Decision) -> None:
    """Nobody listens to what is decided."""
