"""The array as a whole: which portals are up, who is logged in where, and what a login is answered.

Pure state: no clock, no sockets. `target.arrival` is the gate for one TCP connection: it admits the login, sends it to
a portal, or refuses it. Every decision is told to ``on_decision`` with its reason.

A login that was redirected and has not arrived yet counts, too: see `target.tickets`. One that comes because its
connection was asked to move goes where it was asked to go: see `target.moves`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from iscsi.discovery import TargetAddress, TargetRecord
from iscsi.login_gate import LoginIdentity
from target import cleanup
from target.chores import Chore, Chores
from target.config import AccessRule, ArrayKind, GroupConfig, LostTasks, VolumeConfig
from target.decisions import Decision
from target.faults import ArrayFault, Faults, GoneAfterLogoutRequest, Luns, SpoiledLuns
from target.lun import LogicalUnit
from target.lun_map import LunMap
from target.moves import Moves, Note
from target.nexus import Nexus
from target.placement import POLICIES, STICKY, Choice, Placement, PortalLoad
from target.reach import ArrayReach
from target.session import Carrier, Session
from target.sessions import SessionRegistry
from target.states import N, SessionState
from target.tickets import Tickets


@dataclass(slots=True)
class Volume:
    """A volume at work: its configuration and the logical units behind its target name."""

    config: VolumeConfig
    luns: LunMap


@dataclass(slots=True, eq=False)
class Group:
    """See the module's text. ``volumes`` are keyed by target name (IQN) in lower case."""

    config: GroupConfig
    volumes: dict[str, Volume]
    on_decision: Callable[[Decision], None] | None = None
    on_wait: Callable[[int], None] | None = None
    """Hears of a deadline, in nanoseconds, by which `tick` has to be called; `deadline_ns` may know an earlier one."""
    sessions: SessionRegistry = field(init=False)
    moves: Moves = field(init=False, default_factory=Moves)
    faults: Faults = field(init=False, default_factory=Faults)
    _down: dict[str, bool] = field(init=False, default_factory=dict)
    _drained: dict[str, bool] = field(init=False, default_factory=dict)
    _tickets: Tickets = field(init=False)
    _redirects: int = field(init=False, default=0)
    _waiting: dict[int, Session] = field(init=False, default_factory=dict)
    _chores: Chores = field(init=False, default_factory=Chores)

    def __post_init__(self) -> None:
        self.sessions = SessionRegistry(self.config.limits.max_connections)
        self._tickets = Tickets(round(self.config.limits.ticket_lifetime_s * 1e9))
        self.faults.take_up = self._take_up
        reach = ArrayReach(self)

        def adopt(unit: LogicalUnit) -> None:
            unit.disk.copies.reach = reach
            unit.disk.take_up = self._take_up

        for volume in self.volumes.values():
            volume.luns.adopt(adopt)
            if volume.luns.port_groups is not None:
                volume.luns.port_groups.take_up = self._take_up
                volume.luns.port_groups.on_decision = self.decide

    # -- portals ---------------------------------------------------------------------------------------------------

    def set_portal(self, address: str, up: bool) -> None:
        """An interface of the array failed or came back: the redirect avoids it, or uses it again."""
        self._check_portal(address)
        self._down[address] = not up
        for volume in self.volumes.values():
            if volume.luns.port_groups is not None:
                volume.luns.port_groups.set_port(self.config.relative_port(address), up)

    def set_drained(self, address: str, drained: bool) -> None:
        """No login is placed at a drained portal; it listens, and what is there stays until it is asked to leave."""
        self._check_portal(address)
        self._drained[address] = drained

    def portal_is_up(self, address: str) -> bool:
        """False while the interface with this address is down."""
        return not self._down.get(address, False)

    def portal_is_drained(self, address: str) -> bool:
        """True while no login is placed there though it may be up."""
        return self._drained.get(address, False)

    def takes_logins(self, address: str) -> bool:
        """True when logins may be placed at this portal."""
        return self.portal_is_up(address) and not self.portal_is_drained(address)

    def _check_portal(self, address: str) -> None:
        if address not in [portal.address for portal in self.config.portals]:
            raise KeyError(f"{address} is not a portal of {self.config.name}")

    def loads(self, identity: LoginIdentity, now_ns: int, without: str | None = None) -> list[PortalLoad]:
        """The usable portals with their connections, as this login sees them.

        A session that the login would reinstate does not count: it is about to make room. One that was asked to move
        counts where it is going. ``without`` leaves one address out, so that no login is ever redirected to the
        address it arrived on.
        """
        total = {portal.address: 0 for portal in self.config.portals}
        pair = dict(total)
        for session in self.sessions.all():
            same_pair = _is_pair(session.identity, identity)
            same = same_pair and session.identity.isid == identity.isid
            if session.discovery or (same and not identity.tsih):
                continue
            note = self.moves.of(session.identity, now_ns)
            for carrier in session.connections.values():
                address = carrier.portal if note is None or note.destination is None else note.destination
                if address in total:
                    total[address] += 1
                    pair[address] += same_pair
        for address, same_pair in self._tickets.expected(identity, now_ns):
            if address in total:
                total[address] += 1
                pair[address] += same_pair
        return [
            PortalLoad(portal.address, index, total[portal.address], pair[portal.address])
            for index, portal in enumerate(self.config.portals)
            if self.takes_logins(portal.address) and portal.address != without
        ]

    # -- logins ----------------------------------------------------------------------------------------------------

    def volume(self, iqn: str) -> Volume | None:
        """The volume behind a target name; names compare without regard to case (RFC 3722)."""
        return self.volumes.get(iqn.lower())

    def rule(self, volume: Volume, initiator: str, source: str) -> AccessRule | None:
        """The first access rule that lets this initiator in from this address."""
        for rule in volume.config.access:
            if rule.matches(initiator, source):
                return rule
        return None

    def full(self, identity: LoginIdentity) -> str | None:
        """Why this login finds no room (the pool's limit or the volume's), None when it does.

        Whoever has a session of that name already takes its place. One that has failed takes none.
        """
        if identity.tsih or self.sessions.find(identity, self.config.tpgt) is not None:
            return None
        live = [s for s in self.sessions.all() if not s.discovery and s.state is not SessionState.FAILED]
        if len(live) >= self.config.limits.max_sessions:
            return f"the array has {len(live)} sessions, its limit"
        volume = self.volume(identity.target_name or "")
        limit = None if volume is None else volume.config.max_sessions
        own = sum(session.identity.target_name == identity.target_name for session in live)
        if volume is None or limit is None or own < limit:
            return None
        return f"volume {volume.config.name} has {own} sessions, its limit"

    def place(self, identity: LoginIdentity, source: str, now_ns: int, arrived_at: str) -> tuple[str, str] | None:
        """Choose a portal for a login and issue its ticket: (address, reason), or None when no portal is up."""
        volume = self.volume(identity.target_name or "")
        dead = None if volume is None else self.faults.redirects_to(volume.config.name)
        if dead is not None:
            return dead, "fault: redirect to a dead address"
        loads = self.loads(identity, now_ns, without=arrived_at)
        if not loads:
            return None
        asked = Placement(
            identity.initiator_name, identity.target_name or "", source, self._redirects, self.config.fixed_portal
        )
        note = self.moves.claim(identity, source, now_ns, lambda isid: self._lives(identity, isid))
        choice = None if note is None else _moved(note, loads)
        if choice is None:
            candidates = [load for load in loads if note is None or load.address != note.origin]
            stays = self.config.placement in STICKY or not candidates
            choice = POLICIES[self.config.placement](asked, loads if stays else candidates)
        self._redirects += 1
        self._tickets.issue(identity, choice.address, now_ns)
        return choice.address, choice.reason

    def _lives(self, identity: LoginIdentity, isid: bytes) -> bool:
        """Whether the same host and volume have a session with this ISID that has a connection."""
        session = self.sessions.find(replace(identity, isid=isid), self.config.tpgt)
        return session is not None and session.state is not SessionState.FAILED

    def take_ticket(self, identity: LoginIdentity, portal: str, now_ns: int) -> bool:
        """True when this login was redirected to ``portal``; the ticket is used up."""
        return self._tickets.take(identity, portal, now_ns)

    # -- how connections and sessions end --------------------------------------------------------------------------

    def lose(self, session: Session, carrier: Carrier, now_ns: int) -> None:
        """TCP of a connection is gone without a logout."""
        cleanup.lose(session, carrier, now_ns, kill=self._kills(session))
        self._settled(session)

    def _kills(self, session: Session) -> bool:
        """Whether what this session's lost connection leaves behind ends at once."""
        if self.config.lost_tasks is LostTasks.KILL_BESIDE:
            return any(other.connections for other in self._beside(session))
        return self.config.lost_tasks is LostTasks.KILL

    def _beside(self, session: Session) -> list[Session]:
        """The other sessions of the same host to the same volume: its other paths."""
        return [
            other
            for other in self.sessions.all()
            if other is not session and not other.discovery and _is_pair(other.identity, session.identity)
        ]

    def log_out(self, session: Session, cid: int, now_ns: int, *, recover: bool) -> None:
        """A connection was logged out; the last one takes the session with it, unless its tasks may be recovered."""
        cleanup.log_out(session, cid, now_ns, recover=recover)
        cleanup.settle(session, N.N5 if recover else N.N3)
        self._settled(session)

    def reinstate_connection(self, session: Session, cid: int, now_ns: int) -> None:
        """A login takes the place of a connection, which is hereby logged out (6.3.4)."""
        old = session.connections.get(cid)
        cleanup.log_out(session, cid, now_ns, recover=cleanup.recovers(session))
        self._settled(session)
        if old is not None:
            old.abandon("connection reinstatement")

    def end(self, session: Session) -> None:
        """A session is closed: its tasks end, its nexus is lost. Its connections are the caller's to close."""
        if not session.over:
            session.end()
            self._settled(session)

    def _settled(self, session: Session) -> None:
        deadline_ns = session.deadline_ns
        if session.over:
            self._waiting.pop(session.tsih, None)
            if self.sessions.close(session, self.config.tpgt):
                self._lose_nexus(session)
        elif deadline_ns is not None:
            self._waiting[session.tsih] = session
            if self.on_wait is not None:
                self.on_wait(deadline_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When `tick` wants to be called: to clean up after a lost connection or session, or to go on with a chore."""
        deadlines = [self._chores.deadline_ns, *(session.deadline_ns for session in self._waiting.values())]
        return min((each for each in deadlines if each is not None), default=None)

    def tick(self, now_ns: int) -> None:
        """Time has passed: clean up what nobody came back for, go on with what disks have to do."""
        self._chores.tick(now_ns)
        for tsih, session in list(self._waiting.items()):
            cleanup.expire(session, now_ns)
            if session.deadline_ns is None:
                self._waiting.pop(tsih, None)
            self._settled(session)

    def _take_up(self, chore: Chore) -> None:
        self._chores.add(chore)
        if self.on_wait is not None and chore.due_ns is not None:
            self.on_wait(chore.due_ns)

    def taken_over(self) -> None:
        """The other controller begins to serve: it knows the disks and no session, no redirect and no move."""
        for session in self.sessions.all():
            self.end(session)
        self._tickets.clear()
        self.moves.clear()
        for volume in self.volumes.values():
            for unit in volume.luns.units():
                unit.taken_over()

    def _lose_nexus(self, session: Session) -> None:
        for unit in self._units(session):
            unit.nexus_lost(session.nexus)

    def luns(self, volume: Volume, portal: str) -> Luns:
        """What executes the commands of a session at this portal: the volume's units, behind the faults that are on."""
        return self.faults.over(volume.luns, portal, volume.config.name)

    def spread_faults(self) -> None:
        """The faults have changed: put them between the sessions and their units, or take them away."""
        for session in self.sessions.all():
            volume = None if session.discovery else self.volume(session.identity.target_name or "")
            if session.tasks is not None and volume is not None:
                session.tasks.luns = self.luns(volume, session.portal)
                session.tasks.holds = self.faults.holds(session.portal, volume.config.name)

    def lift(self, fault: ArrayFault) -> int:
        """Switch a fault off; how many commands it had held that were executed now. Raises FaultError."""
        before = self._held()
        self.faults.off(fault)
        return before - self._held()

    def _held(self) -> int:
        return sum(session.tasks.held for session in self.sessions.all() if session.tasks is not None)

    def logout_requested(self, session: Session) -> None:
        """A session was asked to log out: what some firmware does to it then; see `GoneAfterLogoutRequest`."""
        if self.config.lun_gone_after_logout_request and session.tasks is not None:
            session.tasks.luns = SpoiledLuns(session.tasks.luns, [GoneAfterLogoutRequest()])

    def _units(self, session: Session) -> tuple[LogicalUnit, ...]:
        """The logical units a session reaches: none in discovery."""
        volume = None if session.discovery else self.volume(session.identity.target_name or "")
        return () if volume is None else volume.luns.units()

    def enter(self, session: Session) -> None:
        """The login of a new session is complete: number it, and let it reinstate what it replaces (6.3.5)."""
        old = self.sessions.find(session.identity, self.config.tpgt, session.portal)
        if old is not None:
            self.end(old)
            old.abandon("session reinstatement")
        elif len(self.sessions) >= self.sessions.max_sessions and (failed := self.sessions.oldest_failed()) is not None:
            self.end(failed)
        self.sessions.open(session, self.config.tpgt)
        if self.config.lost_tasks is LostTasks.KILL_BESIDE and not session.discovery:
            for other in self._beside(session):
                if other.lost:
                    cleanup.give_up(other)
                    self._settled(other)

    def abort_nexuses(self, nexuses: tuple[Nexus, ...], lun: int) -> None:
        """Drop the tasks of these nexuses on a LUN (PREEMPT AND ABORT), with TAS by TASK ABORTED."""
        for session in self.sessions.all():
            if session.nexus in nexuses:
                volume = self.volume(session.identity.target_name or "")
                unit = None if volume is None else volume.luns.get(lun)
                session.abort_tasks(lun, answer=None if unit is None else unit.end_of_aborted())

    # -- discovery -------------------------------------------------------------------------------------------------

    def records(self, initiator: str, source: str, only: str | None = None) -> list[TargetRecord]:
        """What SendTargets lists: the volumes this initiator may use, each with the array's public addresses.

        A redirecting array lists its group address alone, which is what makes the redirect necessary (FACTS C.1).
        """
        config = self.config
        if config.kind is ArrayKind.REDIRECTING:
            hosts = [config.group_address or ""]
        else:
            hosts = [portal.address for portal in config.portals if self.portal_is_up(portal.address)]
        addresses = tuple(TargetAddress(host, config.port, config.tpgt) for host in hosts)
        return [
            TargetRecord(volume.config.iqn, addresses)
            for name, volume in self.volumes.items()
            if (only is None or name == only.lower()) and self.rule(volume, initiator, source) is not None
        ]

    def decide(self, decision: Decision) -> None:
        """Tell whoever listens."""
        if self.on_decision is not None:
            self.on_decision(decision)


def _moved(note: Note, loads: list[PortalLoad]) -> Choice | None:
    """Where a connection goes that was asked to move, if the place it should go to takes it."""
    for load in loads:
        if load.address == note.destination:
            return Choice(load.address, f"moved from {note.origin}: {note.reason}")
    return None


def _is_pair(a: LoginIdentity, b: LoginIdentity) -> bool:
    return a.initiator_name == b.initiator_name and a.target_name == b.target_name
