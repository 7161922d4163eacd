"""Logins that were redirected and have not arrived yet.

A redirect leaves a *ticket*: the login that is now on its way counts as a connection of its portal until it arrives or
the ticket lapses, so that two hosts logging in at one instant are spread as if they had come one after the other. The
ticket is also how a portal tells a redirected login from one made straight at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from iscsi.login_gate import LoginIdentity

MAX_TICKETS = 4096
"""One more, and the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A login that was redirected to ``portal`` and is expected there before ``expires_ns``."""

    portal: str
    expires_ns: int


TicketName = tuple[str, str, bytes]


class Tickets:
    """The tickets of one array, by initiator, target and ISID; each is good for ``lifetime_ns``."""

    __slots__ = ("_lifetime_ns", "_tickets")

    def __init__(self, lifetime_ns: int) -> None:
        self._lifetime_ns = lifetime_ns
        self._tickets: dict[TicketName, Ticket] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def issue(self, identity: LoginIdentity, portal: str, now_ns: int) -> None:
        """A login is sent to ``portal``; it forgets where it was sent before."""
        name = _name(identity)
        self._tickets.pop(name, None)
        if len(self._tickets) >= MAX_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        self._tickets[name] = Ticket(portal, now_ns + self._lifetime_ns)

    def take(self, identity: LoginIdentity, portal: str, now_ns: int) -> bool:
        """True when this login was sent to ``portal``; the ticket is used up."""
        self._lapse(now_ns)
        name = _name(identity)
        ticket = self._tickets.get(name)
        if ticket is None or ticket.portal != portal:
            return False
        del self._tickets[name]
        return True

    def clear(self) -> None:
        """Forget all."""
        self._tickets.clear()

    def expected(self, but: LoginIdentity, now_ns: int) -> Iterator[tuple[str, bool]]:
        """The portal of each ticket, and whether it is of the same initiator and target as ``but``, which is left out.

        Sorted by age.
        """
        self._lapse(now_ns)
        own = _name(but)
        for name, ticket in self._tickets.items():
            if name != own:
                yield ticket.portal, name[:2] == own[:2]

    def _lapse(self, now_ns: int) -> None:
        """Tickets are kept in the order they were issued, and all live equally long: the oldest lapse first."""
        while self._tickets:
            name, ticket = next(iter(self._tickets.items()))
            if ticket.expires_ns > now_ns:
                return
            del self._tickets[name]


def _name(identity: LoginIdentity) -> TicketName:
    return (identity.initiator_name, identity.target_name or "", identity.isid)
