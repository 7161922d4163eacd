"""A small disk and two nexuses that have heard their greeting."""

import pytest

from iscsi import scsi
from target.disk import Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus, initiator_port_name, target_port_name
from target.store import MemoryStore

IDENTITY = volume_identity("PS100", "exchange-logs")
BLOCKS = 2048


def _nexus(isid: str) -> Nexus:
    return Nexus(
        initiator_port_name("iqn.1991-05.com.microsoft:w2k3", bytes.fromhex(isid)),
        target_port_name(IDENTITY.iqn, 1),
        relative_port=3,
        tpgt=1,
    )


@pytest.fixture
def one() -> Nexus:
    """The first path of a host."""
    return _nexus("400001370001")


@pytest.fixture
def two() -> Nexus:
    """Its second path: another ISID, so another initiator port."""
    return _nexus("400001370002")


@pytest.fixture
def disk() -> Disk:
    return Disk(MemoryStore(BLOCKS * 512), IDENTITY)


@pytest.fixture
def unit(disk: Disk, one: Nexus, two: Nexus) -> LogicalUnit:
    made = LogicalUnit(disk)
    for nexus in (one, two):
        made.execute(scsi.test_unit_ready(), b"", nexus)
    return made
