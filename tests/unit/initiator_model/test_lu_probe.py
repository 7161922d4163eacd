"""What the host asks a unit, and what it makes of the answers, of units that answer by the book or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from initiator_model.lu_probe import LogicalUnitFacts, ProbeError, probe, units_are_the_same, units_unchanged
from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from initiator_model.scsi_calls import UNIT_ATTENTIONS_MAX, CommandFailed
from iscsi import scsi, sense
from iscsi.capacity import Capacity, build_lun_list
from iscsi.constants import ScsiStatus
from iscsi.identification import build_device_identification, naa_designator
from iscsi.inquiry import StandardInquiry, build_serial_number
from iscsi.lun import encode_lun
from iscsi.sense import Sense

INQUIRY = StandardInquiry("EQLOGIC", "100E-00", "4.3")
CAPACITY = Capacity(2048, 512)


class Unit:
    """A unit that answers each CDB with bytes or sense data; what it was never told about is an invalid opcode."""

    def __init__(self, naa: bytes = b"\x60\x90\xa0\x88", luns: tuple[int, ...] = (0,)) -> None:
        self.attentions = 0
        self.asked: list[bytes] = []
        self.answers: dict[bytes, bytes | Sense] = {
            scsi.report_luns(): build_lun_list([encode_lun(lun) for lun in luns]),
            scsi.inquiry(): INQUIRY.encode(),
            scsi.inquiry(vpd_page=0x83): build_device_identification([naa_designator(naa)]),
            scsi.inquiry(vpd_page=0x80): build_serial_number("S1"),
            scsi.read_capacity_16(): CAPACITY.encode_16(),
            scsi.test_unit_ready(): b"",
        }

    def submit(self, request: ScsiRequest, done: Callable[[Completion], None]) -> None:
        self.asked.append(request.cdb)
        answer = self.answers.get(request.cdb, sense.INVALID_OPERATION_CODE)
        if self.attentions:
            self.attentions -= 1
            answer = sense.POWER_ON_OR_RESET
        if isinstance(answer, Sense):
            done(Completion(CompletionKind.COMPLETED, ScsiStatus.CHECK_CONDITION, answer.fixed()))
        else:
            done(Completion(CompletionKind.COMPLETED, ScsiStatus.GOOD, b"", answer))


def probed(unit: Unit) -> list[LogicalUnitFacts]:
    return asyncio.run(probe(unit.submit))


def test_a_unit_that_answers_by_the_book() -> None:
    (facts,) = probed(Unit())
    assert facts == LogicalUnitFacts(0, INQUIRY, "S1", "naa:6090a088", CAPACITY)


def test_unit_attentions_are_news_and_not_errors() -> None:
    unit = Unit()
    unit.attentions = 2
    assert len(probed(unit)) == 1
    assert unit.asked[:3] == [scsi.report_luns()] * 3


def test_a_unit_that_only_has_attentions_is_broken() -> None:
    unit = Unit()
    unit.attentions = UNIT_ATTENTIONS_MAX + 1
    with pytest.raises(CommandFailed, match="REPORT LUNS: CHECK_CONDITION 6/29/00"):
        probed(unit)


def test_an_old_unit_is_asked_for_its_capacity_in_ten_bytes_and_known_by_its_serial() -> None:
    unit = Unit()
    del unit.answers[scsi.read_capacity_16()]
    del unit.answers[scsi.inquiry(vpd_page=0x83)]
    unit.answers[scsi.read_capacity_10()] = CAPACITY.encode_10()
    (facts,) = probed(unit)
    assert (facts.capacity, facts.identity) == (CAPACITY, "serial:S1")


def test_a_unit_too_large_for_ten_bytes_must_know_sixteen() -> None:
    unit = Unit()
    del unit.answers[scsi.read_capacity_16()]
    unit.answers[scsi.read_capacity_10()] = Capacity(1 << 33, 512).encode_10()
    with pytest.raises(ProbeError, match="larger than 2 TiB"):
        probed(unit)


def test_what_is_no_disk_is_left_out() -> None:
    unit = Unit()
    unit.answers[scsi.inquiry()] = StandardInquiry("EQLOGIC", "processor", "1", peripheral=0x03).encode()
    assert probed(unit) == []


def test_an_answer_that_is_too_short_is_named() -> None:
    unit = Unit()
    unit.answers[scsi.inquiry()] = b"short"
    with pytest.raises(ProbeError, match="at least 36 bytes"):
        probed(unit)


def test_units_that_are_ready_and_themselves_pass_the_path_check() -> None:
    unit = Unit(luns=(0, 1))
    facts = probed(unit)
    unit.attentions = 1
    assert asyncio.run(units_unchanged(facts, unit.submit)) is None


def test_another_volume_behind_the_same_lun_does_not_pass_for_the_old_one() -> None:
    facts = probed(Unit())
    other = Unit(naa=b"\x60\x90\xa0\x99")
    complaint = asyncio.run(units_unchanged(facts, other.submit))
    assert complaint == "LUN 0 was naa:6090a088 and is now naa:6090a099"


def test_who_a_unit_is_can_be_asked_though_it_is_not_ready() -> None:
    """It takes no unit attention away either: INQUIRY leaves that to the next command."""
    unit = Unit()
    facts = probed(unit)
    unit.answers[scsi.test_unit_ready()] = sense.NOT_READY_BECOMING_READY
    assert asyncio.run(units_are_the_same(facts, unit.submit)) is None
    other = Unit(naa=b"\x60\x90\xa0\x99")
    assert asyncio.run(units_are_the_same(facts, other.submit)) == "LUN 0 was naa:6090a088 and is now naa:6090a099"


def test_a_unit_that_is_not_ready_does_not_pass() -> None:
    unit = Unit()
    facts = probed(unit)
    unit.answers[scsi.test_unit_ready()] = sense.NOT_READY_BECOMING_READY
    complaint = asyncio.run(units_unchanged(facts, unit.submit))
    assert complaint is not None
    assert "TEST UNIT READY: CHECK_CONDITION 2/04/01" in complaint
