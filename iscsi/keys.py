"""The text keys of RFC 7143 sections 12 and 13 (and RFC 7144) in one table, which both roles read.

A row says who may send the key, in which login stage, what values it takes, and how two wishes become one result.
Nothing else in the package repeats any of this: a side that wanted another rule would have to change the other's too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from iscsi.constants import DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH, Stage

Value = bool | int | str
"""A settled value: boolean, number, or the one chosen of a list."""

REJECT: Final = "Reject"
IRRELEVANT: Final = "Irrelevant"
NOT_UNDERSTOOD: Final = "NotUnderstood"
RESERVED_ANSWERS: Final = (REJECT, IRRELEVANT, NOT_UNDERSTOOD)
"""Answers that leave the default standing (RFC 7143 6.2)."""


class Side(Enum):
    """The two ends of a login."""

    INITIATOR = auto()
    TARGET = auto()

    @property
    def peer(self) -> Side:
        """The other end."""
        return Side.TARGET if self is Side.INITIATOR else Side.INITIATOR


class Rule(Enum):
    """How an offer and the responder's wish become the result (RFC 7143 6.2.1 and 6.2.2)."""

    AND = auto()
    OR = auto()
    LOWER = auto()
    HIGHER = auto()
    FIRST_COMMON = auto()
    DECLARED = auto()
    REJECTED = auto()  # the markers RFC 7143 13.25 retired: answered Reject, whatever was offered
    AUTHENTICATION = auto()  # AuthMethod and CHAP_*: iscsi.login_* and iscsi.chap see to them


ANY_STAGE: Final = (Stage.SECURITY, Stage.OPERATIONAL)
SECURITY: Final = (Stage.SECURITY,)
OPERATIONAL: Final = (Stage.OPERATIONAL,)
NOT_IN_LOGIN: Final = ()

