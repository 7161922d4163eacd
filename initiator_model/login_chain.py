"""One login as the user means it: from the portal that was asked for, along the redirects, to a working connection.

RFC 7143 11.13.5 lets a target answer any login with "moved"; a redirecting array answers every one so. Each hop is a
new TCP connection and a login from the start, with the same ISID and the same CmdSN (6.3.1: no session came to be, so
nothing is reinstated). The RFC sets no limit to the number of hops. There has to be one: two portals may point at each
other.

A redirect holds for this login only. The next one begins at the original portal again, unless the target said that it
moved for good (0x0102), which puts the new address in the original's place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from initiator_model.connector import Connector, words
from initiator_model.link import Link
from initiator_model.timers import SECOND_NS, Timers
from iscsi.chap import ChapCredentials
from iscsi.constants import LoginStatus
from iscsi.discovery import TargetAddress
from iscsi.errors import RemoteProtocolError
from iscsi.login_initiator import InitiatorLogin, LoginDone, LoginFailed, LoginRedirected
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LoginResponse

__all__ = ["HOP_LIMIT", "Hop", "LoggedIn", "LoginError", "LoginTerms", "OnHop", "log_in"]

HOP_LIMIT: Final = 8
"""Redirects one login follows."""

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Hop:
    """One login on one TCP connection: both ends as ``"ip:port"`` (``local`` is empty if TCP never came up)."""

    local: str
    remote: str
    status: str


OnHop = Callable[[Hop], None]


class LoginError(Exception):
    """A login came to nothing. ``hops`` is how far it got.

    ``status`` is the target's, None when it did not say. ``start_over`` is True when the last hop was the destination
    of a redirect and could not be reached or did not answer: whoever redirected may choose better next time.
    ``silent`` is True when it ended because time was up.
    """

    def __init__(
        self, reason: str, hops: tuple[Hop, ...], status: LoginStatus | None, start_over: bool, silent: bool = False
    ) -> None:
        chain = "; ".join(f"{hop.local or '?'} -> {hop.remote}: {hop.status}" for hop in hops)
        super().__init__(f"{reason} ({chain})" if len(hops) > 1 else reason)
        self.reason = reason
        self.hops = hops
        self.status = status
        self.start_over = start_over
        self.silent = silent


@dataclass(frozen=True, slots=True)
class LoginTerms:
    """What every login of one session repeats. ``target_name`` None is a discovery session; ``isid`` has 6 bytes."""

    initiator_name: str
    target_name: str | None
    isid: bytes
    source: str | None
    wishes: OperationalKeys
    timers: Timers
    chap: ChapCredentials | None = None
    mutual_chap: ChapCredentials | None = None
    first_cmd_sn: int | None = None
    """With which CmdSN every session begins; None: with a random one."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A connection in full feature phase that nobody has taken over yet.

    ``via`` is the address it was last redirected from, None without a redirect; ``home`` where to begin next time.
    """

    link: Link
    done: LoginDone
    cmd_sn: int
    home: TargetAddress
    via: TargetAddress | None
    hops: tuple[Hop, ...]


async def log_in(
    terms: LoginTerms,
    portal: TargetAddress,
    *,
    connector: Connector,
    random_bytes: RandomBytes,
    on_hop: OnHop | None = None,
    hop_limit: int = HOP_LIMIT,
) -> LoggedIn:
    """Log in at ``portal`` and wherever that leads. ``on_hop`` hears of each hop as it ends.

    Raises:
        LoginError: refused, unreachable, a target that breaks the protocol, or more than ``hop_limit`` redirects.
    """
    cmd_sn = int.from_bytes(random_bytes(4), "big")
    if terms.first_cmd_sn is not None:
        cmd_sn = terms.first_cmd_sn
    address = home = portal
    via: TargetAddress | None = None
    hops: list[Hop] = []

    def ended(local: str, status: str) -> None:
        hops.append(Hop(local, address.redirect_value, status))
        if on_hop is not None:
            on_hop(hops[-1])

    while True:
        link = Link()
        try:
            outcome = await _one_hop(link, terms, address, cmd_sn, connector, random_bytes)
        except (OSError, TimeoutError, RemoteProtocolError) as error:
            link.abort(words(error))
            ended(link.local, words(error))
            broken = isinstance(error, RemoteProtocolError)
            reason = f"login at {address.redirect_value} failed: {words(error)}"
            start_over, silent = via is not None and not broken, isinstance(error, TimeoutError)
            raise LoginError(reason, tuple(hops), None, start_over, silent) from error
        except BaseException:
            link.abort("the login was given up")
            raise
        if isinstance(outcome, LoginDone):
            ended(link.local, LoginStatus.SUCCESS.words)
            return LoggedIn(link, outcome, cmd_sn, home, via, tuple(hops))
        link.close()
        if isinstance(outcome, LoginFailed):
            ended(link.local, outcome.status.words)
            reason = f"login at {address.redirect_value} failed: {outcome.reason}"
            raise LoginError(reason, tuple(hops), outcome.status, False)
        moved = LoginStatus.MOVED_PERMANENTLY if outcome.permanent else LoginStatus.MOVED_TEMPORARILY
        ended(link.local, f"{moved.words} to {outcome.address.redirect_value}")
        if len(hops) > hop_limit:
            raise LoginError(f"the login was redirected more than {hop_limit} times", tuple(hops), moved, False)
        if outcome.permanent and address == home:
            home = outcome.address
        via, address = address, outcome.address


async def _one_hop(
    link: Link,
    terms: LoginTerms,
    address: TargetAddress,
    cmd_sn: int,
    connector: Connector,
    random_bytes: RandomBytes,
) -> LoginDone | LoginRedirected | LoginFailed:
    login = InitiatorLogin(
        initiator_name=terms.initiator_name,
        target_name=terms.target_name,
        isid=terms.isid,
        itt=0,
        cmd_sn=cmd_sn,
        wishes=terms.wishes,
        chap=terms.chap,
        mutual_chap=terms.mutual_chap,
        random_bytes=random_bytes,
    )
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    connect_s = terms.timers.connect_ns / SECOND_NS
    try:
        async with asyncio.timeout(connect_s):
            await connector.connect(lambda: link, (address.host, address.port), terms.source)
    except TimeoutError as error:  # ours, or the network's own
        raise TimeoutError(str(error) or f"no TCP connection within {connect_s:g} s") from None
    connected_in_ns = round((loop.time() - began_s) * SECOND_NS)
    answer_s = terms.timers.login_ns(connected_in_ns) / SECOND_NS
    try:
        async with asyncio.timeout(answer_s):
            return await _exchange(link, login)
    except TimeoutError:
        raise TimeoutError(f"no end of the login within {answer_s:g} s") from None


async def _exchange(link: Link, login: InitiatorLogin) -> LoginDone | LoginRedirected | LoginFailed:
    for request in login.start():
        link.send(request)
    while login.outcome is None:
        pdu = await link.next_pdu()
        if not isinstance(pdu, LoginResponse):
            raise RemoteProtocolError(f"{pdu.OPCODE.name} arrived during login")
        for request in login.receive(pdu):
            link.send(request)
    return login.outcome
