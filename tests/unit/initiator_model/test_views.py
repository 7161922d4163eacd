"""The screens, compared with literal text."""

from typing import NamedTuple

from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import LoadBalancePolicy
from initiator_model.views import (
    MpioDiskRow,
    TargetRow,
    TargetStatus,
    device_details,
    mpclaim_disk,
    mpclaim_disks,
    netstat,
    targets_list,
)


class Row(NamedTuple):
    local: str
    remote: str
    state: str
    offload: bool


def two_paths(first: PathState, second: PathState) -> list[Path]:
    paths = [
        Path(source="192.168.50.105:2817", portal="192.168.51.2:3260", scsi_address=ScsiAddress(1, 0, 0, 0)),
        Path(source="192.168.50.125:2819", portal="192.168.51.4:3260", scsi_address=ScsiAddress(1, 0, 1, 0)),
    ]
    for path, state in zip(paths, (first, second), strict=True):
        path.state = state
    return paths


def test_targets_list() -> None:
    rows = [
        TargetRow("iqn.2001-05.com.equallogic:6-8a0900-6e7d10f02-exchange-db", TargetStatus.INACTIVE),
        TargetRow("iqn.2001-05.com.equallogic:6-8a0900-6e7d10f03-logs", TargetStatus.CONNECTED),
    ]
    assert (
        targets_list(rows)
        == """\
Name                                                       Status
iqn.2001-05.com.equallogic:6-8a0900-6e7d10f02-exchange-db  Inactive
iqn.2001-05.com.equallogic:6-8a0900-6e7d10f03-logs         Connected
"""
    )


def test_targets_list_of_nothing_has_its_header() -> None:
    assert targets_list([]) == "Name  Status\n"


def test_device_details_after_the_second_login() -> None:
    paths = two_paths(PathState.ACTIVE_OPTIMIZED, PathState.STANDBY)
    assert (
        device_details("EQLOGIC 100E-00 Multi-Path Disk Device", LoadBalancePolicy.FAIL_OVER_ONLY, paths)
        == """\
Device Details: EQLOGIC 100E-00 Multi-Path Disk Device

Load Balance Policy: Fail Over Only
  One path carries all requests; the others stand by. When it fails, the first
  usable standby path takes over.

Path Id   Status     Type     Weight  Source Portal        Target Portal
77010000  Connected  Active   0       192.168.50.105:2817  192.168.51.2:3260
77010001  Connected  Standby  0       192.168.50.125:2819  192.168.51.4:3260
"""
    )


def test_device_details_under_round_robin_with_a_dead_path() -> None:
    paths = two_paths(PathState.FAILED, PathState.ACTIVE_OPTIMIZED)
    assert (
        device_details("Disk 1", LoadBalancePolicy.ROUND_ROBIN, paths)
        == """\
Device Details: Disk 1

Load Balance Policy: Round Robin
  All paths carry requests, each request taking the next path in turn.
  Every path must be Active.

Path Id   Status        Type    Weight  Source Portal        Target Portal
77010000  Disconnected  Failed  0       192.168.50.105:2817  192.168.51.2:3260
77010001  Connected     Active  0       192.168.50.125:2819  192.168.51.4:3260
"""
    )


def test_netstat_as_windows_2003_sp2_prints_it() -> None:
    rows = [
        Row("192.168.50.105:2817", "192.168.51.2:3260", "ESTABLISHED", True),
        Row("192.168.50.125:2819", "192.168.51.4:3260", "ESTABLISHED", True),
        Row("192.168.50.105:2816", "192.168.51.1:3260", "TIME_WAIT", False),
    ]
    assert (
        netstat(rows)
        == """\

Active Connections

  Proto  Local Address          Foreign Address        State           Offload State

  TCP    192.168.50.105:2817    192.168.51.2:3260      ESTABLISHED     Offloaded
  TCP    192.168.50.125:2819    192.168.51.4:3260      ESTABLISHED     Offloaded
  TCP    192.168.50.105:2816    192.168.51.1:3260      TIME_WAIT       InHost
"""
    )


def test_mpclaim_lists_disks() -> None:
    rows = [
        MpioDiskRow(0, 1, LoadBalancePolicy.ROUND_ROBIN, "Microsoft DSM"),
        MpioDiskRow(1, 2, LoadBalancePolicy.FAIL_OVER_ONLY, "Microsoft DSM"),
    ]
    assert (
        mpclaim_disks(rows)
        == """\
MPIO Disk    System Disk  LB Policy    DSM Name
-------------------------------------------------------------------------------
MPIO Disk0   Disk 1       RR           Microsoft DSM
MPIO Disk1   Disk 2       FOO          Microsoft DSM
"""
    )


def test_mpclaim_shows_one_disk() -> None:
    text = mpclaim_disk(
        0,
        LoadBalancePolicy.ROUND_ROBIN,
        two_paths(PathState.ACTIVE_OPTIMIZED, PathState.FAILED),
        symmetric=True,
        dsm_name="Microsoft DSM",
        serial="6090A018F0107D6E",
    )
    assert (
        text
        == """\
MPIO Disk0: 02 Paths, Round Robin, Symmetric Access
    Controlling DSM: Microsoft DSM
    SN: 6090A018F0107D6E
    Supported Load Balance Policies: FOO RR RRWS LQD WP LB

    Path ID          State              SCSI Address      Weight
    ---------------------------------------------------------------------------
    0000000077010000 Active/Optimized   001|000|000|000   0
    0000000077010001 Failed             001|000|001|000   0
"""
    )
