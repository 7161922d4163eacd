"""CHAP: both ends against each other, and each against a cheat."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import pytest

from iscsi.chap import (
    CHAP_ALGORITHMS,
    Challenge,
    ChapCredentials,
    ChapInitiator,
    ChapPolicy,
    ChapState,
    ChapTarget,
    chap_response,
)
from iscsi.constants import LoginStatus
from iscsi.errors import RemoteProtocolError
from iscsi.text import format_binary

HOST = ChapCredentials("w2k3", b"host-secret-0123")
ARRAY = ChapCredentials("ps100", b"array-secret-456")


def ends(
    *, mutual: bool = False, array: ChapCredentials = ARRAY, policy: ChapPolicy | None = None
) -> tuple[ChapInitiator, ChapTarget]:
    policy = policy or ChapPolicy(one_way=(HOST,), mutual=ARRAY)
    initiator = ChapInitiator(HOST, array if mutual else None, random.Random(1).randbytes)
    return initiator, ChapTarget(policy, random.Random(2).randbytes)


def challenge(target: ChapTarget, algorithms: str = "5") -> dict[str, str]:
    return dict(target.receive({"CHAP_A": algorithms}))


@pytest.mark.parametrize(("number", "name"), [(5, "md5"), (6, "sha1"), (7, "sha256"), (8, "sha3_256")])
def test_the_response_is_the_hash_of_identifier_secret_and_challenge(number: int, name: str) -> None:
    expected = hashlib.new(name, b"\x2a" + b"secret" + b"challenge").digest()
    assert chap_response(number, 0x2A, b"secret", b"challenge") == expected


def test_one_way_chap_takes_two_rounds() -> None:
    initiator, target = ends()

    posed = target.receive(dict(initiator.offer()))
    assert [name for name, _ in posed] == ["CHAP_A", "CHAP_I", "CHAP_C"]
    proof = initiator.receive(dict(posed))
    assert [name for name, _ in proof] == ["CHAP_N", "CHAP_R"]
    assert target.receive(dict(proof)) == []

    assert initiator.state is target.state is ChapState.DONE
    assert target.authenticated_as == "w2k3"


def test_mutual_chap_has_the_target_prove_itself_in_the_last_round() -> None:
    initiator, target = ends(mutual=True)

    proof = initiator.receive(dict(target.receive(dict(initiator.offer()))))
    assert [name for name, _ in proof] == ["CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"]
    counter_proof = target.receive(dict(proof))
    assert initiator.state is ChapState.RESPONSE, "not before the target's proof is seen"
    initiator.receive(dict(counter_proof))

    assert initiator.state is target.state is ChapState.DONE


def test_md5_alone_is_offered_unless_the_operator_chooses() -> None:
    assert ends()[0].offer() == [("CHAP_A", "5")]
    choosy = ChapInitiator(HOST, None, random.Random(1).randbytes, algorithms=(8, 7))
    assert choosy.offer() == [("CHAP_A", "8,7")]
    with pytest.raises(ValueError, match="expected some of"):
        ChapInitiator(HOST, None, random.Random(1).randbytes, algorithms=())


@pytest.mark.parametrize("number", list(CHAP_ALGORITHMS))
def test_both_ends_agree_under_every_algorithm(number: int) -> None:
    _, target = ends()
    initiator = ChapInitiator(HOST, ARRAY, random.Random(1).randbytes, algorithms=(number,))
    proof = initiator.receive(dict(target.receive(dict(initiator.offer()))))
    initiator.receive(dict(target.receive(dict(proof))))
    assert initiator.state is target.state is ChapState.DONE


def test_the_target_takes_the_first_algorithm_offered_that_its_policy_allows() -> None:
    policy = ChapPolicy(one_way=(HOST,), algorithms=(5, 7))
    assert challenge(ends(policy=policy)[1], "99,8,7,5")["CHAP_A"] == "7"


@pytest.mark.parametrize("number", list(CHAP_ALGORITHMS))
def test_a_challenge_is_as_long_as_the_digest(number: int) -> None:
    posed = Challenge.draw(number, random.Random(1).randbytes)
    assert len(posed.value) == len(posed.answer(b"secret"))


@pytest.mark.parametrize(
    ("proof", "status"),
    [
        ({"CHAP_N": "w2k3", "CHAP_R": "0x" + "00" * 16}, LoginStatus.AUTHENTICATION_FAILURE),
        ({"CHAP_N": "w2k3", "CHAP_R": "0x00"}, LoginStatus.AUTHENTICATION_FAILURE),
        ({"CHAP_N": "w2k3"}, LoginStatus.MISSING_PARAMETER),
        ({"CHAP_R": "0x00"}, LoginStatus.MISSING_PARAMETER),
        ({}, LoginStatus.MISSING_PARAMETER),
        ({"CHAP_N": "w2k3", "CHAP_R": "zero"}, LoginStatus.INITIATOR_ERROR),
        ({"CHAP_N": "w2k3", "CHAP_R": "0x" + "00" * 1025}, LoginStatus.INITIATOR_ERROR),
        ({"CHAP_A": "5"}, LoginStatus.INITIATOR_ERROR),
    ],
)
def test_the_target_refuses_what_is_no_proof(proof: dict[str, str], status: LoginStatus) -> None:
    _, target = ends()
    challenge(target)
    with pytest.raises(RemoteProtocolError) as caught:
        target.receive(proof)
    assert caught.value.login_status is status
    assert target.state is not ChapState.DONE
    assert target.authenticated_as is None


def proof_for(posed: dict[str, str], credentials: ChapCredentials, **more: str) -> dict[str, str]:
    asked = Challenge.read(int(posed["CHAP_A"]), posed)
    return {"CHAP_N": credentials.name, "CHAP_R": format_binary(asked.answer(credentials.secret)), **more}


def test_a_right_secret_under_another_name_is_refused() -> None:
    _, target = ends()
    posed = challenge(target)
    with pytest.raises(RemoteProtocolError, match="wrong"):
        target.receive(proof_for(posed, ChapCredentials("someone", HOST.secret)))


def test_a_response_reflected_from_the_target_itself_is_refused() -> None:
    _, target = ends()
    posed = challenge(target)
    with pytest.raises(RemoteProtocolError, match="wrong"):
        target.receive(proof_for(posed, ARRAY))


def test_the_targets_own_challenge_handed_back_is_refused() -> None:
    _, target = ends()
    posed = challenge(target)
    with pytest.raises(RemoteProtocolError, match="handed back") as caught:
        target.receive(proof_for(posed, HOST, CHAP_I="1", CHAP_C=posed["CHAP_C"]))
    assert caught.value.login_status is LoginStatus.AUTHENTICATION_FAILURE
    assert target.state is not ChapState.DONE


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"CHAP_I": "1"}, LoginStatus.MISSING_PARAMETER),
        ({"CHAP_C": "0x01"}, LoginStatus.MISSING_PARAMETER),
        ({"CHAP_I": "256", "CHAP_C": "0x01"}, LoginStatus.INITIATOR_ERROR),
        ({"CHAP_I": "1", "CHAP_C": "0x"}, LoginStatus.INITIATOR_ERROR),
    ],
)
def test_half_a_counter_challenge_is_refused(more: dict[str, str], status: LoginStatus) -> None:
    _, target = ends()
    posed = challenge(target)
    with pytest.raises(RemoteProtocolError) as caught:
        target.receive(proof_for(posed, HOST, **more))
    assert caught.value.login_status is status


def test_a_target_without_a_secret_of_its_own_cannot_do_mutual_chap() -> None:
    initiator, target = ends(mutual=True, policy=ChapPolicy(one_way=(HOST,)))
    proof = initiator.receive(dict(target.receive(dict(initiator.offer()))))
    with pytest.raises(RemoteProtocolError, match="no secret here") as caught:
        target.receive(dict(proof))
    assert caught.value.login_status is LoginStatus.AUTHENTICATION_FAILURE


def test_unknown_algorithms_fail_the_authentication() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        challenge(ends()[1], "4,99")
    assert caught.value.login_status is LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.parametrize(
    "credentials", [ChapCredentials("ps100", b"a wrong secret"), ChapCredentials("imposter", ARRAY.secret)]
)
def test_the_initiator_refuses_a_target_that_is_not_who_it_should_be(credentials: ChapCredentials) -> None:
    initiator, target = ends(mutual=True, array=credentials)
    proof = initiator.receive(dict(target.receive(dict(initiator.offer()))))
    with pytest.raises(RemoteProtocolError, match="wrong"):
        initiator.receive(dict(target.receive(dict(proof))))
    assert initiator.state is not ChapState.DONE


def test_the_initiator_refuses_an_algorithm_it_did_not_offer() -> None:
    initiator, _ = ends()
    with pytest.raises(RemoteProtocolError, match="not offered"):
        initiator.receive({"CHAP_A": "4", "CHAP_I": "1", "CHAP_C": "0x01"})


def test_chap_pairs_after_the_end_are_refused() -> None:
    initiator, target = ends()
    proof = dict(initiator.receive(challenge(target)))
    target.receive(proof)
    for end in (initiator, target):
        with pytest.raises(RemoteProtocolError, match="ended"):
            end.receive(proof)


def test_one_secret_for_both_directions_is_refused_at_both_ends() -> None:
    twin = ChapCredentials("ps100", HOST.secret)
    with pytest.raises(ValueError, match="must differ"):
        ChapPolicy(one_way=(HOST,), mutual=twin)
    with pytest.raises(ValueError, match="must differ"):
        ChapInitiator(HOST, twin, random.Random(1).randbytes)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ChapCredentials("", b"secret"),
        lambda: ChapCredentials("w2k3", b""),
        lambda: ChapCredentials("x" * 256, b"secret"),
        lambda: ChapPolicy(one_way=()),
        lambda: ChapPolicy(one_way=(HOST,), algorithms=(4,)),
    ],
)
def test_unusable_settings_are_refused_when_made(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="CHAP"):
        make()


def test_secrets_and_challenges_never_show_in_a_repr() -> None:
    shown = repr(ChapPolicy(one_way=(HOST,), mutual=ARRAY)) + repr(Challenge(5, 1, b"challenge"))
    for hidden in ("host-secret", "array-secret", "b'challenge'"):
        assert hidden not in shown
