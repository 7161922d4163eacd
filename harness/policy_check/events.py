"""What can happen to a disk and its paths, as data.

Paths have numbers from 1, which they keep when they go and come again. An event that makes no sense where it stands
(a path that is not there fails) does nothing, so any list of events is a story, and leaving one out gives another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Final

from initiator_model.requests import Operation
from iscsi.port_groups import AccessState

__all__ = [
    "NEWEST",
    "AccessSaid",
    "Event",
    "NeighbourLoad",
    "PathAdded",
    "PathFails",
    "PathRemoved",
    "PathReturns",
    "PolicySet",
    "RequestEnds",
    "RequestStarts",
    "TimePasses",
    "from_document",
    "to_document",
]

NEWEST: Final = -1
"""As `RequestEnds.which`."""

BLOCK_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class PathAdded:
    """A session's path joins the disk."""

    path: int
    weight: int = 0
    throughput: int = 1
    priority: int = 1
    can_be_active: bool = True

    def __str__(self) -> str:
        facts = [f"weight {self.weight}"] if self.weight else []
        facts += [f"throughput {self.throughput}"] if self.throughput != 1 else []
        facts += [f"priority {self.priority}"] if self.priority != 1 else []
        facts += [] if self.can_be_active else ["cannot be active beside another"]
        return f"path {self.path} is added" + (f" ({', '.join(facts)})" if facts else "")


@dataclass(frozen=True, slots=True)
class PathRemoved:
    """Its session is logged out."""

    path: int

    def __str__(self) -> str:
        return f"path {self.path} is removed"


@dataclass(frozen=True, slots=True)
class PathFails:
    """Its session gives up; what it carried comes back and is sent down other paths."""

    path: int

    def __str__(self) -> str:
        return f"path {self.path} fails"


@dataclass(frozen=True, slots=True)
class PathReturns:
    """Its session is back."""

    path: int

    def __str__(self) -> str:
        return f"path {self.path} returns"


@dataclass(frozen=True, slots=True)
class PolicySet:
    """The policy is set anew, with a wish for every path: Active unless it is to stand by."""

    preferred: int = 0
    """0: none."""
    standby: tuple[int, ...] = ()
    weights: tuple[int, ...] = ()
    """Of path 1, 2, ...; 0 for the rest."""
    throughputs: tuple[int, ...] = ()
    """Likewise; 1 for the rest."""

    def __str__(self) -> str:
        facts = [f"path {self.preferred} preferred"] if self.preferred else []
        facts += [f"path {path} Standby" for path in self.standby]
        facts += [f"path {number} weighs {weight}" for number, weight in enumerate(self.weights, start=1) if weight]
        shares = enumerate(self.throughputs, start=1)
        facts += [f"path {number} has throughput {share}" for number, share in shares if share != 1]
        return "the policy is set" + (f": {', '.join(facts)}" if facts else "")


@dataclass(frozen=True, slots=True)
class RequestStarts:
    """The application asks for something."""

    operation: Operation = Operation.READ
    lba: int = 0
    blocks: int = 8

    @property
    def size_bytes(self) -> int:
        """What it moves."""
        return self.blocks * BLOCK_BYTES

    def __str__(self) -> str:
        if self.operation is Operation.FLUSH:
            return "a flush"
        return f"a {self.operation.value} of {self.size_bytes} bytes at block {self.lba}"


@dataclass(frozen=True, slots=True)
class RequestEnds:
    """A request comes back: `which` counts those in flight from the oldest, 0. Badly: it is tried again at once."""

    which: int = 0
    well: bool = True

    def __str__(self) -> str:
        names = {0: "the oldest request", NEWEST: "the newest request"}
        name = names.get(self.which, f"request {self.which + 1} of those in flight")
        return f"{name} ends{'' if self.well else ' badly and is tried again'}"


@dataclass(frozen=True, slots=True)
class NeighbourLoad:
    """Another LUN of the path's session has so many requests in flight from now on."""

    path: int
    requests: int

    def __str__(self) -> str:
        requests = f"{self.requests} request{'' if self.requests == 1 else 's'}"
        return f"another LUN of path {self.path} has {requests} in flight"


@dataclass(frozen=True, slots=True)
class AccessSaid:
    """The array says what state the port group behind a path is in; the others are optimized unless it said so."""

    path: int
    access: AccessState

    def __str__(self) -> str:
        return f"the array says path {self.path} is {self.access.words}"


@dataclass(frozen=True, slots=True)
class TimePasses:
    """Nothing else happens for a while."""

    ms: int

    def __str__(self) -> str:
        return f"{self.ms} ms pass"


Event = (
    PathAdded
    | PathRemoved
    | PathFails
    | PathReturns
    | PolicySet
    | RequestStarts
    | RequestEnds
    | NeighbourLoad
    | AccessSaid
    | TimePasses
)

_KINDS: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        re.sub(r"(?<!^)([A-Z])", r"_\1", kind.__name__).lower(): kind
        for kind in (
            PathAdded,
            PathRemoved,
            PathFails,
            PathReturns,
            PolicySet,
            RequestStarts,
            RequestEnds,
            NeighbourLoad,
            AccessSaid,
            TimePasses,
        )
    }
)
_NAMES: Final = MappingProxyType({kind: name for name, kind in _KINDS.items()})


def to_document(event: Event) -> dict[str, Any]:
    """The event for JSON, its kind under "event"."""
    document: dict[str, Any] = {"event": _NAMES[type(event)], **asdict(event)}
    if isinstance(event, RequestStarts):
        document["operation"] = event.operation.value
    if isinstance(event, AccessSaid):
        document["access"] = event.access.name
    return document


def from_document(document: Mapping[str, Any]) -> Event:
    """What `to_document` wrote."""
    kind = _KINDS[document["event"]]
    values = {field.name: document[field.name] for field in fields(kind)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    if "operation" in values:
        values["operation"] = Operation(values["operation"])
    if "access" in values:
        values["access"] = AccessState[values["access"]]
    event: Event = kind(**values)
    return event
