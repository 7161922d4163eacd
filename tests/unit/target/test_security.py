"""What docs/security.md claims of the array at work, where no other test shows it: one test for each claim."""

from __future__ import annotations

import ast
import ipaddress
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest

import iscsi.chap
from iscsi import scsi
from iscsi.chap import Challenge, ChapCredentials, ChapPolicy
from iscsi.constants import LoginStatus, LogoutReason, TmfFunction
from iscsi.login_initiator import InitiatorLogin, LoginDone, LoginFailed
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import (
    R2T,
    AsyncMessage,
    DataIn,
    DataOut,
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    Reject,
    ScsiCommand,
    ScsiResponse,
    SnackRequest,
    TextRequest,
    TextResponse,
    TmfRequest,
    TmfResponse,
)
from iscsi.text import decode_keys, encode_keys, format_binary
from target.config import AccessRule
from target.group import Group
from tests.support.array import (
    BLOCK,
    GROUP_ADDRESS,
    HOST,
    ISID,
    OTHER_HOST,
    PORTALS,
    SOURCE,
    VOLUME,
    Peer,
    discovering,
    disk_bytes,
    isid,
    logged_in,
    make_group,
    volume,
)

ALICE = ChapCredentials("alice", b"alice-secret-0123")
BOB = ChapCredentials("bob", b"bob-secret-456789")
ARRAY = ChapCredentials("ps100", b"array-secret-456")
OPEN_NETWORK = "192.168.60.7"
ABROAD = "10.0.0.7"


def rules(*users: ChapCredentials) -> tuple[AccessRule, ...]:
    """One host's: from its own network with CHAP as one of ``users``, from another network without."""
    chap = ChapPolicy(users, mutual=ARRAY)
    return (
        AccessRule(initiator=HOST, source=ipaddress.IPv4Network("192.168.50.0/24"), chap=chap),
        AccessRule(initiator=HOST, source=ipaddress.IPv4Network("192.168.60.0/24")),
    )


VAULT = volume(access=rules(ALICE, BOB))


def owner(group: Group) -> tuple[Peer, R2T]:
    """The first connection of Alice's session, a write of hers on its way: her data has been asked for."""
    peer = logged_in(group, chap=ALICE, max_connections=4, initial_r2t=True, immediate_data=False)
    (r2t,) = peer.send(peer.write_command(0, 1))
    assert isinstance(r2t, R2T)
    return peer, r2t


def sight(group: Group) -> list[Any]:
    """All that is to be seen of the sessions that there are."""
    return [
        (
            (each, each.state, list(each.connections.items()), list(each.lost), len(each.orphans), each.portal),
            (each.window.exp_cmd_sn, each.window.max_cmd_sn, None if each.tasks is None else each.tasks.waiting),
        )
        for each in group.sessions.all()
    ]


def unharmed(first: Peer, r2t: R2T, before: list[Any]) -> None:
    """Nothing of the session is touched, and its write ends well."""
    group = first.connection.group
    assert sight(group) == before
    assert not first.abandoned
    assert first.hear() == []
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    (answer,) = first.answer_r2t(r2t, b"x" * BLOCK)
    assert isinstance(answer, ScsiResponse)
    assert (answer.itt, answer.status) == (r2t.itt, 0)
    assert disk_bytes(group, 0, BLOCK) == b"x" * BLOCK


# -- nothing is served before authentication ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Login:
    """What a login asks for, and in how many exchanges it gets there."""

    target: str | None = VOLUME
    isid: bytes = ISID
    of_the_session: bool = False
    """With the owner's TSIH."""
    cid: int = 0
    exchanges: int = 4

    def tsih(self, first: Peer) -> int:
        return first.tsih if self.of_the_session else 0


NORMAL = {
    "a session of its own": Login(isid=isid(9)),
    "session reinstatement": Login(),
    "connection reinstatement": Login(of_the_session=True),
    "join": Login(of_the_session=True, cid=1),
}
DISCOVERY = {"discovery": Login(target=None, isid=isid(9), exchanges=2)}


