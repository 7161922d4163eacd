"""The target's end of a login: requests in, responses out, and at last a session, a redirect or a refusal.

The array behind it is asked twice, through `LoginGate`: whether to admit, redirect or refuse this initiator, as soon as
the first set of keys is complete; and for a TSIH when everything else is agreed. A redirect is therefore the first
thing an initiator hears, before any authentication: libiscsi cannot follow one that comes after CHAP. A gate may still
redirect at the second question, as RFC 7143 11.13.5 allows.

Whatever the peer does wrong becomes a Login Response with the status the RFC names for it; nothing is raised for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iscsi import serial
from iscsi.chap import CHAP_KEYS, ChapPolicy, ChapState, ChapTarget, RandomBytes
from iscsi.constants import RESERVED_TAG, LoginStatus, Stage
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.keys import Side
from iscsi.login import (
    MAX_LOGIN_EXCHANGES,
    SUPPORTED_VERSION,
    LoginText,
    Step,
    request_complaint,
    response_complaint,
    stage_after,
)
from iscsi.login_gate import Admit, Agreement, CommandNumbers, LoginGate, LoginIdentity, Redirect, Refuse
from iscsi.names import name_complaint
from iscsi.negotiation import Negotiation, OperationalKeys, SessionParameters
from iscsi.pdu import LoginRequest, LoginResponse
from iscsi.text import KeyValue, encode_keys, parse_list


@dataclass(frozen=True, slots=True)
class TargetLoginDone:
    """The connection is in the full-feature phase once the last response is sent."""

    identity: LoginIdentity
    params: SessionParameters
    tsih: int
    stat_sn: int  # of the next response
    cmd_sn: int  # of the first command: the login's own
    authenticated_as: str | None = None  # the CHAP name, when CHAP was demanded


@dataclass(frozen=True, slots=True)
class TargetLoginEnded:
    """Close the TCP connection once the last response is sent."""

    status: LoginStatus
    reason: str


class TargetLogin:
    """One login phase on one TCP connection, without I/O.

    ``stat_sn`` is what the first response carries. ``command_window`` is how many commands the initiator may send
    before it hears of a MaxCmdSN again.
    """

    def __init__(
        self,
        *,
        gate: LoginGate,
        wishes: OperationalKeys,
        stat_sn: int,
        random_bytes: RandomBytes,
        command_window: int = 64,
    ) -> None:
        self._gate = gate
        self._wishes = wishes
        self._stat_sn = stat_sn
        self._random_bytes = random_bytes
        self._command_window = command_window
        self._first: LoginRequest | None = None
        self._exchanges = 0
        self._stage: Stage | None = None
        self._before: Step | None = None
        self._text = LoginText(Side.INITIATOR)
        self._who: LoginIdentity | None = None
        self._policy: ChapPolicy | None = None
        self._window: CommandNumbers | None = None
        self._alias = ""
        self._chap: ChapTarget | None = None
        self._negotiation: Negotiation | None = None
        self.outcome: TargetLoginDone | TargetLoginEnded | None = None

    def receive(self, request: LoginRequest) -> list[LoginResponse]:
        """Answer one request; afterwards `outcome` says whether the login has ended, and how.

        Raises:
            LocalProtocolError: the login has already ended.
        """
        if self.outcome is not None:
            raise LocalProtocolError("this login has ended")
        try:
            return [self._exchange(request)]
        except RemoteProtocolError as error:
            status = error.login_status or LoginStatus.INITIATOR_ERROR
            return [self._end(request, status, str(error))]

    def receive_other(self) -> list[LoginResponse]:
        """Another PDU than a login request came in: refuse it, or say nothing before the first (RFC 7143 6.3)."""
        status, reason = LoginStatus.INVALID_DURING_LOGIN, "another PDU than a login request"
        if self.outcome is not None:
            raise LocalProtocolError("this login has ended")
        if self._first is None:
            self.outcome = TargetLoginEnded(status, reason)
            return []
        return [self._end(self._first, status, reason)]

    def _exchange(self, request: LoginRequest) -> LoginResponse:
        self._check_header(request)
        step = Step.of(request)
        if complaint := request_complaint(self._stage, self._before, step):
            raise RemoteProtocolError(complaint, login_status=LoginStatus.INITIATOR_ERROR)
        if not self._text.sending:
            pairs = self._text.receive(step)
            if pairs is not None:
                ending = self._take(request, pairs)
                if ending is not None:
                    return self._turn_away(request, ending)
        return self._reply(request, step)

    def _check_header(self, request: LoginRequest) -> None:
        self._exchanges += 1
        if self._exchanges > MAX_LOGIN_EXCHANGES:
            raise _bad(f"the login has not ended after {MAX_LOGIN_EXCHANGES} requests")
        if request.version_min > SUPPORTED_VERSION:
            message = f"version {request.version_min} or later is asked for, only {SUPPORTED_VERSION} is known"
            raise _bad(message, LoginStatus.UNSUPPORTED_VERSION)
        if self._first is None:
            if request.itt == RESERVED_TAG:
                raise _bad("the login's task tag is the reserved one")
            self._first = request
        for name in ("itt", "isid", "tsih", "cid", "version_min"):
            if getattr(request, name) != getattr(self._first, name):
                raise _bad(f"{name} changed within the login: expected the first request's")

    def _take(self, request: LoginRequest, pairs: list[KeyValue]) -> Redirect | Refuse | None:
        """Digest one complete set of the initiator's keys and queue what there is to say to it."""
        keys = dict(pairs)
        answers: list[KeyValue] = []
        if self._negotiation is None:
            self._who = _identity(request, keys)
            verdict = self._gate.identify(self._who)
            if not isinstance(verdict, Admit):
                return verdict
            self._policy, self._window, self._alias = verdict.chap, verdict.window, verdict.alias
            self._negotiation = Negotiation(
                Side.TARGET, self._wishes, discovery=self._who.discovery, leading=request.tsih == 0
            )
            answers += self._negotiation.declare("TargetPortalGroupTag", verdict.tpgt)
        elif late := [name for name in ("TargetName", "SessionType") if name in keys]:
            raise _bad(f"{late[0]} belongs in the first request")
        if request.csg == Stage.SECURITY:
            answers += self._authenticate(keys, request.transit)
        elif not self._authenticated:
            raise _bad("CHAP is demanded: a login cannot begin after it", LoginStatus.AUTHENTICATION_FAILURE)
        negotiation = self._negotiation
        answers += negotiation.receive(pair for pair in pairs if pair[0] not in _AUTHENTICATION)
        if request.csg == Stage.OPERATIONAL:
            if self._alias:
                answers.append(("TargetAlias", self._alias))
                self._alias = ""
            answers += negotiation.offer(["MaxRecvDataSegmentLength"])
            if request.transit:
                if unanswered := negotiation.unanswered:
                    raise _bad(f"{unanswered[0]} was offered and not answered")
                answers += negotiation.offer(negotiation.what_defaults_miss())
        self._text.load(answers)
        return None

    @property
    def _authenticated(self) -> bool:
        return self._policy is None or (self._chap is not None and self._chap.state is ChapState.DONE)

    def _authenticate(self, keys: Mapping[str, str], transit: bool) -> list[KeyValue]:
        answers: list[KeyValue] = []
        proof = {name: keys[name] for name in CHAP_KEYS if name in keys}
        if self._chap is not None and self._chap.state is not ChapState.DONE and not proof:
            due = "CHAP_A" if self._chap.state is ChapState.ALGORITHM else "CHAP_R"
            raise _bad(f"{due} is missing", LoginStatus.MISSING_PARAMETER)
        if "AuthMethod" in keys:
            wanted = "None" if self._policy is None else "CHAP"
            if wanted not in parse_list("AuthMethod", keys["AuthMethod"]):
                message = f"AuthMethod={keys['AuthMethod'][:40]}: only {wanted} is possible here"
                raise _bad(message, LoginStatus.AUTHENTICATION_FAILURE)
            if self._policy is not None:
                self._chap = ChapTarget(self._policy, self._random_bytes)
            answers.append(("AuthMethod", wanted))
        if proof:
            if self._chap is None:
                raise _bad("CHAP pairs without AuthMethod=CHAP")
            answers += self._chap.receive(proof)
        if transit and self._policy is not None and self._chap is None:
            message = "CHAP is demanded and the initiator does not offer it"
            raise _bad(message, LoginStatus.AUTHENTICATION_FAILURE)
        return answers

    def _reply(self, request: LoginRequest, step: Step) -> LoginResponse:
        data, cont = self._text.next_part()
        granted = None if cont or not step.transit else self._grant(step)
        response = Step(granted is not None, cont, step.csg, int(granted or 0), data)
        if complaint := response_complaint(step, response):
            raise LocalProtocolError(complaint)
        tsih = request.tsih
        if granted is Stage.FULL_FEATURE:
            assert self._who is not None
            assert self._negotiation is not None
            params = self._negotiation.parameters()
            name = self._chap.authenticated_as if self._chap is not None else None
            verdict = self._gate.complete(self._who, Agreement(params, request.cmd_sn, name))
            if not isinstance(verdict, int):
                return self._turn_away(request, verdict)
            if not 1 <= verdict <= 0xFFFF:
                raise LocalProtocolError(f"the gate gave TSIH {verdict}: expected 1 to 65535")
            tsih = verdict
            self.outcome = TargetLoginDone(self._who, params, tsih, serial.add(self._stat_sn, 1), request.cmd_sn, name)
        self._before, self._stage = response, stage_after(step, response)
        stat_sn, self._stat_sn = self._stat_sn, serial.add(self._stat_sn, 1)
        window = self._window
        return LoginResponse(
            transit=response.transit,
            cont=response.cont,
            csg=response.csg,
            nsg=response.nsg,
            version_max=SUPPORTED_VERSION,
            version_active=SUPPORTED_VERSION,
            isid=request.isid,
            tsih=tsih,
            itt=request.itt,
            stat_sn=stat_sn,
            exp_cmd_sn=request.cmd_sn if window is None else window.exp_cmd_sn,
            max_cmd_sn=serial.add(request.cmd_sn, self._command_window - 1) if window is None else window.max_cmd_sn,
            data=data,
        )

    def _grant(self, step: Step) -> Stage | None:
        """The stage to move to now that the initiator is ready for ``step.nsg``, None to stay."""
        assert self._negotiation is not None
        if step.csg == Stage.OPERATIONAL:
            return None if self._negotiation.unanswered else Stage(step.nsg)
        if not self._authenticated:
            return None
        return Stage.OPERATIONAL if self._negotiation.what_defaults_miss() else Stage(step.nsg)

    def _turn_away(self, request: LoginRequest, verdict: Redirect | Refuse) -> LoginResponse:
        if isinstance(verdict, Refuse):
            return self._end(request, verdict.status, "refused by the array")
        status = LoginStatus.MOVED_PERMANENTLY if verdict.permanent else LoginStatus.MOVED_TEMPORARILY
        data = encode_keys([("TargetAddress", verdict.address.redirect_value)])
        return self._end(request, status, f"redirected to {verdict.address.redirect_value}", data)

    def _end(self, request: LoginRequest, status: LoginStatus, reason: str, data: bytes = b"") -> LoginResponse:
        """A response that ends the login: its flags, stages and sequence numbers are reserved (11.13.5)."""
        self.outcome = TargetLoginEnded(status, reason)
        return LoginResponse(isid=request.isid, tsih=request.tsih, itt=request.itt, status=int(status), data=data)


_AUTHENTICATION = ("AuthMethod", *CHAP_KEYS)


def _identity(request: LoginRequest, keys: Mapping[str, str]) -> LoginIdentity:
    session_type = keys.get("SessionType", "Normal")
    if session_type not in ("Normal", "Discovery"):
        raise _bad(f"SessionType={session_type[:40]}", LoginStatus.SESSION_TYPE_NOT_SUPPORTED)
    discovery = session_type == "Discovery"
    needed = ("InitiatorName",) if discovery else ("InitiatorName", "TargetName")
    for name in needed:
        if name not in keys:
            raise _bad(f"{name} is missing from the first request", LoginStatus.MISSING_PARAMETER)
    if complaint := name_complaint(keys["InitiatorName"]):
        raise _bad(complaint)
    return LoginIdentity(
        initiator_name=keys["InitiatorName"],
        target_name=keys.get("TargetName"),
        discovery=discovery,
        isid=request.isid,
        tsih=request.tsih,
        cid=request.cid,
        initiator_alias=keys.get("InitiatorAlias"),
    )


def _bad(message: str, status: LoginStatus = LoginStatus.INITIATOR_ERROR) -> RemoteProtocolError:
    return RemoteProtocolError(message, login_status=status)
