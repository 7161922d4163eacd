"""The initiator's end of a login: requests out, responses in, and at last a session, another address or a failure.

It begins in the security stage with its names and the authentication it is ready for, goes through CHAP when the target
wants that, offers its operational keys and asks for the full-feature phase. A redirect is taken at any point, before
authentication (a SHOULD) and after it (a MUST of RFC 7143 11.13.5); whether to trust one that comes before is the
business of whoever reads the outcome. What a target does wrong is raised as `RemoteProtocolError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from iscsi import serial
from iscsi.chap import CHAP_KEYS, DEFAULT_OFFER, ChapCredentials, ChapInitiator, ChapState, RandomBytes
from iscsi.constants import LoginStatus, Stage
from iscsi.discovery import TargetAddress
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
from iscsi.names import name_complaint
from iscsi.negotiation import Negotiation, OperationalKeys, SessionParameters, needs_answer
from iscsi.pdu import LoginRequest, LoginResponse
from iscsi.text import KeyValue, decode_keys


@dataclass(frozen=True, slots=True)
class LoginDone:
    """The connection is in the full-feature phase. The first command carries the login's own CmdSN."""

    params: SessionParameters
    tsih: int
    exp_stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int


@dataclass(frozen=True, slots=True)
class LoginRedirected:
    """Close TCP and log in at ``address`` from the start."""

    address: TargetAddress
    permanent: bool


@dataclass(frozen=True, slots=True)
class LoginFailed:
    """Close TCP. Class 2 (0x02xx) asks not to try again, class 3 allows it later (RFC 7143 11.13.5)."""

    status: LoginStatus
    reason: str


