"""A target that does as it is told: real logins, and a full feature phase that answers or keeps silent.

One `ScriptedTarget` may listen on several addresses. What each says to a login stands in `gates`; what became of the
connections stands in `connections`, in the order they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from iscsi.constants import RESERVED_TAG, AsyncEvent, ScsiStatus, TmfResult
from iscsi.framer import Framer
from iscsi.login_gate import Admit, Redirect, Refuse
from iscsi.login_target import TargetLogin, TargetLoginDone
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import (
    AsyncMessage,
    DataIn,
    LoginRequest,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    ScsiCommand,
    ScsiResponse,
    TextRequest,
    TextResponse,
    TmfRequest,
    TmfResponse,
    encode,
)
from iscsi.sense import POWER_ON_OR_RESET
from sim.rng import stream
from tests.support.logins import Gate

Verdict = Admit | Redirect | Refuse


class ScriptedTarget:
    """See the module. `answers` decides per command: False leaves it unanswered. `deaf` ignores all of the phase.

    `tmf_answer` None leaves task management unanswered; `send_targets` is the answer to any text request. A login is
    not answered with `mute_logins`, and the connection closed on it with `hangs_up`.
    """

    def __init__(self) -> None:
        self.gates: dict[str, Callable[[], Verdict]] = {}
        self.connections: list[ScriptedConnection] = []
        self.answers: Callable[[ScsiCommand], bool] = lambda command: True
        self.tmf_answer: TmfResult | None = TmfResult.FUNCTION_COMPLETE
        self.send_targets = b""
        self.mute_logins = False
        self.hangs_up = False
        self.deaf = False
        self._servers: dict[str, asyncio.AbstractServer] = {}

    async def listen(self, address: str, verdict: Verdict | Callable[[], Verdict] | None = None) -> None:
        """Serve `address`; every login there is answered with `verdict` (None: admitted)."""
        says = verdict if callable(verdict) else lambda: verdict or Admit(tpgt=1)
        self.gates[address] = says
        loop = asyncio.get_running_loop()
        self._servers[address] = await loop.create_server(lambda: ScriptedConnection(self), address, 3260)

    def stop_listening(self, address: str) -> None:
        self._servers.pop(address).close()

    def reset_all(self) -> None:
        """Break every connection."""
        for connection in self.connections:
            connection.transport.abort()

    @property
    def logins(self) -> list[LoginRequest]:
        """The first request of each login, in order."""
        return [connection.first for connection in self.connections if connection.first is not None]


class ScriptedConnection(asyncio.Protocol):
    """One connection. A new one reports a unit attention for its first command, as a new nexus does."""

    def __init__(self, target: ScriptedTarget) -> None:
        self.target = target
        self.first: LoginRequest | None = None
        self.commands: list[ScsiCommand] = []
        self.others: list[Pdu] = []
        self.lost = False
        self.unit_attention = False
        self.pieces: list[bytes] = []
        self._framer = Framer(1 << 20)
        self._login: TargetLogin | None = None
        self._stat_sn = 0
        self._exp_cmd_sn = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.local: str = transport.get_extra_info("sockname")[0]
        self.target.connections.append(self)
        self._login = TargetLogin(
            gate=Gate(identify_with=self.target.gates[self.local]()),
            wishes=OperationalKeys(initial_r2t=False, max_recv_data_segment_length=65536, default_time2wait=0),
            stat_sn=1,
            random_bytes=stream(1, "scripted").bytes,
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        for pdu in self._framer.receive(data):
            if isinstance(pdu, LoginRequest):
                self._on_login(pdu)
            elif not self.target.deaf:
                self._on_pdu(pdu)

    def _on_login(self, request: LoginRequest) -> None:
        self.first = self.first or request
        if self.target.hangs_up:
            self.transport.close()
            return
        if self.target.mute_logins:
            return
        assert self._login is not None
        for response in self._login.receive(request):
            self.transport.write(encode(response))
        outcome = self._login.outcome
        if isinstance(outcome, TargetLoginDone):
            self._stat_sn, self._exp_cmd_sn = outcome.stat_sn, outcome.cmd_sn
            self.unit_attention = True
        elif outcome is not None:
            self.transport.close()

    def _on_pdu(self, pdu: Any) -> None:
        if isinstance(pdu, ScsiCommand):
            self._exp_cmd_sn = pdu.cmd_sn + 1 & 0xFFFFFFFF
            self.commands.append(pdu)
            if self.target.answers(pdu):
                self.answer(pdu)
            return
        self.others.append(pdu)
        if isinstance(pdu, LogoutRequest):
            self.say(LogoutResponse, itt=pdu.itt)
            self.transport.close()
        elif isinstance(pdu, TmfRequest) and self.target.tmf_answer is not None:
            self.say(TmfResponse, itt=pdu.itt, response=self.target.tmf_answer)
        elif isinstance(pdu, TextRequest):
            self.say(TextResponse, itt=pdu.itt, data=self.target.send_targets)
        elif isinstance(pdu, NopOut) and pdu.itt != RESERVED_TAG:
            self.say(NopIn, itt=pdu.itt)

    def answer(self, command: ScsiCommand) -> None:
        """Complete a command: GOOD, with zeros for a read; or the unit attention that is due."""
        if self.unit_attention:
            self.unit_attention = False
            sense = POWER_ON_OR_RESET.fixed()
            data = len(sense).to_bytes(2, "big") + sense
            under = {"underflow": command.edtl > 0, "residual": command.edtl}
            self.say(ScsiResponse, itt=command.itt, status=ScsiStatus.CHECK_CONDITION, data=data, **under)
        elif command.read:
            self.say(DataIn, itt=command.itt, has_status=True, data=bytes(command.edtl))
        else:
            self.say(ScsiResponse, itt=command.itt)

    def ask_for_logout(self, within_s: int = 10) -> None:
        self.say(AsyncMessage, event=AsyncEvent.LOGOUT_REQUEST, param3=within_s)

    def say(self, kind: Callable[..., Pdu], **values: Any) -> None:
        """Write a PDU with the next StatSN."""
        stat_sn, self._stat_sn = self._stat_sn, self._stat_sn + 1 & 0xFFFFFFFF
        window = {"exp_cmd_sn": self._exp_cmd_sn, "max_cmd_sn": self._exp_cmd_sn + 63 & 0xFFFFFFFF}
        self.transport.write(encode(kind(stat_sn=stat_sn, **window, **values)))
