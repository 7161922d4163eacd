"""A discovery session: which targets there are behind a portal, and at which addresses (RFC 7143 appendix C).

One login, one Text exchange, one logout: one TCP connection, unless the portal redirects discovery too. A target that
names no address is to be found where the question was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from initiator_model.connector import Connector, words
from initiator_model.link import Link
from initiator_model.login_chain import Hop, LoginError, LoginTerms, OnHop, log_in
from initiator_model.timers import SECOND_NS
from initiator_model.wire import Wire
from iscsi.constants import RESERVED_TAG, LogoutReason
from iscsi.discovery import MAX_SEND_TARGETS_LENGTH, TargetAddress, TargetRecord, parse_send_targets
from iscsi.errors import RemoteProtocolError
from iscsi.pdu import LogoutRequest, LogoutResponse, NopIn, NopOut, Pdu, TextRequest, TextResponse
from iscsi.text import encode_keys

__all__ = ["Discovered", "DiscoveryError", "discover"]

Answer = TypeVar("Answer", TextResponse, LogoutResponse)

_PARTS_MAX: Final = 4096
"""Text responses one answer may take."""


class DiscoveryError(Exception):
    """A portal could not be asked, or its answer made no sense."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a portal said. ``local`` and ``remote`` are the ends of the connection it was asked over."""

    records: tuple[TargetRecord, ...]
    local: str
    remote: str
    hops: tuple[Hop, ...]


async def discover(
    terms: LoginTerms,
    portal: TargetAddress,
    *,
    connector: Connector,
    random_bytes: Callable[[int], bytes],
    on_hop: OnHop | None = None,
) -> Discovered:
    """Ask ``portal`` for all targets; ``terms`` must name none.

    Raises:
        DiscoveryError: with the portal and the reason.
    """
    assert terms.target_name is None, "a discovery session names no target"
    patience_s = terms.timers.login_ns(0) / SECOND_NS
    try:
        logged_in = await log_in(terms, portal, connector=connector, random_bytes=random_bytes, on_hop=on_hop)
        link = logged_in.link
        params = logged_in.done.params
        link.framer.max_data_segment_length = params.max_recv_data_segment_length
        link.framer.header_digest = params.header_digest
        link.framer.data_digest = params.data_digest
        try:
            async with asyncio.timeout(patience_s):
                data = await _Exchange(link, Wire(logged_in.done, logged_in.cmd_sn)).send_targets()
                records = parse_send_targets(data)
        except BaseException:
            link.abort("discovery was given up")
            raise
        link.close()
    except TimeoutError:
        raise DiscoveryError(f"{portal.redirect_value}: no answer to SendTargets within {patience_s:g} s") from None
    except (LoginError, RemoteProtocolError, OSError) as error:
        raise DiscoveryError(f"{portal.redirect_value}: {words(error)}") from error
    here = replace(TargetAddress.parse(link.remote), tpgt=params.target_portal_group_tag)
    found = tuple(record if record.addresses else replace(record, addresses=(here,)) for record in records)
    return Discovered(found, link.local, link.remote, logged_in.hops)


class _Exchange:
    """The full feature phase of a discovery session, request by request."""

    def __init__(self, link: Link, wire: Wire) -> None:
        self._link = link
        self._wire = wire

    async def send_targets(self) -> bytes:
        """The whole answer to SendTargets=All; the session is logged out afterwards."""
        wire = self._wire
        answer = b""
        question, ttt = encode_keys([("SendTargets", "All")]), RESERVED_TAG
        itt = wire.next_tag()
        for _ in range(_PARTS_MAX):
            sn = wire.exp_stat_sn
            self._send(TextRequest(itt=itt, ttt=ttt, cmd_sn=wire.numbering.take(), exp_stat_sn=sn, data=question))
            part = await self._next(TextResponse)
            answer += part.data
            if len(answer) > MAX_SEND_TARGETS_LENGTH:
                break
            if part.final:
                await self._log_out()
                return answer
            if part.ttt == RESERVED_TAG:
                raise RemoteProtocolError("a text response goes on without a target transfer tag to ask for more")
            question, ttt = b"", part.ttt
        raise RemoteProtocolError(f"the answer to SendTargets is longer than {MAX_SEND_TARGETS_LENGTH} bytes")

    async def _log_out(self) -> None:
        wire = self._wire
        reason = LogoutReason.CLOSE_SESSION
        self._send(LogoutRequest(reason=reason, itt=wire.next_tag(), cmd_sn=wire.cmd_sn, exp_stat_sn=wire.exp_stat_sn))
        try:
            await self._next(LogoutResponse)
        except ConnectionError:
            return  # the answer is complete: a target may just hang up (7.4.3)

    async def _next(self, kind: type[Answer]) -> Answer:
        """The next PDU, which must be a ``kind``; pings on the way are answered."""
        wire = self._wire
        while True:
            pdu = await self._link.next_pdu()
            if isinstance(pdu, NopIn) and pdu.itt == RESERVED_TAG:
                if pdu.ttt != RESERVED_TAG:
                    self._send(NopOut(lun=pdu.lun, ttt=pdu.ttt, cmd_sn=wire.cmd_sn, exp_stat_sn=wire.exp_stat_sn))
                continue
            if not isinstance(pdu, kind):
                raise RemoteProtocolError(f"{pdu.OPCODE.name} where a {kind.OPCODE.name} was due")
            wire.status.advance(pdu.stat_sn)
            wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
            return pdu

    def _send(self, pdu: Pdu) -> None:
        self._wire.send(pdu)
        self._link.write(self._wire.take_output())
