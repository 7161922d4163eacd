"""CHAP as iSCSI uses it: two small machines, one for each end (RFC 7143 12.1.3 and 9.2.1, RFC 1994).

The initiator speaks ``CHAP_A``; the target answers ``CHAP_A CHAP_I CHAP_C``; the initiator proves itself with
``CHAP_N CHAP_R`` and, when it wants proof in return, adds its own ``CHAP_I CHAP_C``, which the target answers with
``CHAP_N CHAP_R``. Each machine takes a set of pairs and returns the pairs to send, so it knows nothing of PDUs.

Reflection is refused in both its forms: our own challenge handed back to us ends the login, and our own response
handed back is never right, because one secret for both directions is refused before a login begins.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from iscsi.constants import LoginStatus
from iscsi.errors import RemoteProtocolError
from iscsi.text import MAX_VALUE_LENGTH, KeyValue, format_binary, parse_binary, parse_list, parse_number

RandomBytes = Callable[[int], bytes]
CHAP_KEYS: Final = ("CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R")
CHAP_ALGORITHMS: Final = {8: "sha3_256", 7: "sha256", 6: "sha1", 5: "md5"}
"""Algorithm number to hashlib name, strongest first (IANA ppp-numbers)."""
DEFAULT_OFFER: Final = (5,)
"""What an initiator offers unless told otherwise: MD5, which every end has, as the hosts in the field do.

The others are a choice of the operator because tgt takes 7 for SHA1 and then finds the response wrong.
"""


@dataclass(frozen=True, slots=True)
class ChapCredentials:
    """Who proves itself and with what. The secret never shows in a repr."""

    name: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.name.encode()) <= MAX_VALUE_LENGTH or "\0" in self.name:
            raise ValueError(f"CHAP name {self.name[:40]!r}: expected 1 to {MAX_VALUE_LENGTH} bytes without NUL")
        if not self.secret:
            raise ValueError(f"CHAP secret of {self.name} is empty")


@dataclass(frozen=True, slots=True)
class ChapPolicy:
    """What a target demands: one of ``one_way`` from the initiator; ``mutual`` is what it can prove itself with."""

    one_way: tuple[ChapCredentials, ...]
    mutual: ChapCredentials | None = None
    algorithms: tuple[int, ...] = tuple(CHAP_ALGORITHMS)

    def __post_init__(self) -> None:
        if not self.one_way:
            raise ValueError("a CHAP policy without one-way credentials admits nobody")
        check_algorithms(self.algorithms)
        for credentials in self.one_way:
            check_secrets_differ(credentials, self.mutual)


def check_algorithms(numbers: tuple[int, ...]) -> None:
    """Refuse an empty or unknown choice of algorithms with a ValueError."""
    if not numbers or any(number not in CHAP_ALGORITHMS for number in numbers):
        raise ValueError(f"CHAP algorithms {numbers}: expected some of {tuple(CHAP_ALGORITHMS)}")


def check_secrets_differ(one_way: ChapCredentials, mutual: ChapCredentials | None) -> None:
    """Refuse one secret for both directions with a ValueError (RFC 7143 9.2.1)."""
    if mutual is not None and hmac.compare_digest(one_way.secret, mutual.secret):
        raise ValueError(f"CHAP secrets of {one_way.name} and {mutual.name} are the same: they must differ")


def chap_response(algorithm: int, identifier: int, secret: bytes, challenge: bytes) -> bytes:
    """The hash of identifier, secret and challenge (RFC 1994 section 4.1)."""
    digest = hashlib.new(CHAP_ALGORITHMS[algorithm], usedforsecurity=False)
    digest.update(bytes((identifier,)) + secret + challenge)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Challenge:
    """A question put to the other end."""

    algorithm: int
    identifier: int
    value: bytes = field(repr=False)

    @classmethod
    def draw(cls, algorithm: int, random_bytes: RandomBytes) -> Challenge:
        """A fresh challenge, as long as the algorithm's digest."""
        size = hashlib.new(CHAP_ALGORITHMS[algorithm], usedforsecurity=False).digest_size
        return cls(algorithm, random_bytes(1)[0], random_bytes(size))

    @classmethod
    def read(cls, algorithm: int, keys: Mapping[str, str]) -> Challenge:
        """The peer's challenge out of its ``CHAP_I`` and ``CHAP_C``."""
        identifier = parse_number("CHAP_I", _need(keys, "CHAP_I"))
        if identifier > 0xFF:
            raise _refuse("CHAP_I is above 255", LoginStatus.INITIATOR_ERROR)
        return cls(algorithm, identifier, parse_binary("CHAP_C", _need(keys, "CHAP_C")))

    def pairs(self) -> list[KeyValue]:
        """``CHAP_I`` and ``CHAP_C``."""
        return [("CHAP_I", str(self.identifier)), ("CHAP_C", format_binary(self.value))]

    def answer(self, secret: bytes) -> bytes:
        """The one right response for ``secret``."""
        return chap_response(self.algorithm, self.identifier, secret, self.value)


class ChapState(Enum):
    """How far one end has come."""

    ALGORITHM = auto()
    RESPONSE = auto()
    DONE = auto()


