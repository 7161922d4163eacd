"""One session: what its connections share (RFC 7143 4.2.2.1, 4.4.2).

The command window is the session's, so commands are delivered in CmdSN order whichever connection brings them; the
tasks are the session's, each allegiant to one connection. StatSN, the output and the texts are a connection's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from iscsi.chap import ChapPolicy
from iscsi.constants import AsyncEvent
from iscsi.login_gate import LoginIdentity
from iscsi.negotiation import SessionParameters
from iscsi.pdu import Pdu
from iscsi.window import CommandWindow
from target.command import ScsiResult
from target.nexus import Nexus
from target.retained import Retained
from target.states import REINSTATED, SESSION, ConnectionState, N, SessionState, after
from target.tasks import TaskSet
from target.waiting_tasks import Allegiance

if TYPE_CHECKING:
    from target.cleanup import Remains

_COMPLETED: Final = {SessionState.ACTIVE: N.N2, SessionState.IN_CONTINUE: N.N10}
"""What the end of a login does to its session."""


class Carrier(Allegiance, Protocol):
    """What a session needs of a connection that carries it. ``portal`` is the array's address it came in on."""

    cid: int
    portal: str
    state: ConnectionState
    closing: bool
    retained: Retained | None

    @property
    def full(self) -> bool:
        """True while no more may be added to the output."""

    def deliver(self, pdu: Pdu) -> None:
        """Act on a PDU that came in here and whose turn it is."""

    def wake(self) -> None:
        """Have the driver look at it though nothing arrived: there is output, or it has to be closed."""

    def abandon(self, why: str) -> None:
        """Drop the connection at once, without a word on the wire."""

    def close(self, why: str) -> None:
        """End the connection once the output is out."""

    def drop(self, why: str, event: AsyncEvent) -> None:
        """Announce the end of the connection by an Async Message, and close."""

    def tell_window(self) -> None:
        """Say the window by a NOP-In, unless something else is about to."""


SessionWindow = CommandWindow[tuple[Carrier, Pdu]]
"""Commands that wait for a predecessor, each with the connection it came in on."""


class Session:
    """One live session. ``source`` is the initiator's address at the leading login, ``portal`` the array's.

    ``params`` are what the leading login agreed on; ``authenticated_as`` is the CHAP name it proved, under ``chap``.
    ``tasks`` is None in a discovery session, which has none. ``connections`` are those in full-feature phase by CID,
    ``lost`` those that wait for their cleanup; ``orphans`` are what remains of connections that were logged out for
    recovery. ``blocked`` is the connection whose full output holds up the commands that wait in the window. ``now_ns``
    is when the session last heard something.
    """

    __slots__ = (
        "authenticated_as",
        "blocked",
        "chap",
        "connections",
        "identity",
        "lost",
        "nexus",
        "now_ns",
        "orphans",
        "params",
        "portal",
        "source",
        "state",
        "tasks",
        "tsih",
        "window",
    )

    def __init__(
        self,
        identity: LoginIdentity,
        params: SessionParameters,
        nexus: Nexus,
        portal: str,
        source: str,
        window: SessionWindow,
        tasks: TaskSet | None,
        *,
        chap: ChapPolicy | None = None,
        authenticated_as: str | None = None,
        now_ns: int = 0,
    ) -> None:
        self.identity = identity
        self.params = params
        self.tsih = 0
        self.nexus = nexus
        self.chap = chap
        self.authenticated_as = authenticated_as
        self.portal = portal
        self.source = source
        self.window = window
        self.tasks = tasks
        self.connections: dict[int, Carrier] = {}
        self.lost: dict[int, Remains] = {}
        self.orphans: list[Remains] = []
        self.now_ns = now_ns
        self.blocked: Carrier | None = None
        self.state = after(SESSION, SessionState.FREE, N.N1)

    @property
    def discovery(self) -> bool:
        """True for a discovery session, which has no target and no tasks."""
        return self.identity.discovery

    @property
    def shared(self) -> bool:
        """True while there is more than one connection."""
        return len(self.connections) > 1

    @property
    def asked_to_leave(self) -> bool:
        """True when every connection has been asked to log out."""
        return all(each.state is ConnectionState.LOGOUT_REQUESTED for each in self.connections.values())

    @property
    def over(self) -> bool:
        """True when the session has ended."""
        return self.state is SessionState.FREE

    @property
    def deadline_ns(self) -> int | None:
        """When the first of what remains is terminated; None when nothing is waited for."""
        return min((remains.until_ns for remains in (*self.lost.values(), *self.orphans)), default=None)

    def join(self, carrier: Carrier) -> None:
        """A connection is in: the leading one, or another after it."""
        if not self.connections:
            self.portal = carrier.portal
        self.connections[carrier.cid] = carrier
        if self.state in _COMPLETED:
            self.state = after(SESSION, self.state, _COMPLETED[self.state])

    def end(self) -> None:
        """The session is closed or reinstated: its tasks end without notice (6.3.5)."""
        self.state = after(SESSION, self.state, REINSTATED[self.state])
        self.lost.clear()
        self.orphans.clear()
        self.abort_tasks(by=self)

    # -- commands in order -----------------------------------------------------------------------------------------

    def deliver_held(self) -> None:
        """Deliver what waited in the window and is due now, until a number is missing or an output is full."""
        window = self.window
        self.blocked = None
        while (due := window.first_held()) is not None:
            carrier, pdu = due
            if carrier.closing:
                window.forget(lambda item, gone=carrier: item[0] is gone)  # type: ignore[misc]
                return
            if carrier.full:
                self.blocked = carrier
                return
            window.deliver()
            carrier.deliver(pdu)

    # -- tasks -----------------------------------------------------------------------------------------------------

    def abort_tasks(self, lun: int | None = None, by: Session | None = None, answer: ScsiResult | None = None) -> int:
        """Drop the tasks on one LUN, or all, with this ``answer`` or none; return how many there were.

        ``by`` is the session that asks for it: if it is this one its answer is on the way, others are told MaxCmdSN.
        """
        if self.tasks is None:
            return 0
        aborted = self.tasks.abort_all(lun, answer)
        if aborted and by is not self and answer is None:
            self.tell_window()
        self.wake()  # others may ask for their data now, and it need not be this session that runs
        return aborted

    def terminate(self, carrier: Carrier) -> int:
        """Drop the tasks allegiant to a connection, and owe the nexus a word about it (11.14.5)."""
        return 0 if self.tasks is None else self.tasks.terminate(carrier)

    def tell_window(self) -> None:
        """MaxCmdSN has risen, and no answer tells it: a NOP-In does (4.2.2.1)."""
        for carrier in self.connections.values():
            if not carrier.closing:
                carrier.tell_window()
                return

    def wake(self, but: Carrier | None = None) -> None:
        """Have every connection write what it has to say; ``but`` one that is about to, anyway."""
        for carrier in self.connections.values():
            if carrier is not but:
                carrier.wake()

    def abandon(self, why: str, but: Carrier | None = None) -> None:
        """Drop every connection at once, without a word on the wire; ``but`` one that has something to say first."""
        for carrier in list(self.connections.values()):
            if carrier is not but:
                carrier.abandon(why)

    def drop(self, why: str) -> None:
        """End every connection because the array wants it so, and announce it (async event 3)."""
        for carrier in list(self.connections.values()):
            carrier.drop(why, AsyncEvent.SESSION_DROP)
        self.wake()

    def close(self, why: str) -> None:
        """End every connection once its output is out."""
        for carrier in list(self.connections.values()):
            carrier.close(why)
        self.wake()
