"""The rules of logins and redirects, over all connections of a run (RFC 7143 6.3.5, 11.13.5; FACTS A.3).

a login is redirected at most so often, and only inside the group: to a portal, or by one back to the group address
nothing but logins and discovery goes through the group address
a login begins at the portal the user chose, unless that one has moved for good (0x0102)
when the redirect led nowhere, the next attempt begins there again
two sessions that are alive do not have the same initiator, ISID and target
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.check.findings import Findings
from harness.check.marks import Mark, Marks

if TYPE_CHECKING:
    from harness.check.wire.conversation import Conversation

__all__ = ["Logins"]

HOPS_MAX: Final = 8
_PERMANENTLY: Final = 2
_Nexus = tuple[str, bytes, str]  # initiator, ISID, target


class _Chain:
    """Where the logins of one nexus of ``host`` began, and where the last redirect sent the present one.

    ``source`` is the address the last one came from. ``excused``: nobody knows any more what the host was told.
    """

    __slots__ = ("excused", "home", "hops", "host", "next", "source")

    def __init__(self, host: str, home: str) -> None:
        self.host = host
        self.home = home
        self.hops = 0
        self.next: str | None = None
        self.source = ""
        self.excused = False


class Logins:
    """``portals`` are the array's addresses, ``dead`` those that a fault of the array redirects to, ``group`` the group
    address or None.
    """

    def __init__(
        self, findings: Findings, marks: Marks, portals: list[str], dead: list[str], group: str | None
    ) -> None:
        self._findings = findings
        self._marks = marks
        self._portals = portals
        self._dead = dead
        self._group = group
        self._chains: dict[_Nexus, _Chain] = {}
        self._alive: dict[_Nexus, Conversation] = {}
        self.portals_broken: dict[str, None] = {}
        """The faults of portals that stand, by name."""

    def attempted(self, conversation: Conversation) -> None:
        """A login has got its answer; was it made at the right place?"""
        nexus = _nexus(conversation)
        at = _address(conversation.remote)
        chain = self._chains.get(nexus)
        if chain is None:
            chain = self._chains[nexus] = _Chain(conversation.host, at)
        elif chain.next is not None and at == chain.next:
            pass  # it follows the redirect
        else:
            if at != chain.home and not chain.excused:
                self._findings.add("home", f"{conversation.where}: the login began at {at}, not at {chain.home}")
            chain.hops = 0
        chain.next = None
        chain.source = _address(conversation.local)

    def redirected(self, conversation: Conversation, to: str, detail: int) -> None:
        """The array answered "moved"."""
        self.attempted(conversation)
        chain = self._chains[_nexus(conversation)]
        address = _host_of(to)
        back = address == self._group != _address(conversation.remote)  # as a portal does that is drained
        if address not in self._portals and address not in self._dead and not back:
            self._findings.add("group", f"{conversation.where}: redirected to {to}, which is no portal of the array")
        chain.hops += 1
        chain.next = address
        if chain.hops > HOPS_MAX:
            self._findings.add("hops", f"{conversation.where}: redirected {chain.hops} times in a row")
        if detail == _PERMANENTLY and _address(conversation.remote) == chain.home:
            chain.home = address
        if self.portals_broken:
            self._marks.hit(Mark.REDIRECTED_WHILE_PORTAL_DOWN)

    def refused(self, conversation: Conversation) -> None:
        """The array answered with an error."""
        self.attempted(conversation)

    def unreachable(self, host: str, remote: str, source: str | None) -> None:
        """A connection of ``host`` did not come up; if a redirect had led there, the next login begins at home again.

        Two logins that were sent there from one address cannot be told apart here: then either place is good.
        """
        at = _address(remote)
        led = [
            chain
            for chain in self._chains.values()
            if chain.host == host and chain.next == at and source in (None, chain.source)
        ]
        if led:
            self._marks.hit(Mark.REDIRECT_LED_NOWHERE)
        if len(led) == 1:
            led[0].next = None

    def damaged(self, conversation: Conversation) -> None:
        """A cable has changed what crossed this connection: what its login was told, and whether, is not known."""
        chain = self._chains.setdefault(_nexus(conversation), _Chain(conversation.host, _address(conversation.remote)))
        chain.excused = True

    def succeeded(self, conversation: Conversation) -> Conversation | None:
        """A login is through; the session of the same nexus that it ended, if there was one."""
        self.attempted(conversation)
        if conversation.terms.discovery:
            return None
        if self._group is not None and _address(conversation.remote) == self._group:
            self._findings.add("group address", f"{conversation.where}: a session was let in at the group address")
        nexus = _nexus(conversation)
        older = self._alive.get(nexus)
        if older is not None:
            self._marks.hit(Mark.REINSTATEMENT)
            if older.open:
                what = f"{conversation.where} has the ISID of {older.where}, which the host has not closed"
                self._findings.add("ISID", what)
        self._alive[nexus] = conversation
        return older

    def logged_out(self, conversation: Conversation) -> None:
        """The session was closed in order."""
        nexus = _nexus(conversation)
        if self._alive.get(nexus) is conversation:
            del self._alive[nexus]

    def forget_host(self, host: str) -> None:
        """A host lost its memory: what its logins began with does not bind it any more."""
        self._chains = {nexus: chain for nexus, chain in self._chains.items() if chain.host != host}


def _nexus(conversation: Conversation) -> _Nexus:
    names = conversation.terms.names
    return names.get("InitiatorName", ""), conversation.isid, names.get("TargetName", "")


def _address(endpoint: str) -> str:
    return endpoint.rpartition(":")[0]


def _host_of(target_address: str) -> str:
    """The address in a TargetAddress, without its port and portal group tag."""
    text = target_address.partition(",")[0]
    return text.rpartition(":")[0] if ":" in text.rpartition("]")[2] else text
