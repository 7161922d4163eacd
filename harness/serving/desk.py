"""What may be asked of a served array over its control socket: one table of commands.

The operations themselves are `target.operations`; here their arguments are checked, and what was decided becomes an
answer in sentences and as data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field, Strict

from harness.fields import AccessStateName, Ip, Table, access_state
from harness.load import validated
from harness.mistakes import ScenarioError, did_you_mean
from harness.serving.control_wire import Answer, Refusal, Request
from harness.serving.event_log import EventLog
from harness.serving.rates import Meter
from harness.serving.settings import LogLevel
from harness.serving.status_report import Moment, report
from target.decisions import Decision
from target.operations import FAILOVER_GAP_S, MAX_GAP_S, FailoverManner, OperationError, Operations
from target.server import ArrayServer

Seconds = Annotated[int, Field(ge=1, le=0xFFFF)]


class Nothing(Table):
    """No arguments."""


class Portal(Table):
    """One of the array's portals."""

    address: Ip


class Drain(Portal):
    """``within_s``: what the initiators are given to log out; the array's setting without it."""

    within_s: Seconds | None = None


class Rebalance(Table):
    """As for a drain."""

    within_s: Seconds | None = None


class Failover(Table):
    """How long nobody serves, and how the sessions end."""

    gap_s: Annotated[float, Strict(False), Field(ge=0, le=MAX_GAP_S)] = FAILOVER_GAP_S
    how: Literal["rst", "fin", "silent"] = "rst"


class Logout(Table):
    """A session by its TSIH."""

    session: Annotated[int, Field(ge=1, le=0xFFFF)]
    within_s: Seconds | None = None


class Grow(Table):
    """A volume by its name, and the size one of its LUNs gets."""

    volume: str
    size_bytes: Annotated[int, Field(ge=1)]
    lun: Annotated[int, Field(ge=0)] = 0


class Access(Table):
    """A target port group by its number, its new state, and the volume it is for; without one for all."""

    group: Annotated[int, Field(ge=1, le=0xFFFF)]
    state: AccessStateName
    volume: str | None = None


class Fault(Table):
    """A fault by its name in `target.faults`, and its place; which places it may have depends on the name."""

    name: str
    portal: Ip | None = None
    volume: str | None = None
    lba: Annotated[int, Field(ge=0)] | None = None
    blocks: Annotated[int, Field(ge=1)] | None = None
    to: Ip | None = None
    sense: str | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    op: Literal["read", "write"] | None = None
    extra_ns: Annotated[int, Field(ge=1)] | None = None

    @property
    def place(self) -> dict[str, Any]:
        """The keywords of `Operations.fault_on`."""
        return self.model_dump(exclude={"name"})


class Level(Table):
    """What is logged from now on."""

    level: LogLevel


@dataclass(slots=True)
class Desk:
    """Answers requests for one served array. ``state`` is what the status says of it."""

    server: ArrayServer
    operations: Operations
    meter: Meter
    log: EventLog
    wall_clock: Callable[[], float]
    state: str = "starting"

    async def handle(self, request: Request) -> Answer | Refusal:
        """Do what is asked, or say why not; what was done is logged."""
        entry = COMMANDS.get(request.command)
        if entry is None:
            return Refusal(f'no command "{request.command[:40]}"{did_you_mean(request.command[:40], COMMANDS)}')
        if self.state == "stopping" and request.command != "status":
            return Refusal("the array is stopping")
        model, act = entry
        try:
            answer = await act(self, validated(model, request.arguments, request.command))
        except (ScenarioError, OperationError) as error:
            return Refusal(str(error))
        if request.command != "status":
            words = " ".join([request.command, *(f"{key}={value}" for key, value in request.arguments.items())])
            self.log.event("ctl", f"ctl {words}", {"command": request.command, "arguments": request.arguments})
        return answer

    def report(self) -> dict[str, Any]:
        """The status document."""
        moment = Moment(asyncio.get_running_loop().time(), self.wall_clock())
        return report(self.server, self.meter, moment, state=self.state, faults=self.operations.faults())


