"""What an administrator would see: the initiator applet's lists, `netstat -nt`, and mpclaim, as plain text.

The walkthrough this project reproduces is checked against these screens, so their columns and words are those of
Windows; explanatory sentences are our own. `netstat` is laid out as Windows Server 2003 SP2 prints it, with the
Offload State column that service pack brought. The mpclaim layouts are of Windows Server 2008 and later (unverified;
there is no mpclaim on 2003).

Every function takes facts and returns text that ends in a newline, without blanks at line ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy
from initiator_model.policies.catalog import MICROSOFT

__all__ = [
    "ConnectionRow",
    "MpioDiskRow",
    "TargetRow",
    "TargetStatus",
    "device_details",
    "mpclaim_disk",
    "mpclaim_disks",
    "netstat",
    "targets_list",
]


class TargetStatus(Enum):
    """The Status column of the Targets tab."""

    INACTIVE = "Inactive"
    CONNECTED = "Connected"


class TargetRow(NamedTuple):
    """One line of the Targets tab."""

    name: str
    status: TargetStatus


class ConnectionRow(Protocol):
    """One TCP connection as the host's stack reports it; `local` and `remote` are `"ip:port"`."""

    @property
    def local(self) -> str: ...
    @property
    def remote(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def offload(self) -> bool: ...


class MpioDiskRow(NamedTuple):
    """One line of `mpclaim -s -d`."""

    number: int
    system_disk: int
    policy: LoadBalancePolicy
    dsm_name: str


def targets_list(rows: Iterable[TargetRow]) -> str:
    """The Targets tab: every discovered target and whether the host is logged on to it."""
    return _text(_table(("Name", "Status"), [(row.name, row.status.value) for row in rows]))


_DESCRIPTIONS: Final = MappingProxyType(
    {
        LoadBalancePolicy.FAIL_OVER_ONLY: (
            "One path carries all requests; the others stand by. When it fails, the first",
            "usable standby path takes over.",
        ),
        LoadBalancePolicy.ROUND_ROBIN: (
            "All paths carry requests, each request taking the next path in turn.",
            "Every path must be Active.",
        ),
        LoadBalancePolicy.ROUND_ROBIN_SUBSET: (
            "The Active paths carry requests in turn; the others stand by. When the last Active",
            "path fails, the first usable standby path takes over.",
        ),
        LoadBalancePolicy.LEAST_QUEUE_DEPTH: (
            "All paths carry requests, each request taking the path with the fewest outstanding.",
            "Every path must be Active.",
        ),
        LoadBalancePolicy.LEAST_BLOCKS: (
            "All paths carry requests, each request taking the path with the fewest bytes",
            "outstanding. Every path must be Active.",
        ),
        LoadBalancePolicy.WEIGHTED_PATHS: (
            "The path with the lowest weight carries all requests. When it fails, the next",
            "lowest takes over. Every path must be Active.",
        ),
    }
)

_PATH_COLUMNS: Final = ("Path Id", "Status", "Type", "Weight", "Source Portal", "Target Portal")


def device_details(device: str, policy: LoadBalancePolicy, paths: Sequence[Path]) -> str:
    """The MPIO page of Device Details, with the portals that its Details button shows in the same table."""
    rows = [
        (
            path.label,
            "Connected" if path.works else "Disconnected",
            path.shown.display,
            str(path.weight),
            path.source,
            path.portal,
        )
        for path in paths
    ]
    return _text(
        [
            f"Device Details: {device}",
            "",
            f"Load Balance Policy: {policy.display}",
            *(f"  {line}" for line in _DESCRIPTIONS.get(policy, ())),
            "",
            *_table(_PATH_COLUMNS, rows),
        ]
    )


def netstat(rows: Iterable[ConnectionRow]) -> str:
    """`netstat -nt`: TCP connections with numbers for names, and who runs each: the host or an adapter."""
    lines = [
        "",
        "Active Connections",
        "",
        _netstat_line("Proto", "Local Address", "Foreign Address", "State", "Offload State"),
        "",
    ]
    for row in rows:
        where = "Offloaded" if row.offload else "InHost"
        lines.append(_netstat_line("TCP", row.local, row.remote, row.state, where))
    return _text(lines)


def _netstat_line(proto: str, local: str, remote: str, state: str, offload: str) -> str:
    return f"  {proto:<6} {local:<22} {remote:<22} {state:<15} {offload}"


def mpclaim_disks(rows: Iterable[MpioDiskRow]) -> str:
    """`mpclaim -s -d`: the disks MPIO has claimed."""
    lines = ["MPIO Disk    System Disk  LB Policy    DSM Name", "-" * 79]
    for row in rows:
        lines.append(
            f"{f'MPIO Disk{row.number}':<12} {f'Disk {row.system_disk}':<12} {row.policy.short:<12} {row.dsm_name}"
        )
    return _text(lines)


def mpclaim_disk(
    number: int, policy: LoadBalancePolicy, paths: Sequence[Path], *, symmetric: bool, dsm_name: str, serial: str
) -> str:
    """`mpclaim -s -d n`: one disk and its paths. `serial` is the unit's, as the device reports it."""
    access = "Symmetric" if symmetric else "Asymmetric"
    lines = [
        f"MPIO Disk{number}: {len(paths):02d} Paths, {policy.display}, {access} Access",
        f"    Controlling DSM: {dsm_name}",
        f"    SN: {serial}",
        f"    Supported Load Balance Policies: {' '.join(known.short for known in MICROSOFT)}",
        "",
        "    Path ID          State              SCSI Address      Weight",
        "    " + "-" * 75,
    ]
    for path in paths:
        state = "Active/Optimized" if path.shown is PathState.ACTIVE_OPTIMIZED else path.shown.display
        lines.append(f"    {path.path_id:016x} {state:<18} {path.scsi_address!s:<17} {path.weight}")
    return _text(lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, two blanks between."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line.rstrip()}\n" for line in lines)
