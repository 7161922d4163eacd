"""An active/passive volume: which portal serves it, and what moves it."""

from __future__ import annotations

import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.scsi import ScsiOpcode
from iscsi.sense import NOT_READY_STANDBY, Sense
from target.lun import LogicalUnit
from target.lun_map import LunMap
from target.nexus import Nexus
from target.ownership import Ownership
from target.store import MemoryStore
from tests.unit.target.conftest import IDENTITY


def through(port: int) -> Nexus:
    return Nexus(f"iqn.host,i,0x{port:012x}", "iqn.volume,t,0x0001", relative_port=port, tpgt=1)


def test_nobody_owns_the_volume_before_somebody_asks() -> None:
    ownership = Ownership()
    assert not ownership.refuses(ScsiOpcode.INQUIRY, through(1))
    assert ownership.owner is None


def test_the_first_portal_asked_whether_it_is_ready_becomes_the_owner() -> None:
    ownership = Ownership()
    assert not ownership.refuses(ScsiOpcode.TEST_UNIT_READY, through(2))
    assert (ownership.owner, ownership.moves) == (2, 0)
    assert not ownership.refuses(ScsiOpcode.TEST_UNIT_READY, through(2))
    assert ownership.refuses(ScsiOpcode.TEST_UNIT_READY, through(3))
    assert (ownership.owner, ownership.moves) == (2, 0)


@pytest.mark.parametrize("opcode", [ScsiOpcode.INQUIRY, ScsiOpcode.REPORT_LUNS, ScsiOpcode.READ_CAPACITY_10])
def test_the_volume_may_be_asked_about_through_any_portal(opcode: ScsiOpcode) -> None:
    ownership = Ownership()
    ownership.refuses(ScsiOpcode.TEST_UNIT_READY, through(2))
    assert not ownership.refuses(opcode, through(3))
    assert ownership.owner == 2


@pytest.mark.parametrize("opcode", [ScsiOpcode.READ_10, ScsiOpcode.READ_16, ScsiOpcode.WRITE_6, ScsiOpcode.WRITE_12])
def test_input_and_output_through_another_portal_take_the_volume_along(opcode: ScsiOpcode) -> None:
    ownership = Ownership()
    ownership.refuses(ScsiOpcode.TEST_UNIT_READY, through(2))
    assert not ownership.refuses(opcode, through(3))
    assert (ownership.owner, ownership.moves) == (3, 1)
    assert ownership.refuses(ScsiOpcode.TEST_UNIT_READY, through(2))


def test_round_robin_over_two_portals_makes_the_volume_change_hands_with_every_command() -> None:
    ownership = Ownership()
    for turn in range(10):
        ownership.refuses(ScsiOpcode.READ_10, through(turn % 2 + 1))
    assert ownership.moves == 9


def test_a_standby_portal_answers_not_ready_with_the_sense_of_standby() -> None:
    luns = LunMap({0: LogicalUnit.over(MemoryStore(1 << 20), IDENTITY)}, Ownership())
    for port in (1, 2):
        luns.execute(0, scsi.inquiry(), b"", through(port))
    for port in (1, 1):  # the second time the unit attention of a new nexus is gone
        luns.execute(0, scsi.test_unit_ready(), b"", through(port))
    assert luns.execute(0, scsi.test_unit_ready(), b"", through(1)).status == ScsiStatus.GOOD
    refused = luns.execute(0, scsi.test_unit_ready(), b"", through(2))
    assert refused.status == ScsiStatus.CHECK_CONDITION
    assert Sense.decode(refused.sense).code == NOT_READY_STANDBY.code