class ChapInitiator:
    """The initiator's end: offers algorithms, answers the challenge, and checks the target's proof when mutual."""

    def __init__(
        self,
        credentials: ChapCredentials,
        mutual: ChapCredentials | None,
        random_bytes: RandomBytes,
        algorithms: tuple[int, ...] = DEFAULT_OFFER,
    ) -> None:
        check_secrets_differ(credentials, mutual)
        check_algorithms(algorithms)
        self._credentials = credentials
        self._mutual = mutual
        self._random_bytes = random_bytes
        self._algorithms = algorithms
        self._posed: Challenge | None = None
        self.state = ChapState.ALGORITHM

    def offer(self) -> list[KeyValue]:
        """``CHAP_A``: the first word, once the target has chosen CHAP."""
        return [("CHAP_A", ",".join(map(str, self._algorithms)))]

    def receive(self, keys: Mapping[str, str]) -> list[KeyValue]:
        """Take the target's CHAP pairs, return ours; afterwards `state` says whether the target's proof is due.

        Raises:
            RemoteProtocolError: pairs missing, out of turn or malformed, or a target that is not who it should be.
        """
        if self.state is ChapState.ALGORITHM:
            _only(keys, "CHAP_A", "CHAP_I", "CHAP_C")
            algorithm = parse_number("CHAP_A", _need(keys, "CHAP_A"))
            if algorithm not in self._algorithms:
                raise _refuse(f"the target chose CHAP_A={algorithm}, which was not offered")
            return self._respond(Challenge.read(algorithm, keys))
        if self.state is ChapState.RESPONSE and self._mutual is not None and self._posed is not None:
            _only(keys, "CHAP_N", "CHAP_R")
            name, response = _need(keys, "CHAP_N"), parse_binary("CHAP_R", _need(keys, "CHAP_R"))
            proven = hmac.compare_digest(response, self._posed.answer(self._mutual.secret))
            if name != self._mutual.name or not proven:
                raise _refuse(f"the target's CHAP response as {name[:40]!r} is wrong")
            self.state = ChapState.DONE
            return []
        raise _refuse("CHAP pairs after CHAP has ended", LoginStatus.INITIATOR_ERROR)

    def _respond(self, challenge: Challenge) -> list[KeyValue]:
        response = challenge.answer(self._credentials.secret)
        pairs = [("CHAP_N", self._credentials.name), ("CHAP_R", format_binary(response))]
        if self._mutual is None:
            self.state = ChapState.DONE
            return pairs
        self._posed = Challenge.draw(challenge.algorithm, self._random_bytes)
        self.state = ChapState.RESPONSE
        return pairs + self._posed.pairs()


class ChapTarget:
    """The target's end: picks an algorithm, poses the challenge, checks the response, proves itself when asked."""

    def __init__(self, policy: ChapPolicy, random_bytes: RandomBytes) -> None:
        self._policy = policy
        self._random_bytes = random_bytes
        self._posed: Challenge | None = None
        self.state = ChapState.ALGORITHM
        self.authenticated_as: str | None = None

    def receive(self, keys: Mapping[str, str]) -> list[KeyValue]:
        """Take the initiator's CHAP pairs, return ours; `state` DONE means it is who it says it is.

        Raises:
            RemoteProtocolError: with 0x0201 for a failed proof, 0x0207 for a missing pair, 0x0200 otherwise.
        """
        if self.state is ChapState.ALGORITHM:
            _only(keys, "CHAP_A")
            offered = parse_list("CHAP_A", _need(keys, "CHAP_A"))
            numbers = [parse_number("CHAP_A", choice) for choice in offered]
            algorithm = next((number for number in numbers if number in self._policy.algorithms), None)
            if algorithm is None:
                raise _refuse(f"no CHAP algorithm of {','.join(offered)[:40]} is allowed here")
            self._posed = Challenge.draw(algorithm, self._random_bytes)
            self.state = ChapState.RESPONSE
            return [("CHAP_A", str(algorithm)), *self._posed.pairs()]
        if self.state is ChapState.RESPONSE and self._posed is not None:
            _only(keys, "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C")
            self._check_response(keys, self._posed)
            answer = self._prove(keys, self._posed) if "CHAP_I" in keys or "CHAP_C" in keys else []
            self.state = ChapState.DONE
            return answer
        raise _refuse("CHAP pairs after CHAP has ended", LoginStatus.INITIATOR_ERROR)

    def _check_response(self, keys: Mapping[str, str], posed: Challenge) -> None:
        name, response = _need(keys, "CHAP_N"), parse_binary("CHAP_R", _need(keys, "CHAP_R"))
        proven = False
        for credentials in self._policy.one_way:  # every one is tried, so that time does not tell which names exist
            right = hmac.compare_digest(response, posed.answer(credentials.secret))
            proven |= right and credentials.name == name
        if not proven:
            raise _refuse(f"the CHAP response of {name[:40]!r} is wrong")
        self.authenticated_as = name

    def _prove(self, keys: Mapping[str, str], posed: Challenge) -> list[KeyValue]:
        asked = Challenge.read(posed.algorithm, keys)
        if self._policy.mutual is None:
            raise _refuse("the initiator asks for mutual CHAP, for which there is no secret here")
        if hmac.compare_digest(asked.value, posed.value):
            raise _refuse("the initiator's challenge is our own handed back")
        response = asked.answer(self._policy.mutual.secret)
        return [("CHAP_N", self._policy.mutual.name), ("CHAP_R", format_binary(response))]


def _need(keys: Mapping[str, str], key: str) -> str:
    if key not in keys:
        raise _refuse(f"{key} is missing", LoginStatus.MISSING_PARAMETER)
    return keys[key]


def _only(keys: Mapping[str, str], *expected: str) -> None:
    for key in keys:
        if key not in expected:
            raise _refuse(f"{key} is out of turn: expected {', '.join(expected)}", LoginStatus.INITIATOR_ERROR)


def _refuse(message: str, status: LoginStatus = LoginStatus.AUTHENTICATION_FAILURE) -> RemoteProtocolError:
    return RemoteProtocolError(message, login_status=status)
