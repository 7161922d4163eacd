"""The result of a run, as others read it: `mpiolab.result/1`.

These dataclasses and the JSON document have the same names in the same order; `--json`, `result.json` in the run
directory and every report are this one type. Seconds are floats because the document is for people and notebooks;
latencies are in microseconds; everything the simulator decided by was an integer before it came here. Fields may be
added to the document, none is removed: a reader of version 1 ignores what it does not know, and so does `from_json`.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from enum import IntEnum
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

SCHEMA = "mpiolab.result/1"

Verdict = Literal["pass", "fail", "unknown"]
FailureKind = Literal["correctness", "liveness", "determinism"]
Net = Literal["sim", "tcp"]


class ExitCode(IntEnum):
    """What the command returns; 1 and 128+n are left to Python and the shell."""

    PASS = 0
    USAGE = 2
    CORRECTNESS = 10
    LIVENESS = 11
    DETERMINISM = 12
    HARNESS = 70


class ResultError(ValueError):
    """A document that is no `mpiolab.result/1`; the message names the key."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that did not hold: why, in a sentence, and what was measured."""

    check: str
    why: str
    evidence: Mapping[str, Any]
    kind: FailureKind = "correctness"


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """A check and what became of it."""

    name: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Connection:
    """One row of `netstat -nt`; `via` is the address the login was redirected from."""

    host: str
    local: str
    """ip:port"""
    remote: str
    """ip:port"""
    state: str
    offload: bool
    via: str | None


@dataclass(frozen=True, slots=True)
class LatencyUs:
    """Latency of a phase's I/Os in microseconds."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class PathShare:
    """What one path carried during a phase."""

    id: str
    local: str
    """Source address."""
    portal: str
    """Address of the portal it ends at."""
    state: str
    """At the end of the phase."""
    ios: int
    bytes: int
    share: float
    """Of the phase's I/Os, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One workload: what it did, how fast, and over which paths."""

    name: str
    policy: str
    start_s: float
    end_s: float
    ios: int
    bytes: int
    iops: float
    throughput_bytes_per_s: float
    latency_us: LatencyUs
    paths: tuple[PathShare, ...]


@dataclass(frozen=True, slots=True)
class Failover:
    """One path loss from the fault to the first I/O that completed after it."""

    host: str
    path: str
    cause: str
    fault_at_s: float
    detected_at_s: float | None
    resumed_at_s: float | None
    stall_s: float | None


@dataclass(frozen=True, slots=True)
class IoCounts:
    """Logical I/Os of the whole run; `unknown` were still open when it ended."""

    submitted: int
    ok: int
    failed: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Result:
    """One run."""

    scenario: str
    seed: int
    net: Net
    verdict: Literal["pass", "fail"]
    failures: tuple[Failure, ...]
    checks: tuple[CheckVerdict, ...]
    trace_sha256: str | None
    virtual_seconds: float
    wall_seconds: float
    connections: tuple[Connection, ...]
    phases: tuple[Phase, ...]
    failovers: tuple[Failover, ...]
    io: IoCounts
    marks: tuple[str, ...] = ()
    """Rare situations that this run came through, by their names in `harness.check.marks`."""
    events: int = 0
    """What the trace holds: TCP segments and everything told to it; 0 without a trace."""

    @property
    def exit_code(self) -> ExitCode:
        """PASS, or the code of the first kind of failure: correctness before liveness before determinism."""
        kinds = [failure.kind for failure in self.failures]
        if self.verdict == "pass":
            return ExitCode.PASS
        if not kinds or "correctness" in kinds:
            return ExitCode.CORRECTNESS
        return ExitCode.LIVENESS if "liveness" in kinds else ExitCode.DETERMINISM

    def phase(self, name: str) -> Phase | None:
        """The phase of that name; None if the run never came to it."""
        return next((phase for phase in self.phases if phase.name == name), None)

    def to_document(self) -> dict[str, Any]:
        """The document as Python's own types, ready for json.dumps."""
        return {"schema": SCHEMA, **asdict(self)}

    def to_json(self) -> str:
        """The document as text, one line, without a newline at the end."""
        return json.dumps(self.to_document(), ensure_ascii=False, allow_nan=False)


def from_json(text: str | bytes) -> Result:
    """Read a document. Raises ResultError naming the key; keys of later additions are ignored."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ResultError(f"not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else None
        raise ResultError(f'schema: expected "{SCHEMA}", got {json.dumps(found)}')
    return _read(Result, document, "")


R = TypeVar("R")


def _read(kind: type[R], node: object, where: str) -> R:
    """A dataclass from a JSON object, by its type hints."""
    if not isinstance(node, dict):
        raise ResultError(f"{where or 'document'}: expected an object")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # kind is always one of the dataclasses above
        here = f"{where}.{field.name}" if where else field.name
        if field.name in node:
            values[field.name] = _value(hints[field.name], node[field.name], here)
        elif field.default is MISSING:
            raise ResultError(f"{here}: missing")
    return kind(**values)


def _value(hint: Any, node: object, where: str) -> Any:
    origin = get_origin(hint)
    if origin is tuple:
        if not isinstance(node, list):
            raise ResultError(f"{where}: expected an array")
        return tuple(_value(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(node))
    if origin in (Union, UnionType):
        if node is None:
            return None
        return _value(next(arm for arm in get_args(hint) if arm is not type(None)), node, where)
    if origin is Literal:
        if node not in get_args(hint):
            raise ResultError(f"{where}: expected one of {', '.join(map(str, get_args(hint)))}, got {json.dumps(node)}")
        return node
    if is_dataclass(hint) and isinstance(hint, type):
        return _read(hint, node, where)
    wanted: type | tuple[type, ...] = dict if origin is not None else hint
    if wanted is float:
        wanted = (float, int)
    if not isinstance(node, wanted) or (isinstance(node, bool) and hint is not bool):
        raise ResultError(f"{where}: expected {_JSON_NAMES.get(hint, 'an object')}, got {json.dumps(node)}")
    return node


_JSON_NAMES: Mapping[Any, str] = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
