"""One session: what its connections share (RFC 7143 4.2.2.1, 4.4.2).

The command window is the session's, so commands are delivered in CmdSN order whichever connection brings them; the
tasks are the session's, each allegiant to one connection. StatSN, the output and the texts are a connection's own.
"""

from __future__ import annotations

from typing import Protocol

from iscsi.login_gate import LoginIdentity
from iscsi.negotiation import SessionParameters
from iscsi.pdu import Pdu
from iscsi.window import CommandWindow
from target.nexus import Nexus
from target.states import SESSION, N, SessionState, after
from target.tasks import Allegiance, TaskSet


class Carrier(Allegiance, Protocol):
    """What a session needs of a connection that carries it. ``portal`` is the array's address it came in on."""

    cid: int
    portal: str
    closing: bool

    @property
    def full(self) -> bool:
        """True while no more may be added to the output."""

    def deliver(self, pdu: Pdu) -> None:
        """Act on a PDU that came in here and whose turn it is."""

    def wake(self) -> None:
        """Have the output written that no call from the driver has asked for."""

    def abandon(self, why: str) -> None:
        """Drop the connection at once, without a word on the wire."""


SessionWindow = CommandWindow[tuple[Carrier, Pdu]]
"""Commands that wait for a predecessor, each with the connection it came in on."""


class Session:
    """One live session. ``source`` is the initiator's address at the leading login, ``portal`` the array's.

    ``params`` are what the leading login agreed on; ``tasks`` is None in a discovery session, which has none.
    ``blocked`` is the connection whose full output holds up the commands that wait in the window.
    """

    __slots__ = (
        "blocked",
        "connections",
        "identity",
        "nexus",
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
    ) -> None:
        self.identity = identity
        self.params = params
        self.tsih = 0
        self.nexus = nexus
        self.portal = portal
        self.source = source
        self.window = window
        self.tasks = tasks
        self.connections: dict[int, Carrier] = {}
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

    def join(self, carrier: Carrier) -> None:
        """A connection is in: the leading one, or another after it."""
        self.connections[carrier.cid] = carrier
        if self.state is SessionState.ACTIVE:
            self.state = after(SESSION, self.state, N.N2)

    # -- commands in order -----------------------------------------------------------------------------------------

    def deliver_held(self) -> None:
        """Deliver what waited in the window and is due now, until a number is missing or an output is full."""
        window = self.window
        self.blocked = None
        while (due := window.first_held()) is not None:
            carrier, pdu = due
            if carrier.closing:
                return  # it will be forgotten with its connection
            if carrier.full:
                self.blocked = carrier
                return
            window.deliver()
            carrier.deliver(pdu)

    # -- tasks -----------------------------------------------------------------------------------------------------

    def abort_tasks(self, lun: int | None = None) -> int:
        """Drop the tasks on one LUN, or all; return how many there were."""
        if self.tasks is None:
            return 0
        aborted = self.tasks.abort_all(lun)
        self.wake()  # others may ask for their data now, and it need not be this session that runs
        return aborted

    def wake(self, but: Carrier | None = None) -> None:
        """Have every connection write what it has to say; ``but`` one that is about to, anyway."""
        for carrier in self.connections.values():
            if carrier is not but:
                carrier.wake()

    def abandon(self, why: str) -> None:
        """Drop every connection at once, without a word on the wire."""
        for carrier in list(self.connections.values()):
            carrier.abandon(why)