ANYONE: Final = (Side.INITIATOR, Side.TARGET)
BY_INITIATOR: Final = (Side.INITIATOR,)
BY_TARGET: Final = (Side.TARGET,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One row. ``low`` and ``high`` bound numbers; ``choices`` are what this package knows of a list."""

    name: str
    rule: Rule
    field: str = ""  # of OperationalKeys and SessionParameters; "" when the key is none of theirs
    senders: tuple[Side, ...] = ANYONE
    stages: tuple[Stage, ...] = OPERATIONAL
    default: Value | None = None
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    leading_only: bool = False  # only on a session's first connection
    irrelevant_in_discovery: bool = False
    repeats: bool = False
    younger_than_rfc3720: bool = False  # an older peer may answer NotUnderstood
    in_full_feature: bool = False  # may be spoken of in Text Requests, too

    @property
    def negotiated(self) -> bool:
        """True when an offer of this key asks for an answer that settles it."""
        return self.rule in (Rule.AND, Rule.OR, Rule.LOWER, Rule.HIGHER, Rule.FIRST_COMMON)

    def complaint(self, stage: Stage, sender: Side) -> str | None:
        """Why ``sender`` may not send this key in ``stage``, or None when it may."""
        if sender not in self.senders:
            return f"{self.name} may not be sent by the {sender.name.lower()}"
        if stage not in self.stages:
            return f"{self.name} does not belong in the {stage.name.lower()} stage"
        return None

    def combine(self, one: Value, other: Value) -> Value:
        """The result of two booleans or numbers; the order does not matter."""
        if self.rule is Rule.AND:
            return bool(one) and bool(other)
        if self.rule is Rule.OR:
            return bool(one) or bool(other)
        assert isinstance(one, int), self.name
        assert isinstance(other, int), self.name
        return min(one, other) if self.rule is Rule.LOWER else max(one, other)

    def decides_alone(self, offer: Value) -> bool:
        """True for a boolean offer whose result no answer can change, so that the answer may be left out."""
        return (self.rule is Rule.AND and offer is False) or (self.rule is Rule.OR and offer is True)


_LONGEST: Final = (1 << 24) - 1


def _leading(name: str, field: str, rule: Rule, default: Value, low: int = 0, high: int = 0) -> Key:
    return Key(name=name, field=field, rule=rule, default=default, low=low, high=high, leading_only=True)


def _data(name: str, field: str, rule: Rule, default: Value, low: int = 0, high: int = 0) -> Key:
    """A key about SCSI data, which a discovery session has none of."""
    return Key(
        name=name,
        field=field,
        rule=rule,
        default=default,
        low=low,
        high=high,
        leading_only=True,
        irrelevant_in_discovery=True,
    )


def _digest(name: str, field: str) -> Key:
    return Key(name=name, field=field, rule=Rule.FIRST_COMMON, default="None", choices=("CRC32C", "None"))


def _declared(name: str, senders: tuple[Side, ...] = ANYONE, **more: bool) -> Key:
    return Key(name=name, rule=Rule.DECLARED, senders=senders, stages=ANY_STAGE, **more)  # type: ignore[arg-type]


_ROWS: Final = (
    _digest("HeaderDigest", "header_digest"),
    _digest("DataDigest", "data_digest"),
    _data("MaxConnections", "max_connections", Rule.LOWER, 1, 1, 65535),
    _data("InitialR2T", "initial_r2t", Rule.OR, True),
    _data("ImmediateData", "immediate_data", Rule.AND, True),
    Key(
        name="MaxRecvDataSegmentLength",
        field="max_recv_data_segment_length",
        rule=Rule.DECLARED,
        default=DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH,
        low=512,
        high=_LONGEST,
        in_full_feature=True,
    ),
    _data("MaxBurstLength", "max_burst_length", Rule.LOWER, 262144, 512, _LONGEST),
    _data("FirstBurstLength", "first_burst_length", Rule.LOWER, 65536, 512, _LONGEST),
    _leading("DefaultTime2Wait", "default_time2wait", Rule.HIGHER, 2, 0, 3600),
    _leading("DefaultTime2Retain", "default_time2retain", Rule.LOWER, 20, 0, 3600),
    _data("MaxOutstandingR2T", "max_outstanding_r2t", Rule.LOWER, 1, 1, 65535),
    _data("DataPDUInOrder", "data_pdu_in_order", Rule.OR, True),
    _data("DataSequenceInOrder", "data_sequence_in_order", Rule.OR, True),
    _leading("ErrorRecoveryLevel", "error_recovery_level", Rule.LOWER, 0, 0, 2),
    Key(
        name="TaskReporting",
        field="task_reporting",
        rule=Rule.FIRST_COMMON,
        default="RFC3720",
        choices=("RFC3720", "ResponseFence", "FastAbort"),
        leading_only=True,
        irrelevant_in_discovery=True,
        younger_than_rfc3720=True,
    ),
    Key(
        name="iSCSIProtocolLevel",
        field="iscsi_protocol_level",
        rule=Rule.LOWER,
        default=1,
        low=0,
        high=31,
        leading_only=True,
        irrelevant_in_discovery=True,
        younger_than_rfc3720=True,
    ),
    Key(
        name="TargetPortalGroupTag",
        field="target_portal_group_tag",
        rule=Rule.DECLARED,
        senders=BY_TARGET,
        stages=ANY_STAGE,
        low=0,
        high=65535,
    ),
    _declared("InitiatorName", BY_INITIATOR),
    _declared("TargetName", BY_INITIATOR),
    _declared("SessionType", BY_INITIATOR, leading_only=True),
    _declared("InitiatorAlias", BY_INITIATOR, in_full_feature=True),
    _declared("TargetAlias", BY_TARGET, in_full_feature=True),
    _declared("TargetAddress", BY_TARGET, repeats=True, in_full_feature=True),
    _declared("X#NodeArchitecture", leading_only=True),
    Key(name="SendTargets", rule=Rule.DECLARED, senders=BY_INITIATOR, stages=NOT_IN_LOGIN, in_full_feature=True),
    Key(name="IFMarker", rule=Rule.REJECTED),
    Key(name="OFMarker", rule=Rule.REJECTED),
    Key(name="IFMarkInt", rule=Rule.REJECTED),
    Key(name="OFMarkInt", rule=Rule.REJECTED),
    Key(name="AuthMethod", rule=Rule.AUTHENTICATION, stages=SECURITY),
    Key(name="CHAP_A", rule=Rule.AUTHENTICATION, stages=SECURITY),
    Key(name="CHAP_I", rule=Rule.AUTHENTICATION, stages=SECURITY),
    Key(name="CHAP_C", rule=Rule.AUTHENTICATION, stages=SECURITY),
    Key(name="CHAP_N", rule=Rule.AUTHENTICATION, stages=SECURITY),
    Key(name="CHAP_R", rule=Rule.AUTHENTICATION, stages=SECURITY),
)

KEYS: Final[Mapping[str, Key]] = MappingProxyType({row.name: row for row in _ROWS})
"""Every key this package knows, by name; a name that is not here is answered NotUnderstood."""
