"""How two sets of wishes become one set of session parameters (RFC 7143 sections 6.2, 12 and 13).

One class serves both ends. It holds what this side wishes, offers it, answers the peer's offers and reads the peer's
answers, all out of the table in `iscsi.keys`; which end it is decides only who may send what. Both ends therefore
compute the same parameters from the same exchange, whoever offered, in whatever order, and for keys nobody offered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from iscsi.constants import DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH, LoginStatus
from iscsi.errors import RemoteProtocolError
from iscsi.keys import IRRELEVANT, KEYS, NOT_UNDERSTOOD, REJECT, RESERVED_ANSWERS, Key, Rule, Side, Value
from iscsi.text import KeyValue, format_boolean, parse_boolean, parse_list, parse_number


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationalKeys:
    """What one side wishes for; the defaults are the RFC's. Lengths in bytes, times in seconds.

    Lists (digests, task reporting) stand in order of preference, as ``("CRC32C", "None")``.

    Raises:
        ValueError: a value outside the key's range, or a FirstBurstLength above the MaxBurstLength.
    """

    header_digest: tuple[str, ...] = ("None",)
    data_digest: tuple[str, ...] = ("None",)
    max_connections: int = 1
    initial_r2t: bool = True
    immediate_data: bool = True
    max_recv_data_segment_length: int = DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH
    max_burst_length: int = 262144
    first_burst_length: int = 65536
    default_time2wait: int = 2
    default_time2retain: int = 20
    max_outstanding_r2t: int = 1
    data_pdu_in_order: bool = True
    data_sequence_in_order: bool = True
    error_recovery_level: int = 0
    task_reporting: tuple[str, ...] = ("RFC3720",)
    iscsi_protocol_level: int = 1

    def __post_init__(self) -> None:
        for wish in fields(self):
            key, value = _BY_FIELD[wish.name], getattr(self, wish.name)
            if isinstance(value, tuple):
                if not value or any(choice not in key.choices for choice in value):
                    raise ValueError(f"{wish.name} = {value}: expected some of {', '.join(key.choices)}")
            elif not isinstance(value, bool) and not key.low <= value <= key.high:
                raise ValueError(f"{wish.name} = {value}: expected {key.low} to {key.high}")
        if self.first_burst_length > self.max_burst_length:
            raise ValueError(f"first_burst_length {self.first_burst_length} > max_burst_length {self.max_burst_length}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParameters:
    """What both ends agreed on. Equal at both but for the two receive lengths, which change places."""

    header_digest: bool
    data_digest: bool
    max_connections: int
    initial_r2t: bool
    immediate_data: bool
    max_recv_data_segment_length: int  # what this side declared
    peer_max_recv_data_segment_length: int  # what the peer declared: the most to send in one PDU
    max_burst_length: int
    first_burst_length: int
    default_time2wait: int
    default_time2retain: int
    max_outstanding_r2t: int
    data_pdu_in_order: bool
    data_sequence_in_order: bool
    error_recovery_level: int
    task_reporting: str
    iscsi_protocol_level: int
    target_portal_group_tag: int | None

    def as_seen_by_peer(self) -> SessionParameters:
        """The same agreement from the other end."""
        return replace(
            self,
            max_recv_data_segment_length=self.peer_max_recv_data_segment_length,
            peer_max_recv_data_segment_length=self.max_recv_data_segment_length,
        )


class Negotiation:
    """One side of one login's operational negotiation."""

    def __init__(self, side: Side, wishes: OperationalKeys, *, discovery: bool = False, leading: bool = True) -> None:
        self._side = side
        # A discovery session has no recovery, yet the key is negotiated: open-iscsi wants a number (RFC 7143 7.4.3).
        self._wishes = replace(wishes, error_recovery_level=0) if discovery else wishes
        self._discovery = discovery
        self._leading = leading
        self._offered: dict[str, Value | tuple[str, ...]] = {}  # by us, the peer's answer still due
        self._settled: dict[str, Value] = {}
        self._declared: dict[Side, dict[str, int]] = {Side.INITIATOR: {}, Side.TARGET: {}}

    def offer(self, names: Iterable[str] | None = None) -> list[KeyValue]:
        """Our wishes as pairs to send: all that matter in this session, or those of ``names``, unless already open."""
        wanted = _BY_NAME if names is None else list(names)
        pairs = []
        for name in wanted:
            key = _BY_NAME[name]
            wish = self._wish(key)
            if not self._open(key) or (
                key.younger_than_rfc3720 and names is None and wish in (key.default, (key.default,))
            ):
                continue
            if key.rule is Rule.DECLARED:
                assert isinstance(wish, int)
                pairs += self.declare(name, wish)
            else:
                self._offered[name] = wish
                pairs.append((name, _format(wish)))
        return pairs

    def what_defaults_miss(self) -> list[str]:
        """Keys nobody offered so far whose default would give us something else than our wish asks for."""
        names = []
        for key in _BY_NAME.values():
            if key.default is None or not self._open(key):
                continue
            wish = self._wish(key)
            if isinstance(wish, tuple):
                met = wish[0] == key.default
            elif key.rule is Rule.DECLARED:
                met = wish == key.default
            else:
                met = key.combine(wish, key.default) == key.default
            if not met:
                names.append(key.name)
        return names

    def declare(self, name: str, number: int) -> list[KeyValue]:
        """State one of our declarative numbers; it needs no answer."""
        self._declared[self._side][name] = number
        return [(name, str(number))]

    def receive(self, pairs: Iterable[KeyValue]) -> list[KeyValue]:
        """Take one complete set of the peer's pairs, return our answers (declarations get none).

        Raises:
            RemoteProtocolError: an answer outside our offer, or to no offer; a declaration out of range.
        """
        answers: list[KeyValue] = []
        # MaxBurstLength bounds FirstBurstLength, so the latter is answered last.
        for name, text in sorted(pairs, key=lambda pair: pair[0] == "FirstBurstLength"):
            key = KEYS.get(name)
            if name in self._offered and key is not None:
                self._settle_answer(key, text)
            elif text in RESERVED_ANSWERS:
                raise _bad(f"{name}={text} answers what was never offered")
            elif key is None:
                answers.append((name, NOT_UNDERSTOOD))
            elif key.rule is Rule.REJECTED:
                answers.append((name, REJECT))
            elif key.rule is Rule.DECLARED:
                if key.field:
                    self._declared[self._side.peer][name] = _number(key, text)
            elif key.negotiated:
                answers.append((name, self._answer(key, text)))
        return answers

    @property
    def unanswered(self) -> list[str]:
        """Keys we offered whose answer is due; a boolean that decides alone needs none."""
        return [name for name, offer in self._offered.items() if not _decided(KEYS[name], offer)]

    def parameters(self) -> SessionParameters:
        """The agreement as it stands, the RFC's defaults for what was not settled."""
        values: dict[str, Value] = {}
        for key in _BY_NAME.values():
            if key.rule is Rule.DECLARED or key.default is None:
                continue
            offer = self._offered.get(key.name)
            alone = offer if offer is not None and _decided(key, offer) else key.default
            value = self._settled.get(key.name, alone)
            assert not isinstance(value, tuple)
            values[key.field] = value == "CRC32C" if key.field in _DIGESTS else value
        # Neither value may pass the bound another one sets, whoever left it out (13.14, 13.17).
        burst, first_burst = values["max_burst_length"], values["first_burst_length"]
        values["first_burst_length"] = min(int(first_burst), int(burst))
        if values["error_recovery_level"] and values["data_sequence_in_order"]:
            values["max_outstanding_r2t"] = 1
        ours, theirs = self._declared[self._side], self._declared[self._side.peer]
        length = "MaxRecvDataSegmentLength"
        return SessionParameters(
            max_recv_data_segment_length=ours.get(length, DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH),
            peer_max_recv_data_segment_length=theirs.get(length, DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH),
            target_portal_group_tag=self._declared[Side.TARGET].get("TargetPortalGroupTag"),
            **values,  # type: ignore[arg-type]
        )

    def _wish(self, key: Key) -> Value | tuple[str, ...]:
        wish: Value | tuple[str, ...] = getattr(self._wishes, key.field)
        return wish

    def _open(self, key: Key) -> bool:
        """True while this key may still be offered by us."""
        if key.name in self._offered or key.name in self._settled or key.name in self._declared[self._side]:
            return False
        return not (key.irrelevant_in_discovery and self._discovery) and (self._leading or not key.leading_only)

    def _answer(self, key: Key, text: str) -> str:
        """Settle the peer's offer and give the answer; one we cannot take leaves the default standing."""
        assert key.default is not None
        if self._discovery and key.irrelevant_in_discovery:
            return IRRELEVANT
        if key.name in self._settled:
            raise _bad(f"{key.name} is negotiated a second time")
        self._settled[key.name] = key.default
        if key.leading_only and not self._leading:
            return REJECT
        try:
            offer = _parse(key, text)
        except RemoteProtocolError:
            return REJECT
        wish = self._wish(key)
        if isinstance(offer, tuple) and isinstance(wish, tuple):
            common = [choice for choice in offer if choice in wish]
            if not common:
                return REJECT
            self._settled[key.name] = common[0]
        else:
            assert not isinstance(offer, tuple)
            assert not isinstance(wish, tuple)
            result = key.combine(offer, wish)
            if key.name == "FirstBurstLength" and "MaxBurstLength" in self._settled:
                result = min(result, self._settled["MaxBurstLength"])
            self._settled[key.name] = result
        return _format(self._settled[key.name])

    def _settle_answer(self, key: Key, text: str) -> None:
        offer = self._offered.pop(key.name)
        assert key.default is not None
        if text in RESERVED_ANSWERS:
            if text == NOT_UNDERSTOOD and not key.younger_than_rfc3720:
                raise _bad(f"{key.name}={NOT_UNDERSTOOD}: every implementation must know this key")
            self._settled[key.name] = key.default
            return
        answer = _parse(key, text)
        if isinstance(offer, tuple):
            if not isinstance(answer, tuple) or len(answer) != 1 or answer[0] not in offer:
                raise _bad(f"{key.name}={text[:40]} answers {_format(offer)}: expected one of these")
            self._settled[key.name] = answer[0]
            return
        assert not isinstance(answer, tuple)
        if key.combine(offer, answer) != answer:
            raise _bad(f"{key.name}={text[:40]} answers {_format(offer)}: not a result of that offer")
        self._settled[key.name] = answer