def decision_data(decision: Decision) -> dict[str, Any]:
    """A decision as JSON has it."""
    return asdict(decision) | {"kind": decision.kind.value}


def _decided(decisions: Sequence[Decision]) -> Answer:
    return Answer(
        tuple(decision.words for decision in decisions),
        {"decisions": [decision_data(decision) for decision in decisions]},
    )


async def _status(desk: Desk, _: Nothing) -> Answer:
    return Answer(result=desk.report())


async def _portal_down(desk: Desk, wanted: Portal) -> Answer:
    return _decided([await desk.operations.portal_down(wanted.address)])


async def _portal_up(desk: Desk, wanted: Portal) -> Answer:
    return _decided([await desk.operations.portal_up(wanted.address)])


async def _drain(desk: Desk, wanted: Drain) -> Answer:
    return _decided(desk.operations.drain(wanted.address, wanted.within_s))


async def _undrain(desk: Desk, wanted: Portal) -> Answer:
    return _decided([desk.operations.undrain(wanted.address)])


async def _rebalance(desk: Desk, wanted: Rebalance) -> Answer:
    return _decided(desk.operations.rebalance(wanted.within_s))


async def _controller_failover(desk: Desk, wanted: Failover) -> Answer:
    return _decided(await desk.operations.controller_failover(wanted.gap_s, FailoverManner(wanted.how)))


async def _logout(desk: Desk, wanted: Logout) -> Answer:
    numbers = [
        protocol.number
        for protocol in desk.server.connections()
        if protocol.session is not None and protocol.session.tsih == wanted.session
    ]
    if not numbers:
        known = [str(session.tsih) for session in desk.server.group.sessions.all()]
        raise OperationError(f"there is no session {wanted.session}: {', '.join(known) or 'nobody is logged in'}")
    return _decided([desk.operations.request_logout(number, wanted.within_s) for number in numbers])


async def _grow(desk: Desk, wanted: Grow) -> Answer:
    return _decided([desk.operations.resize(wanted.volume, wanted.size_bytes, wanted.lun)])


async def _access_state(desk: Desk, wanted: Access) -> Answer:
    return _decided(desk.operations.access_state(wanted.group, access_state(wanted.state), wanted.volume))


async def _fault_on(desk: Desk, wanted: Fault) -> Answer:
    return _decided([desk.operations.fault_on(wanted.name, **wanted.place)])


async def _fault_off(desk: Desk, wanted: Fault) -> Answer:
    return _decided(desk.operations.fault_off(wanted.name, **wanted.place))


async def _log_level(desk: Desk, wanted: Level) -> Answer:
    before, desk.log.level = desk.log.level, wanted.level
    return Answer((f"log level: {before} before, {wanted.level} now",), {"before": before, "level": wanted.level})


def _entry(model: type[Table], act: Any) -> tuple[type[Table], Callable[[Desk, Table], Awaitable[Answer]]]:
    return model, cast(Callable[[Desk, Table], Awaitable[Answer]], act)


COMMANDS: Final[Mapping[str, tuple[type[Table], Callable[[Desk, Table], Awaitable[Answer]]]]] = {
    "status": _entry(Nothing, _status),
    "portal-down": _entry(Portal, _portal_down),
    "portal-up": _entry(Portal, _portal_up),
    "drain": _entry(Drain, _drain),
    "undrain": _entry(Portal, _undrain),
    "rebalance": _entry(Rebalance, _rebalance),
    "controller-failover": _entry(Failover, _controller_failover),
    "access-state": _entry(Access, _access_state),
    "grow": _entry(Grow, _grow),
    "fault-on": _entry(Fault, _fault_on),
    "fault-off": _entry(Fault, _fault_off),
    "logout": _entry(Logout, _logout),
    "log-level": _entry(Level, _log_level),
}
"""Every command: its arguments, and what it does."""
