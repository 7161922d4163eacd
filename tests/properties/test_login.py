"""The login machines against random peers: they refuse or agree, within a bound, and nobody slips past CHAP."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import event, given, settings
from hypothesis import strategies as st

from iscsi.chap import Challenge
from iscsi.constants import LoginStatus
from iscsi.discovery import TargetAddress
from iscsi.errors import RemoteProtocolError
from iscsi.keys import ANY_STAGE, KEYS
from iscsi.login import MAX_LOGIN_EXCHANGES
from iscsi.login_gate import Admit, Redirect, Refuse
from iscsi.login_initiator import LoginDone
from iscsi.login_target import TargetLoginDone, TargetLoginEnded
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LoginRequest, LoginResponse
from iscsi.text import encode_keys, format_binary
from tests.support.logins import ARRAY, HOST, HOST_NAME, ISID, NAMES, POLICY, Gate, converse, initiator, keys, target

values = st.sampled_from(
    [
        *("Yes", "No", "None", "CHAP", "CHAP,None", "CRC32C", "Reject", "Irrelevant", "NotUnderstood", "Normal"),
        *("Discovery", "0", "1", "5", "7", "8192", "4096", "0x00", HOST_NAME, "w2k3", "192.168.51.2:3260", ""),
        *(format_binary(bytes(size)) for size in (16, 32)),
    ]
)
texts = st.one_of(
    st.lists(st.tuples(st.sampled_from([*KEYS, "X-com.example.turbo"]), values), max_size=6).map(encode_keys),
    st.just(b""),
    st.binary(max_size=64),
)
stages = st.sampled_from([0, 0, 1, 1, 2, 3])
mostly_false = st.sampled_from([False, False, False, True])
requests = st.builds(
    LoginRequest,
    transit=st.booleans(),
    cont=mostly_false,
    csg=stages,
    nsg=stages,
    version_min=st.sampled_from([0] * 20 + [1]),
    isid=st.just(ISID),
    tsih=st.sampled_from([0] * 20 + [9]),
    itt=st.sampled_from([1] * 20 + [2, 0xFFFFFFFF]),
    data=texts,
)
verdicts = st.sampled_from(
    [
        Admit(1),
        Admit(1, POLICY),
        Admit(1, POLICY),
        Redirect(TargetAddress("192.168.51.2")),
        Refuse(LoginStatus.NOT_FOUND),
    ]
)
completions = st.sampled_from([1, 0xFFFF, Refuse(LoginStatus.OUT_OF_RESOURCES), Redirect(TargetAddress("::1"))])
array_wishes = st.sampled_from(
    [OperationalKeys(), OperationalKeys(max_recv_data_segment_length=65536, max_burst_length=65536)]
)
named = st.builds(
    lambda request, more: replace(request, data=encode_keys(NAMES) + more), requests, st.just(b"") | texts
)


fair_text = st.sampled_from([b"", encode_keys([("AuthMethod", "None")]), encode_keys([("AuthMethod", "CHAP,None")])])
fair = st.builds(lambda more: LoginRequest(isid=ISID, itt=1, cmd_sn=100, data=encode_keys(NAMES) + more), fair_text)
moods = st.sampled_from(["as it comes", "in the right stage", *["ready to move on"] * 4])


@settings(deadline=None, max_examples=400)
@given(
    st.one_of(fair, fair, named, requests),
    st.lists(st.tuples(requests, moods), max_size=MAX_LOGIN_EXCHANGES + 8),
    verdicts,
    completions,
    array_wishes,
)
def test_any_initiator_is_answered_until_the_login_ends(
    first: LoginRequest,
    more: list[tuple[LoginRequest, str]],
    verdict: Admit | Redirect | Refuse,
    completion: int | Redirect | Refuse,
    wishes: OperationalKeys,
) -> None:
    gate = Gate(identify_with=verdict, complete_with=completion)
    login = target(gate, wishes=wishes)
    answered, stage, following = 0, first.csg, [(first, "as it comes"), *more]
    for request, mood in following:
        if mood != "as it comes":
            request = replace(request, itt=1, tsih=first.tsih, csg=stage)
        if mood == "ready to move on":
            request = replace(request, transit=True, cont=False, nsg=3, data=b"")
        (response,) = login.receive(request)
        answered += 1
        assert not (response.cont and response.transit)
        assert len(response.data) <= 8192
        if login.outcome is not None:
            break
        assert response.status == LoginStatus.SUCCESS
        assert response.tsih == request.tsih
        stage = response.nsg if response.transit else response.csg

    assert answered <= MAX_LOGIN_EXCHANGES + 1
    assert len(gate.asked) <= 1
    event(type(login.outcome).__name__)
    if isinstance(login.outcome, TargetLoginDone):
        assert response.tsih == completion
        assert verdict == Admit(1), "CHAP cannot be passed by guessing"
        assert login.outcome.authenticated_as is None
    elif isinstance(login.outcome, TargetLoginEnded):
        assert response.status == login.outcome.status != LoginStatus.SUCCESS
        assert (response.transit, response.csg, response.nsg, response.stat_sn) == (False, 0, 0, 0)


responses = st.builds(
    LoginResponse,
    transit=st.booleans(),
    cont=mostly_false,
    csg=stages,
    nsg=stages,
    isid=st.just(ISID),
    tsih=st.sampled_from([0, 1]),
    itt=st.sampled_from([1] * 20 + [2]),
    status=st.sampled_from([0] * 20 + [0x0101, 0x0102, 0x0201, 0x0300, 0x0100, 0x0900]),
    data=texts,
)
granting = st.sampled_from(["as it comes", "in the stage asked about", "granting all", "agreeing to all"])


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(responses, granting), max_size=MAX_LOGIN_EXCHANGES + 8), st.sampled_from([0, 1, 2]))
def test_any_target_is_refused_or_leads_to_an_outcome(said: list[tuple[LoginResponse, str]], chap: int) -> None:
    login = initiator(chap=HOST if chap else None, mutual_chap=ARRAY if chap == 2 else None)
    (request,) = login.start()
    sent = 1
    for number, (response, mood) in enumerate(said):
        response = replace(response, stat_sn=number)
        if mood != "as it comes":
            response = replace(response, csg=request.csg)
        if mood in ("granting all", "agreeing to all"):
            response = replace(response, transit=request.transit, cont=False, nsg=request.nsg, status=0, itt=1)
        if mood == "agreeing to all":
            answers = [
                (key, text.split(",")[0]) for key, text in keys(request).items() if KEYS[key].stages != ANY_STAGE
            ]
            response = replace(response, tsih=1, data=encode_keys(answers))
        try:
            following = login.receive(response)
        except RemoteProtocolError:
            event("refused")
            assert login.outcome is None
            return
        assert len(following) == (login.outcome is None)
        if login.outcome is not None:
            break
        (request,) = following
        sent += 1
        assert (request.itt, request.cmd_sn, request.isid) == (1, 100, ISID)

    assert sent <= MAX_LOGIN_EXCHANGES
    event(type(login.outcome).__name__)
    assert not (isinstance(login.outcome, LoginDone) and chap == 2), "mutual CHAP cannot be passed by guessing"


Pdu = TypeVar("Pdu", LoginRequest, LoginResponse)
changes = st.fixed_dictionaries(
    {},
    optional={
        "transit": st.booleans(),
        "cont": st.booleans(),
        "csg": stages,
        "nsg": stages,
        "isid": st.sampled_from([ISID, bytes(6)]),
        "tsih": st.sampled_from([0, 1, 0x51]),
        "itt": st.sampled_from([1, 2]),
        "data": texts,
    },
)


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 7), changes, st.sampled_from([0, 1, 2]), st.booleans())
def test_one_pdu_changed_on_the_way_does_no_more_than_end_the_login(
    turn: int, change: dict[str, Any], chap: int, demanded: bool
) -> None:
    host = initiator(chap=HOST if chap else None, mutual_chap=ARRAY if chap == 2 else None)
    array = target(Gate(identify_with=Admit(1, POLICY if demanded else None)))
    passed = 0

    def pass_on(pdu: Pdu) -> Pdu:
        nonlocal passed
        passed += 1
        return replace(pdu, **change) if passed == turn + 1 else pdu

    try:
        requests = host.start()
        while requests and array.outcome is None:
            responses = [answer for asked in requests for answer in array.receive(pass_on(asked))]
            requests = [asked for answer in responses for asked in host.receive(pass_on(answer))]
    except RemoteProtocolError:
        event("refused by the initiator")

    assert passed <= 2 * MAX_LOGIN_EXCHANGES
    event(f"{type(host.outcome).__name__} {type(array.outcome).__name__}")
    if isinstance(array.outcome, TargetLoginDone) and demanded:
        assert array.outcome.authenticated_as == HOST.name
    if isinstance(host.outcome, LoginDone):
        assert isinstance(array.outcome, TargetLoginDone)
        assert chap < 2 or demanded


secrets = st.sampled_from([HOST.secret, ARRAY.secret, b"a wrong secret"])


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["w2k3", "ps100", "someone"]), secrets, st.booleans(), st.booleans(), st.integers())
def test_chap_lets_in_exactly_who_holds_the_secret(
    name: str, secret: bytes, counter: bool, reflect: bool, seed: int
) -> None:
    login = target(Gate(identify_with=Admit(1, POLICY)), random_bytes=random.Random(seed).randbytes)
    first = LoginRequest(isid=ISID, itt=1, data=encode_keys([*NAMES, ("AuthMethod", "CHAP")]))
    login.receive(first)
    (posed,) = login.receive(replace(first, data=encode_keys([("CHAP_A", "7")])))
    question = Challenge.read(7, keys(posed))
    proof = [("CHAP_N", name), ("CHAP_R", format_binary(question.answer(secret)))]
    if counter:
        value = question.value if reflect else bytes(32)
        proof += [("CHAP_I", "1"), ("CHAP_C", format_binary(value))]
    login.receive(replace(first, transit=True, nsg=3, data=encode_keys(proof)))

    honest = name == HOST.name and secret == HOST.secret and not (counter and reflect)
    assert isinstance(login.outcome, TargetLoginDone if honest else TargetLoginEnded)
    if isinstance(login.outcome, TargetLoginEnded):
        assert login.outcome.status is LoginStatus.AUTHENTICATION_FAILURE


@settings(deadline=None)
@given(st.sampled_from([0, 1, 2]), st.booleans(), st.booleans(), array_wishes, array_wishes, st.integers(0, 0xFFFFFFFF))
def test_both_ends_come_to_the_same_agreement(
    chap: int, demanded: bool, discovery: bool, ours: OperationalKeys, theirs: OperationalKeys, start: int
) -> None:
    host = initiator(
        chap=HOST if chap else None,
        mutual_chap=ARRAY if chap == 2 else None,
        wishes=ours,
        cmd_sn=start,
        **({"target_name": None} if discovery else {}),
    )
    array = target(Gate(identify_with=Admit(1, POLICY if demanded else None)), wishes=theirs, stat_sn=start)
    converse(host, array)

    possible = bool(chap) if demanded else chap < 2
    assert isinstance(host.outcome, LoginDone) == isinstance(array.outcome, TargetLoginDone) == possible
    if isinstance(host.outcome, LoginDone) and isinstance(array.outcome, TargetLoginDone):
        assert host.outcome.params == array.outcome.params.as_seen_by_peer()
        assert host.outcome.exp_stat_sn == array.outcome.stat_sn
        assert host.outcome.exp_cmd_sn == array.outcome.cmd_sn == start
