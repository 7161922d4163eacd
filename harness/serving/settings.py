"""The `[serve]` table of an array file: how the array is served, as opposed to what it is."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from harness.fields import DurationNs, Table
from harness.mistakes import show

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
LoopName = Literal["auto", "asyncio", "uvloop"]

LOOPBACK = "127.0.0.1"
MAX_STOP_WITHIN_NS = 3600 * 10**9


def _endpoint(value: object) -> tuple[str, int]:
    """9273 and "127.0.0.1:9273" as (address, port)."""
    expected = f'expected a port such as 9273, or an address with one such as "{LOOPBACK}:9273", got {show(value)}'
    address, port = LOOPBACK, value
    if isinstance(value, str):
        address, _, text = value.rpartition(":")
        port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 0xFFFF:
        raise ValueError(expected)
    try:
        return str(ipaddress.IPv4Address(address)), port
    except ValueError:
        raise ValueError(expected) from None


Endpoint = Annotated[
    tuple[str, int],
    BeforeValidator(_endpoint),
    WithJsonSchema({"type": ["integer", "string"], "examples": [9273, "127.0.0.1:9273"]}),
]


class Settings(Table):
    """See the module's text. Every key may be left out."""

    secrets: str | None = None
    """The file of CHAP secrets, mode 0600; a relative path starts at this file's folder."""
    socket: str | None = None
    """The Unix socket `mpiolab status` and `mpiolab ctl` talk to. Without it: in the user's runtime folder."""
    metrics: Endpoint | None = None
    """A port of 127.0.0.1, or "address:port": Prometheus metrics at http://…/metrics. Without it: none."""
    metrics_open: bool = False
    """true: the metrics may be given away at an address others can reach."""
    log: LogFormat = "text"
    """How events are written to stderr: as sentences, or as one JSON object a line."""
    log_level: LogLevel = "info"
    loop: LoopName = "asyncio"
    """The event loop; auto takes uvloop where it is installed."""
    stop_within_ns: DurationNs = Field(default=5 * 10**9, alias="stop_within")
    """How long a shutdown waits for the initiators it has asked to log out."""
    limits: dict[str, Any] = Field(default_factory=dict)
    """Bounds of the array, such as { max_connections = 200, login_timeout = "15s" }."""

    @model_validator(mode="after")
    def _within_reason(self) -> Self:
        if self.metrics is not None and not (self.metrics_open or ipaddress.IPv4Address(self.metrics[0]).is_loopback):
            raise ValueError(
                f"metrics: {self.metrics[0]} can be reached from elsewhere, and whoever reaches it can read them: "
                "expected a loopback address, or metrics_open = true"
            )
        if self.stop_within_ns > MAX_STOP_WITHIN_NS:
            raise ValueError("stop_within: expected at most 1h")
        return self