class InitiatorLogin:
    """One login phase on one TCP connection, without I/O.

    ``target_name`` None means a discovery session; ``isid`` is 6 bytes; ``tsih`` is 0 for a new session. With
    ``chap`` the initiator is ready to prove itself; with ``mutual_chap`` it demands that the target does so too;
    ``chap_algorithms`` are offered in that order.

    Raises:
        ValueError: a name, an ISID or a pair of secrets that no login could use.
    """

    def __init__(
        self,
        *,
        initiator_name: str,
        target_name: str | None,
        isid: bytes,
        tsih: int = 0,
        cid: int = 0,
        itt: int,
        cmd_sn: int,
        wishes: OperationalKeys,
        chap: ChapCredentials | None = None,
        mutual_chap: ChapCredentials | None = None,
        random_bytes: RandomBytes,
        initiator_alias: str | None = None,
        chap_algorithms: tuple[int, ...] = DEFAULT_OFFER,
    ) -> None:
        if complaint := name_complaint(initiator_name):
            raise ValueError(complaint)
        if len(isid) != 6:
            raise ValueError(f"ISID of {len(isid)} bytes: expected 6")
        if mutual_chap is not None and chap is None:
            raise ValueError("mutual CHAP without one-way CHAP: expected credentials for both directions")
        self._header = LoginRequest(isid=isid, tsih=tsih, cid=cid, itt=itt, cmd_sn=cmd_sn)
        self._names: list[KeyValue] = [("InitiatorName", initiator_name)]
        if initiator_alias is not None:
            self._names.append(("InitiatorAlias", initiator_alias))
        if target_name is not None:
            self._names.append(("TargetName", target_name))
        self._names.append(("SessionType", "Discovery" if target_name is None else "Normal"))
        # "None" is left out when the target must prove itself: otherwise it could choose not to.
        self._methods = ("None",) if chap is None else ("CHAP",) if mutual_chap is not None else ("CHAP", "None")
        self._chap = None if chap is None else ChapInitiator(chap, mutual_chap, random_bytes, chap_algorithms)
        self._method: str | None = None
        self._negotiation = Negotiation(Side.INITIATOR, wishes, discovery=target_name is None, leading=tsih == 0)
        self._text = LoginText(Side.TARGET)
        self._stage: Stage | None = None
        self._aim: Stage | None = None  # the stage asked for once our keys are out; None: not ready to move
        self._request: Step | None = None
        self._response: Step | None = None
        self._exchanges = 0
        self._exp_stat_sn: int | None = None
        self._ended = False
        self.outcome: LoginDone | LoginRedirected | LoginFailed | None = None

    def start(self) -> list[LoginRequest]:
        """The first request; to be called once."""
        if self._request is not None:
            raise LocalProtocolError("this login has started already")
        self._stage = Stage.SECURITY
        aim = Stage.OPERATIONAL if self._chap is None else None
        return [self._say([*self._names, ("AuthMethod", ",".join(self._methods))], aim)]

    def receive(self, response: LoginResponse) -> list[LoginRequest]:
        """Take the target's response, return the next request; none once `outcome` says how the login ended.

        Raises:
            RemoteProtocolError: the target broke a rule; close TCP, this login is over.
            LocalProtocolError: the login has not started or is over.
        """
        if self._request is None or self._ended:
            raise LocalProtocolError("no login is under way")
        try:
            requests = self._receive(response, self._request)
        except RemoteProtocolError:
            self._ended = True
            raise
        self._ended = self.outcome is not None
        return requests

    def _receive(self, response: LoginResponse, request: Step) -> list[LoginRequest]:
        if response.itt != self._header.itt:
            raise RemoteProtocolError(f"login response carries task tag {response.itt}, expected {self._header.itt}")
        if response.status != LoginStatus.SUCCESS:
            self.outcome = _failure(response)
            return []
        self._check_header(response)
        step = Step.of(response)
        if complaint := response_complaint(request, step):
            raise RemoteProtocolError(complaint)
        self._response, self._stage = step, stage_after(request, step)
        if self._text.sending:
            return [self._next_request()]
        pairs = self._text.receive(step)
        if pairs is None:
            return [self._next_request()]
        if step.csg == Stage.SECURITY:
            return self._after_security(pairs, step)
        return self._after_operational(pairs, step, response)

    def _check_header(self, response: LoginResponse) -> None:
        if response.version_active != SUPPORTED_VERSION:
            raise RemoteProtocolError(f"the target speaks version {response.version_active}, expected 0")
        if response.isid != self._header.isid:
            raise RemoteProtocolError("login response carries another ISID than the request")
        if self._exp_stat_sn is not None and response.stat_sn != self._exp_stat_sn:
            raise RemoteProtocolError(f"login response has StatSN {response.stat_sn}, expected {self._exp_stat_sn}")
        self._exp_stat_sn = serial.add(response.stat_sn, 1)

    def _after_security(self, pairs: list[KeyValue], step: Step) -> list[LoginRequest]:
        say = self._authenticate(dict(pairs))
        say += self._negotiate(pairs, step)
        if not step.transit:
            waiting = self._method == "CHAP" and self._chap is not None and self._chap.state is ChapState.ALGORITHM
            return [self._say(say, None if waiting else Stage.OPERATIONAL)]
        if say:
            raise RemoteProtocolError(f"the target leaves the security stage with {say[0][0]} still due")
        return [self._say(self._negotiation.offer(), Stage.FULL_FEATURE)]

    def _authenticate(self, keys: Mapping[str, str]) -> list[KeyValue]:
        """Our next word in CHAP, if it takes one; refuses a target that leaves out a step of it."""
        if (method := keys.get("AuthMethod")) is not None:
            if method not in self._methods:
                expected = ",".join(self._methods)
                raise RemoteProtocolError(f"the target chose AuthMethod={method[:40]}, expected one of {expected}")
            self._method = method
        proof = {name: keys[name] for name in CHAP_KEYS if name in keys}
        if self._chap is None or self._method != "CHAP":
            if proof:
                raise RemoteProtocolError("the target sends CHAP pairs without having chosen AuthMethod=CHAP")
            if self._chap is not None and self._method is None:
                raise RemoteProtocolError("the target does not choose an AuthMethod")
            return []
        if method is not None:
            if proof:
                raise RemoteProtocolError("the target sends CHAP pairs before it has seen CHAP_A")
            return self._chap.offer()
        if self._chap.state is ChapState.DONE and not proof:
            return []
        return self._chap.receive(proof)

    def _negotiate(self, pairs: list[KeyValue], step: Step) -> list[KeyValue]:
        offers = dict(pairs)
        answers = self._negotiation.receive(pair for pair in pairs if pair[0] not in _AUTHENTICATION)
        if not step.transit:
            return answers
        for name, _ in answers:
            if needs_answer(name, offers[name]):
                raise RemoteProtocolError(f"the target leaves the stage while {name} needs our answer")
        return []

    def _after_operational(self, pairs: list[KeyValue], step: Step, response: LoginResponse) -> list[LoginRequest]:
        answers = self._negotiate(pairs, step)
        if not step.transit:
            return [self._say(answers, Stage.FULL_FEATURE)]
        if unanswered := self._negotiation.unanswered:
            raise RemoteProtocolError(f"the target ends the login without an answer to {unanswered[0]}")
        if response.tsih == 0 or self._header.tsih not in (0, response.tsih):
            raise RemoteProtocolError(f"the final login response has TSIH {response.tsih}")
        self.outcome = LoginDone(
            params=self._negotiation.parameters(),
            tsih=response.tsih,
            exp_stat_sn=serial.add(response.stat_sn, 1),
            exp_cmd_sn=response.exp_cmd_sn,
            max_cmd_sn=response.max_cmd_sn,
        )
        return []

    def _say(self, pairs: list[KeyValue], aim: Stage | None) -> LoginRequest:
        self._text.load(pairs)
        self._aim = aim
        return self._next_request()

    def _next_request(self) -> LoginRequest:
        """The next part of our text, or an empty "go on"; T=1 with the last part when we are ready to move."""
        self._exchanges += 1
        if self._exchanges > MAX_LOGIN_EXCHANGES:
            raise RemoteProtocolError(f"the login has not ended after {MAX_LOGIN_EXCHANGES} requests")
        assert self._stage is not None
        data, cont = self._text.next_part()
        aim = None if cont else self._aim
        step = Step(aim is not None, cont, int(self._stage), int(aim or 0), data)
        stage = self._stage if self._request is not None else None
        if complaint := request_complaint(stage, self._response, step):
            raise LocalProtocolError(complaint)
        self._request = step
        return replace(
            self._header,
            transit=step.transit,
            cont=cont,
            csg=step.csg,
            nsg=step.nsg,
            exp_stat_sn=self._exp_stat_sn or 0,
            data=data,
        )