def of_names(logins: dict[str, Login]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("login", logins.values(), ids=list(logins))


def steps_of(login: Login, peer: Peer, first: Peer) -> Iterator[None]:
    """The login with the right proof, an exchange at a time, until it has ended."""
    initiator = InitiatorLogin(
        initiator_name=HOST,
        target_name=login.target,
        isid=login.isid,
        tsih=login.tsih(first),
        cid=login.cid,
        itt=1,
        cmd_sn=peer.cmd_sn,
        wishes=OperationalKeys(),
        chap=None if login.target is None else ALICE,
        random_bytes=random.Random("host").randbytes,
    )
    requests = initiator.start()
    while requests:
        (answer,) = peer.send(*requests)
        assert isinstance(answer, LoginResponse)
        assert answer.status == 0
        yield
        requests = initiator.receive(answer)


def full_feature(first: Peer, r2t: R2T) -> list[Pdu]:
    """One of every PDU there is but a Login Request, made to hit the owner's session and task if it could."""
    cmd_sn, itt = first.cmd_sn, r2t.itt
    data, write = b"y" * BLOCK, scsi.write(0, 1, width=10).ljust(16, b"\0")
    return [
        ScsiCommand(itt=0x99, cmd_sn=cmd_sn, cdb=write, write=True, edtl=BLOCK, data=data),
        ScsiCommand(itt=0x99, cmd_sn=cmd_sn, cdb=write, write=True, edtl=BLOCK, data=data, immediate=True),
        DataOut(itt=itt, ttt=r2t.ttt, final=True, data=data),
        TmfRequest(function=TmfFunction.LOGICAL_UNIT_RESET, itt=0x99, immediate=True, cmd_sn=cmd_sn),
        TmfRequest(function=TmfFunction.ABORT_TASK, itt=0x99, referenced_task_tag=itt, immediate=True, cmd_sn=cmd_sn),
        TextRequest(itt=0x99, immediate=True, cmd_sn=cmd_sn, data=encode_keys([("SendTargets", "All")])),
        LogoutRequest(reason=LogoutReason.CLOSE_SESSION, itt=0x99, immediate=True, cmd_sn=cmd_sn),
        LogoutRequest(reason=LogoutReason.REMOVE_FOR_RECOVERY, cid=0, itt=0x99, immediate=True, cmd_sn=cmd_sn),
        SnackRequest(itt=itt),
        NopOut(itt=0x99, cmd_sn=cmd_sn, data=b"ping"),
        *(kind() for kind in (NopIn, ScsiResponse, TmfResponse, LoginResponse, TextResponse)),
        *(kind() for kind in (DataIn, LogoutResponse, R2T, AsyncMessage, Reject)),
    ]


@of_names(NORMAL | DISCOVERY)
def test_no_full_feature_pdu_is_served_before_the_login_is_over(login: Login) -> None:
    """At each point of a login, also of one that gives the right proof: the PDU is refused 0x020b, or not answered."""
    kinds = len(full_feature(*owner(make_group(VAULT))))
    for exchanges, number in product(range(login.exchanges), range(kinds)):
        group = make_group(VAULT)
        first, r2t = owner(group)
        before = sight(group)
        stranger = Peer(group, PORTALS[1])
        assert len(list(islice(steps_of(login, stranger, first), exchanges))) == exchanges
        pdu = full_feature(first, r2t)[number]
        answers = stranger.send(pdu, LoginRequest(), pdu)
        assert [getattr(answer, "status", None) for answer in answers] == [0x020B] * bool(exchanges)
        assert stranger.connection.closing
        stranger.hang_up()
        unharmed(first, r2t, before)


def test_every_kind_of_pdu_is_tried() -> None:
    tried = {type(pdu) for pdu in full_feature(*owner(make_group(VAULT)))}
    assert {kind.__name__ for kind in Pdu.__subclasses__()} - {kind.__name__ for kind in tried} == {"LoginRequest"}


@of_names(NORMAL | DISCOVERY)
def test_a_login_takes_as_many_exchanges_as_are_tried_here(login: Login) -> None:
    group = make_group(VAULT)
    first, _ = owner(group)
    peer = Peer(group, PORTALS[1])
    assert len(list(steps_of(login, peer, first))) == login.exchanges
    assert peer.connection.login is None


@pytest.mark.parametrize("address", [GROUP_ADDRESS, PORTALS[1]], ids=["after a redirect", "after a refusal"])
def test_no_pdu_is_looked_at_once_a_login_has_failed(address: str) -> None:
    group = make_group(VAULT)
    first, r2t = owner(group)
    before = sight(group)
    for pdu in full_feature(first, r2t):
        stranger = Peer(group, address)
        assert not isinstance(stranger.login(chap=replace(ALICE, secret=b"not-alice-secret")), LoginDone)
        assert stranger.send(pdu) == []
        assert stranger.connection.closing
    unharmed(first, r2t, before)


@of_names(NORMAL)
def test_before_the_end_of_a_login_nothing_of_the_session_it_names_is_touched(login: Login) -> None:
    """Whoever claims ISID, TSIH and CID and goes away again, at whatever point, has changed nothing."""
    for exchanges in range(login.exchanges):
        group = make_group(VAULT)
        first, r2t = owner(group)
        before = sight(group)
        stranger = Peer(group, PORTALS[1])
        for _ in islice(steps_of(login, stranger, first), exchanges):
            assert sight(group) == before
        stranger.hang_up()
        unharmed(first, r2t, before)


# -- access lists ------------------------------------------------------------------------------------------------------


@of_names(NORMAL)
@pytest.mark.parametrize(
    ("who", "statuses"),
    [
        ({"name": OTHER_HOST}, {LoginStatus.AUTHORIZATION_FAILURE}),
        ({"source": ABROAD}, {LoginStatus.AUTHORIZATION_FAILURE}),
        ({"chap": None}, {LoginStatus.AUTHENTICATION_FAILURE}),
        ({"chap": replace(ALICE, secret=BOB.secret)}, {LoginStatus.AUTHENTICATION_FAILURE}),
        ({"chap": replace(BOB, name="carol")}, {LoginStatus.AUTHENTICATION_FAILURE}),
        ({"chap": BOB}, {LoginStatus.AUTHORIZATION_FAILURE, LoginStatus.CANNOT_INCLUDE_IN_SESSION}),
        (
            {"chap": None, "source": OPEN_NETWORK},
            {LoginStatus.AUTHORIZATION_FAILURE, LoginStatus.CANNOT_INCLUDE_IN_SESSION},
        ),
    ],
    ids=["another initiator", "another network", "no CHAP", "wrong secret", "wrong user", "Bob", "no CHAP asked for"],
)
def test_access_lists_hold_for_logins_reinstatements_and_joins(
    login: Login, who: dict[str, Any], statuses: set[LoginStatus]
) -> None:
    """The last two may have a session of their own, and neither end Alice's nor get into it."""
    group = make_group(VAULT)
    first, r2t = owner(group)
    before = sight(group)
    arguments = {"chap": ALICE, "isid": login.isid, "tsih": login.tsih(first), "cid": login.cid} | who
    stranger = Peer(group, PORTALS[1], arguments.pop("source", SOURCE))
    outcome = stranger.login(**arguments)
    if login.isid != ISID and len(statuses) > 1:
        assert isinstance(outcome, LoginDone)
        assert outcome.tsih != first.tsih
        stranger.hang_up()
        return
    assert isinstance(outcome, LoginFailed)
    assert outcome.status in statuses
    stranger.hang_up()
    unharmed(first, r2t, before)


def test_a_session_that_has_failed_waits_for_its_own_user() -> None:
    group = make_group(VAULT)
    first, _ = owner(group)
    first.hang_up()
    outcome = Peer(group, PORTALS[1]).login(chap=BOB)
    assert isinstance(outcome, LoginFailed)
    assert outcome.status is LoginStatus.AUTHORIZATION_FAILURE
    assert isinstance(Peer(group, PORTALS[1]).login(chap=ALICE), LoginDone)
    assert len(group.sessions) == 1


def test_a_user_who_is_let_in_no_longer_keeps_nobody_out() -> None:
    """The host has a new name for CHAP, and its session with the old one is still there."""
    group = make_group(VAULT)
    first, _ = owner(group)
    running = group.volume(VOLUME)
    assert running is not None
    running.config = replace(running.config, access=rules(BOB))
    assert isinstance(Peer(group, PORTALS[1]).login(chap=BOB), LoginDone)
    assert first.abandoned


MINE = "iqn.2001-05.com.equallogic:mine"


@pytest.mark.parametrize(
    ("name", "source"), [(OTHER_HOST, SOURCE), (HOST, ABROAD)], ids=["another initiator", "another network"]
)
@pytest.mark.parametrize("asked", ["All", VOLUME], ids=["all", "by name"])
def test_discovery_hides_names_from_who_has_no_access(name: str, source: str, asked: str) -> None:
    """In a discovery session, and in one with a volume that is open to all."""

    def told(peer: Peer) -> bytes:
        data = encode_keys([("SendTargets", asked)])
        (answer,) = peer.send(TextRequest(itt=9, immediate=True, cmd_sn=peer.cmd_sn, data=data))
        assert isinstance(answer, TextResponse)
        return answer.data

    group = make_group(VAULT, volume(MINE, name="mine"))
    assert VOLUME.encode() in told(discovering(group)), "who has access sees it"
    for target in (None, MINE):
        peer = Peer(group, PORTALS[0], source)
        assert isinstance(peer.login(target, name=name, isid=isid(7)), LoginDone)
        assert VOLUME.encode() not in told(peer)


# -- CHAP --------------------------------------------------------------------------------------------------------------


def ask(peer: Peer, *pairs: tuple[str, str], first: bool = False) -> tuple[int, dict[str, str]]:
    """A request of the security stage; the status and the keys of its answer."""
    names = (("InitiatorName", HOST), ("TargetName", VOLUME), ("AuthMethod", "CHAP")) if first else ()
    request = LoginRequest(csg=0, isid=ISID, itt=1, cmd_sn=100, data=encode_keys([*names, *pairs]))
    (answer,) = peer.send(request)
    assert isinstance(answer, LoginResponse)
    return answer.status, dict(decode_keys(answer.data))


def posed(group: Group, random_bytes: Callable[[int], bytes]) -> tuple[Peer, Challenge]:
    """A connection at which the array waits for the response to this challenge."""
    peer = Peer(group, random_bytes=random_bytes)
    ask(peer, first=True)
    _, keys = ask(peer, ("CHAP_A", "5"))
    return peer, Challenge.read(5, keys)


def proof(challenge: Challenge, user: ChapCredentials) -> list[tuple[str, str]]:
    return [("CHAP_N", user.name), ("CHAP_R", format_binary(challenge.answer(user.secret)))]


@pytest.fixture
def source_of_chance() -> Callable[[int], bytes]:
    """One for the whole array, as `ArrayServer` has it."""
    return random.Random("the array's").randbytes


def test_no_challenge_is_posed_twice(source_of_chance: Callable[[int], bytes]) -> None:
    group = make_group(VAULT)
    values = [posed(group, source_of_chance)[1].value for _ in range(200)]
    assert len(set(values)) == 200


def test_an_old_response_does_not_answer_a_new_challenge(source_of_chance: Callable[[int], bytes]) -> None:
    group = make_group(VAULT)
    peer, challenge = posed(group, source_of_chance)
    overheard = proof(challenge, ALICE)
    assert ask(peer, *overheard)[0] == 0, "it was right when it was new"
    replaying, another = posed(group, source_of_chance)
    assert another != challenge
    assert ask(replaying, *overheard)[0] == LoginStatus.AUTHENTICATION_FAILURE
    assert replaying.connection.closing


def test_a_challenge_of_ours_handed_back_is_refused(source_of_chance: Callable[[int], bytes]) -> None:
    peer, challenge = posed(make_group(VAULT), source_of_chance)
    status, keys = ask(peer, *proof(challenge, ALICE), *challenge.pairs())
    assert (status, keys) == (LoginStatus.AUTHENTICATION_FAILURE, {})
    assert peer.connection.closing


def test_the_array_answers_no_challenge_of_who_has_not_proved_itself(source_of_chance: Callable[[int], bytes]) -> None:
    """Else a stranger could have our challenge of one connection answered on another."""
    group = make_group(VAULT)
    _, first = posed(group, source_of_chance)
    oracle, challenge = posed(group, source_of_chance)
    wrong = replace(ALICE, secret=b"not-alice-secret")
    status, keys = ask(oracle, *proof(challenge, wrong), *first.pairs())
    assert (status, keys) == (LoginStatus.AUTHENTICATION_FAILURE, {})


def test_the_answer_to_our_challenge_of_another_connection_proves_nothing(
    source_of_chance: Callable[[int], bytes],
) -> None:
    """Bob has the array answer the challenge that it posed to Alice. One secret never serves both directions."""
    group = make_group(VAULT)
    victim, to_alice = posed(group, source_of_chance)
    oracle, to_bob = posed(group, source_of_chance)
    status, keys = ask(oracle, *proof(to_bob, BOB), *to_alice.pairs())
    assert (status, keys["CHAP_N"]) == (0, ARRAY.name)
    assert keys["CHAP_R"] == format_binary(to_alice.answer(ARRAY.secret))
    assert ask(victim, ("CHAP_N", ALICE.name), ("CHAP_R", keys["CHAP_R"]))[0] == LoginStatus.AUTHENTICATION_FAILURE


def test_one_secret_for_both_directions_is_no_array() -> None:
    with pytest.raises(ValueError, match="must differ"):
        rules(ALICE, replace(BOB, secret=ARRAY.secret))


# -- comparisons take the same time ------------------------------------------------------------------------------------

SECRET_WORDS = ("secret", "response", "answer", "value", "posed", "challenge", "digest")


def comparisons(source: str) -> list[str]:
    """Every ==, != and `in` that looks at a secret, a challenge or a response."""
    found = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops)
    ]
    return [text for text in found if any(word in text for word in SECRET_WORDS)]


def test_secrets_and_responses_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By `hmac.compare_digest`, and by nothing else; and no user costs less time than another."""
    source = Path(iscsi.chap.__file__).read_text(encoding="utf-8")
    assert comparisons(source) == []
    assert comparisons("ok = response == posed.answer(secret)") == ["response == posed.answer(secret)"]

    compared: list[tuple[bytes, bytes]] = []
    honest = iscsi.chap.hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return honest(one, other)

    group = make_group(VAULT)
    monkeypatch.setattr(iscsi.chap.hmac, "compare_digest", compare)
    for user in (ALICE, BOB, replace(BOB, name="nobody")):
        peer, challenge = posed(group, random.Random(1).randbytes)
        compared.clear()
        ask(peer, *proof(challenge, user))
        right = challenge.answer(user.secret)
        assert compared == [(right, challenge.answer(each.secret)) for each in (ALICE, BOB)]
