"""One login's way into the array: may it, where is it served, and which session does it belong to.

`Arrival` is the `LoginGate` of one TCP connection. It looks up what `target.group` knows, and tells every answer to
whoever listens there. The session rules are those of RFC 7143 6.3.1; `target.sessions` has them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from iscsi.chap import ChapPolicy
from iscsi.constants import LoginStatus
from iscsi.discovery import TargetAddress
from iscsi.login_gate import Admit, Agreement, LoginIdentity, Redirect, Refuse
from iscsi.negotiation import SessionParameters
from iscsi.window import CommandWindow
from target.config import ArrayKind, DirectLogin
from target.decisions import Decision
from target.group import Group
from target.nexus import Nexus, initiator_port_name, target_port_name
from target.session import Session, SessionWindow
from target.sessions import continued
from target.states import SESSION, N, SessionState, after
from target.tasks import TaskSet


@dataclass(slots=True)
class Arrival:
    """One TCP connection knocking at the array: the `LoginGate` of its login.

    ``chap`` is what it has to prove. When it is in, ``session`` is the one it belongs to, ``params`` is what holds on
    this connection, and ``nexus`` names the portal it came in on.
    """

    group: Group
    local: str
    source: str
    now_ns: int
    number: int = 0
    chap: ChapPolicy | None = None
    session: Session | None = None
    params: SessionParameters | None = None
    nexus: Nexus | None = None

    def identify(self, who: LoginIdentity) -> Admit | Redirect | Refuse:
        """Who is it, may it, and where: asked once, on the first login request (the redirect comes before CHAP)."""
        who = _as_stored(who)
        group, config = self.group, self.group.config
        volume = None if who.discovery else group.volume(who.target_name or "")
        if group.faults.refuses_login(self.local, None if volume is None else volume.config.name):
            return self._refuse(who, LoginStatus.SERVICE_UNAVAILABLE, "fault: no login")
        if group.faults.has_no_room(self.local, None if volume is None else volume.config.name):
            return self._refuse(who, LoginStatus.OUT_OF_RESOURCES, "fault: out of resources")
        if who.discovery:
            return self._tell(who, Admit(config.tpgt, None), self.local, "discovery")
        if volume is None:
            return self._refuse(who, LoginStatus.NOT_FOUND, "no such target")
        rule = group.rule(volume, who.initiator_name, self.source)
        if rule is None:
            return self._refuse(who, LoginStatus.AUTHORIZATION_FAILURE, "no access rule matches")
        full = group.full(who)
        if full is not None:
            return self._refuse(who, LoginStatus.OUT_OF_RESOURCES, full)
        if config.kind is ArrayKind.REDIRECTING:
            if self.local == config.group_address:
                placed = group.place(who, self.source, self.now_ns, self.local)
                if placed is None:
                    return self._refuse(who, LoginStatus.SERVICE_UNAVAILABLE, "no portal takes logins")
                return self._redirect(who, *placed)
            expected = group.take_ticket(who, self.local, self.now_ns)
            if not expected and config.direct_login is DirectLogin.REDIRECT and config.group_address:
                return self._redirect(who, config.group_address, "logins come through the group address")
            if group.portal_is_drained(self.local) and config.group_address:
                return self._redirect(who, config.group_address, "this portal is drained")
        if not group.takes_logins(self.local):
            return self._refuse(who, LoginStatus.SERVICE_UNAVAILABLE, self._why_not_here())
        self.chap = rule.chap
        session = group.sessions.find(who, config.tpgt, self.local) if who.tsih else None
        window = None if session is None or session.tsih != who.tsih else session.window
        return self._tell(who, Admit(config.tpgt, rule.chap, window, volume.config.name), self.local, "served here")

    def complete(self, who: LoginIdentity, agreed: Agreement) -> int | Refuse:
        """The login has negotiated everything: make the session, or join it, and return its TSIH."""
        who = _as_stored(who)
        group = self.group
        if not who.discovery and not group.takes_logins(self.local):
            return self._refuse(who, LoginStatus.SERVICE_UNAVAILABLE, self._why_not_here())
        full = None if who.discovery else group.full(who)
        if full is not None:  # others may have come while this one was negotiating
            return self._refuse(who, LoginStatus.OUT_OF_RESOURCES, full)
        status = group.sessions.check(who, group.config.tpgt, self.local)
        if status is not LoginStatus.SUCCESS:
            return self._refuse(who, status, "session rules (RFC 7143 6.3.1)")
        self.nexus = self._nexus_of(who)
        session = group.sessions.find(who, group.config.tpgt, self.local) if who.tsih else None
        if session is None:
            if not self._may_replace(who, agreed):
                return self._refuse(who, LoginStatus.AUTHORIZATION_FAILURE, "the session is another user's")
            session = self._new_session(who, agreed, self.nexus)
            group.enter(session)
            self.params = agreed.params
        elif not self._go_on(session, who, agreed):
            return self._refuse(who, LoginStatus.CANNOT_INCLUDE_IN_SESSION, "not authenticated as the session was")
        else:
            self.params = continued(session.params, agreed.params)
        self.session = session
        group.moves.done(who)
        return session.tsih

    def _may_replace(self, who: LoginIdentity, agreed: Agreement) -> bool:
        """Whether this login may end the session that has its name (6.3.5), if there is one.

        What one CHAP user has proved to be its own no other ends, with CHAP or at a rule that asks for none; unless
        that user is let in no longer: then whoever is, takes its place.
        """
        group = self.group
        old = group.sessions.find(who, group.config.tpgt, self.local)
        if old is None or old.authenticated_as in (None, agreed.authenticated_as):
            return True
        volume = group.volume(who.target_name or "")
        rule = None if volume is None else group.rule(volume, who.initiator_name, old.source)
        users = () if rule is None or rule.chap is None else rule.chap.one_way
        return old.authenticated_as not in [user.name for user in users]

    def _go_on(self, session: Session, who: LoginIdentity, agreed: Agreement) -> bool:
        """Make room for a further connection of a session; False when it may not join (RFC 7143 9.2.1).

        A session that has failed goes on from here. The attempt counts from its authenticated end, not from its first
        request: nobody who is not let in can keep the session's state alive.
        """
        if session.state is SessionState.FAILED:
            session.state = after(SESSION, session.state, N.N7)
        if (self.chap, agreed.authenticated_as) != (session.chap, session.authenticated_as):
            if session.state is SessionState.IN_CONTINUE:
                session.state = after(SESSION, session.state, N.N8)
            return False
        if who.cid in session.connections or who.cid in session.lost:
            self.group.reinstate_connection(session, who.cid, self.now_ns)
        return True

    def _new_session(self, who: LoginIdentity, agreed: Agreement, nexus: Nexus) -> Session:
        group, limits = self.group, self.group.config.limits
        window: SessionWindow = CommandWindow(agreed.cmd_sn, limits.command_window)
        volume = None if who.discovery else group.volume(who.target_name or "")
        tasks = None
        if volume is not None:
            tasks = TaskSet(
                group.luns(volume, self.local),
                window,
                limits.write_buffer_bytes,
                group.abort_nexuses,
                r2t_without_numbers=group.config.r2t_without_numbers,
            )
            tasks.holds = group.faults.holds(self.local, volume.config.name)
        return Session(
            who,
            agreed.params,
            nexus,
            self.local,
            self.source,
            window,
            tasks,
            chap=self.chap,
            authenticated_as=agreed.authenticated_as,
            now_ns=self.now_ns,
        )

    def _nexus_of(self, who: LoginIdentity) -> Nexus:
        tpgt = self.group.config.tpgt
        return Nexus(
            initiator_port=initiator_port_name(who.initiator_name, who.isid),
            target_port=target_port_name(who.target_name or "", tpgt),
            relative_port=self.group.config.relative_port(self.local),
            tpgt=tpgt,
        )

    def _why_not_here(self) -> str:
        return "this portal is drained" if self.group.portal_is_drained(self.local) else "this portal is going down"

    def _redirect(self, who: LoginIdentity, address: str, reason: str) -> Redirect:
        answer = Redirect(TargetAddress(address, self.group.config.port), permanent=False)
        self._decide(who, LoginStatus.MOVED_TEMPORARILY.words, address, reason)
        return answer

    def _refuse(self, who: LoginIdentity, status: LoginStatus, reason: str) -> Refuse:
        self._decide(who, status.words, None, reason)
        return Refuse(status)

    def _tell(self, who: LoginIdentity, answer: Admit, portal: str, reason: str) -> Admit:
        self._decide(who, "admitted", portal, reason)
        return answer

    def _decide(self, who: LoginIdentity, answer: str, portal: str | None, reason: str) -> None:
        target, number = who.target_name or "", self.number
        self.group.decide(
            Decision(who.initiator_name, target, self.source, self.local, answer, portal, reason, connection=number)
        )


def _as_stored(who: LoginIdentity) -> LoginIdentity:
    """iSCSI names are the same in capital letters (RFC 3722); the array keeps them in lower case."""
    target_name = None if who.target_name is None else who.target_name.lower()
    return replace(who, initiator_name=who.initiator_name.lower(), target_name=target_name)