_AUTHENTICATION = ("AuthMethod", *CHAP_KEYS)
_KNOWN_STATUS = {status.value: status for status in LoginStatus}
_CLASS_STATUS = {0x02: LoginStatus.INITIATOR_ERROR, 0x03: LoginStatus.TARGET_ERROR}
"""What an unknown detail of a class counts as."""


def _failure(response: LoginResponse) -> LoginRedirected | LoginFailed:
    if response.status in (LoginStatus.MOVED_TEMPORARILY, LoginStatus.MOVED_PERMANENTLY):
        permanent = response.status == LoginStatus.MOVED_PERMANENTLY
        return LoginRedirected(_redirect_address(response.data), permanent)
    status = _KNOWN_STATUS.get(response.status) or _CLASS_STATUS.get(response.status >> 8)
    if status is None:
        raise RemoteProtocolError(f"login response has status 0x{response.status:04x}, which means nothing")
    return LoginFailed(status, f"the target refused the login: 0x{response.status:04x} {status.name}")


def _redirect_address(data: bytes) -> TargetAddress:
    """The first of the addresses given that can be read."""
    complaint = "there is no TargetAddress"
    try:
        for name, value in decode_keys(data):
            if name == "TargetAddress":
                try:
                    return TargetAddress.parse(value)
                except RemoteProtocolError as error:
                    complaint = str(error)
    except RemoteProtocolError as error:
        complaint = str(error)
    raise RemoteProtocolError(f"the target redirects the login but does not say where: {complaint}")
