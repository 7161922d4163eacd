"""What an operator of the array does in a scenario: the steps behind `target.operations`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from harness.fields import AccessStateName, DurationNs, Ip, Label, Listing
from harness.step_base import HostStep, Step

SECOND_NS = 10**9
MAX_TIME2RETAIN_S = 3600
MAX_LOGOUT_S = 0xFFFF
"""Parameter3 of an async message has 16 bits (RFC 7143 11.9)."""


def _whole_seconds(value: int) -> int:
    if value % SECOND_NS or not 1 <= value // SECOND_NS <= MAX_LOGOUT_S:
        raise ValueError(f'expected whole seconds from 1 to {MAX_LOGOUT_S}, such as "10s"')
    return value


LogoutNs = Annotated[DurationNs, AfterValidator(_whole_seconds)]
"""How long an initiator is given to log out; the wire has whole seconds."""


def _from_zero(value: int) -> int:
    if value % SECOND_NS or not 0 <= value // SECOND_NS <= MAX_TIME2RETAIN_S:
        raise ValueError(f'expected whole seconds from 0 to {MAX_TIME2RETAIN_S}, such as "20s"')
    return value


WholeSecondsNs = Annotated[DurationNs, AfterValidator(_from_zero)]
"""DefaultTime2Wait and DefaultTime2Retain, as the wire has them (RFC 7143 13.15, 13.16)."""


class LogoutStep(Step):
    """A step that makes the array ask for logouts."""

    within_ns: LogoutNs | None = Field(default=None, alias="within")
    """What the initiators are given. Without it: the array's logout_request."""

    @property
    def within_s(self) -> int | None:
        """The same in seconds."""
        return None if self.within_ns is None else self.within_ns // SECOND_NS


class Drain(LogoutStep):
    """No login is placed at a portal any more, and its connections are asked to log out; it listens on."""

    do: Literal["drain"]
    portal: Ip


class Undrain(Step):
    """Logins are placed at the portal again."""

    do: Literal["undrain"]
    portal: Ip


class Rebalance(LogoutStep):
    """Let the balancer look, once."""

    do: Literal["rebalance"]


class RequestLogout(HostStep, LogoutStep):
    """The array asks the sessions from one address of a host to log out (async event 1)."""

    do: Literal["request_logout"]
    source: Ip
    volume: Label | None = None
    """Without it: to whatever volume."""


class Drop(HostStep):
    """The array ends the connections from one address of a host, without asking and without a logout."""

    do: Literal["drop"]
    source: Ip
    volume: Label | None = None
    """Without it: to whatever volume."""
    how: Literal["rst", "fin"] = "rst"


class PortalGroupTag(Step):
    """The array's portals get another portal group tag, once its process is started again."""

    do: Literal["portal_group_tag"]
    tag: Annotated[int, Field(ge=0, le=0xFFFF)]


class SwapVolumes(Step):
    """Two volumes exchange their target names, once the array's process is started again."""

    do: Literal["swap_volumes"]
    volumes: Annotated[Listing[Label], Field(min_length=2, max_length=2)]

    @field_validator("volumes")
    @classmethod
    def _two(cls, volumes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(volumes)) == 1:
            raise ValueError("expected two volumes, got one twice")
        return volumes


class AccessState(Step):
    """A target port group gives another access to a volume, or to all: an implicit change (ALUA)."""

    do: Literal["access_state"]
    group: Annotated[int, Field(ge=1, le=0xFFFF)]
    state: AccessStateName
    volume: Label | None = None
    """Without it: every volume."""


class ControllerFailover(Step):
    """The active controller is lost, and the other one serves after a gap; the step ends when it does."""

    do: Literal["controller_failover"]
    gap_ns: DurationNs = Field(default=27 * SECOND_NS, alias="gap")
    """27 s were measured at a firmware cut-over of a PS6000."""
    how: Literal["rst", "fin", "silent"] = "rst"
    """How the sessions end: reset, closed in order, or without a word."""
