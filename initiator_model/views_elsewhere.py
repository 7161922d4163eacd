"""What an administrator of a Linux or ESXi host would see of a disk's paths: `multipath -ll`, `esxcli storage nmp`.

Laid out as multipath-tools 0.9 and ESXi 7 print them. Device names (`sda`, `vmhba64`) are handed out in the order of
the paths; what the model has no counterpart for is left out. Every function returns text that ends in a newline.
"""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy
from iscsi.port_groups import AccessState

__all__ = ["esxcli_paths", "multipath_ll"]

_ACTIVE = PathState.ACTIVE_OPTIMIZED


def multipath_ll(
    name: str, wwid: str, product: str, size_bytes: int, policy: LoadBalancePolicy, groups: Sequence[Sequence[Path]]
) -> str:
    """`multipath -ll` of one map; ``groups`` are its path groups, the one that is used first in front."""
    lines = [f"{name} ({wwid}) dm-0 {product}", f"size={_size(size_bytes)} features='0' hwhandler='0' wp=rw"]
    ordered = [path for group in groups for path in group]
    numbers = {path.path_id: number for number, path in enumerate(sorted(ordered, key=lambda path: path.path_id))}
    for group in groups:
        last = group is groups[-1]
        status = "active" if any(path.state is _ACTIVE for path in group) else "enabled"
        priority = max((path.priority for path in group if path.works), default=0)
        lines.append(f"{'`' if last else '|'}-+- policy='{policy.display} 0' prio={priority} status={status}")
        for path in group:
            number, branch = numbers[path.path_id], "`" if path is group[-1] else "|"
            address = f"{path.scsi_address.target + 2}:0:0:{path.scsi_address.lun}"
            device = f"sd{chr(ord('a') + number)}" if number < 26 else f"sda{chr(ord('a') + number - 26)}"
            lines.append(
                f"{' ' if last else '|'} {branch}- {address:<8} {device:<4} 8:{16 * number:<4} {_linux_state(path)}"
                f"   {_address(path.source)} -> {_address(path.portal)}"
            )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _linux_state(path: Path) -> str:
    """dm state, checker state, SCSI device state."""
    if not path.works:
        return "failed faulty running"
    checker = "ghost" if path.access in (AccessState.STANDBY, AccessState.UNAVAILABLE) else "ready"
    return f"active {checker:<5} running"


def _size(size_bytes: int) -> str:
    for unit, letter in ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f}".removesuffix(".0") + letter
    return f"{size_bytes >> 10}K"


def esxcli_paths(device: str, policy: LoadBalancePolicy, paths: Sequence[Path], working: Path | None) -> str:
    """`esxcli storage nmp path list` in short; ``working`` is the path that has (I/O) beside it, if one has."""
    lines = [device, f"   Path Selection Policy: {policy.display}"]
    for path in paths:
        if not path.works:
            state = "dead"
        elif path.access in (AccessState.STANDBY, AccessState.UNAVAILABLE):
            state = "standby"
        else:
            state = "active unoptimized" if path.access is AccessState.ACTIVE_NON_OPTIMIZED else "active"
        used = " (I/O)" if working is path or (working is None and path.state is _ACTIVE) else ""
        runtime = f"vmhba64:C{path.scsi_address.target}:T0:L{path.scsi_address.lun}"
        ends = f"{_address(path.source)} -> {_address(path.portal)}{'  preferred' if path.preferred else ''}"
        lines.append(f"   {runtime:<18} {state}{used:<6}  {ends}")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _address(endpoint: str) -> str:
    return endpoint.rpartition(":")[0]