_BY_NAME = {key.name: key for key in KEYS.values() if key.field and key.field != "target_portal_group_tag"}
_BY_FIELD = {key.field: key for key in _BY_NAME.values()}
_DIGESTS = ("header_digest", "data_digest")


def needs_answer(name: str, offer: str) -> bool:
    """True when the peer's offer is not settled before it has our answer, so that it may not come with T=1."""
    key = KEYS.get(name)
    if key is None or not key.negotiated:
        return False
    return not (key.rule in (Rule.AND, Rule.OR) and key.decides_alone(parse_boolean(name, offer)))


def _decided(key: Key, offer: Value | tuple[str, ...]) -> bool:
    return not isinstance(offer, tuple) and key.decides_alone(offer)


def _format(value: Value | tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return format_boolean(value)
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _parse(key: Key, text: str) -> Value | tuple[str, ...]:
    if key.rule in (Rule.AND, Rule.OR):
        return parse_boolean(key.name, text)
    return parse_list(key.name, text) if key.rule is Rule.FIRST_COMMON else _number(key, text)


def _number(key: Key, text: str) -> int:
    number = parse_number(key.name, text)
    if not key.low <= number <= key.high:
        raise _bad(f"{key.name}={text[:40]}: expected {key.low} to {key.high}")
    return number


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, login_status=LoginStatus.INITIATOR_ERROR)
