"""EXTENDED COPY within a disk, between disks, and what keeps it from happening."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.copying import (
    MAX_SEGMENT_BYTES,
    CopyList,
    CopyOutcome,
    CopyResults,
    CopySegment,
    CopyStatus,
    CopyTarget,
    ListIdUsage,
    parse_copy_status,
)
from iscsi.inquiry import StandardInquiry, VpdPage
from iscsi.sense import (
    COPY_ABORTED,
    COPY_TARGET_NOT_REACHABLE,
    DEVICE_RESET,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_PARAMETER_LIST,
    MEDIUM_NOT_PRESENT,
    PARAMETER_LIST_LENGTH_ERROR,
    UNEXPECTED_INEXACT_SEGMENT,
    UNREACHABLE_COPY_TARGET,
    Sense,
)
from target.command import ScsiResult
from target.copies import MAX_KEPT
from target.disk import Disk
from target.flush import Flush
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import MemoryStore

DATA = bytes(range(1, 256)) * 257  # no two blocks alike
BLOCK = 512


def block(number: int) -> bytes:
    return DATA[number * BLOCK : (number + 1) * BLOCK]


def sense_of(result: ScsiResult) -> Sense:
    assert result.status is ScsiStatus.CHECK_CONDITION
    return Sense.decode(result.sense)


def good(result: ScsiResult) -> bytes:
    assert result.status is ScsiStatus.GOOD, result.sense.hex(" ")
    return bytes(result.data)


@dataclass
class Pair:
    """Two disks of 1 MiB; the host has both, and the first one copies. Blocks 0 to 99 of the first hold `DATA`."""

    here: Disk
    there: Disk
    unit: LogicalUnit
    nexus: Nexus

    def copy(self, *segments: CopySegment, pad: bool = False, list_id: int = 1, **changes: object) -> ScsiResult:
        """Run segments between target 0 (here) and target 1 (there)."""
        targets = (self.target(self.here), replace(self.target(self.there), pad=pad))
        wanted = replace(CopyList(targets, segments, list_id), **changes)  # type: ignore[arg-type]
        raw = wanted.encode()
        return self.unit.execute(scsi.extended_copy(len(raw)), raw, self.nexus)

    def target(self, disk: Disk) -> CopyTarget:
        return CopyTarget(disk.identity.naa, disk.block_size)

    def results(self, action: CopyResults, list_id: int = 1, nexus: Nexus | None = None) -> ScsiResult:
        return self.unit.execute(scsi.receive_copy_results(action, list_id=list_id), b"", nexus or self.nexus)


def make_pair(nexus: Nexus, **there: object) -> Pair:
    here = Disk(MemoryStore(1 << 20), volume_identity("ps100", "here"))
    other = Disk(MemoryStore(1 << 20), volume_identity("ps100", "there"), **there)  # type: ignore[arg-type]
    here.copies.reach = lambda who, naa: (other, who) if naa == other.identity.naa else None
    here.store.write(0, DATA[: 100 * BLOCK])
    unit = LogicalUnit(here)
    unit.execute(scsi.test_unit_ready(), b"", nexus)
    return Pair(here, other, unit, nexus)


@pytest.fixture
def pair(one: Nexus) -> Pair:
    return make_pair(one)


# -- copying -------------------------------------------------------------------------------------------------------


def test_within_a_disk(pair: Pair) -> None:
    good(pair.copy(CopySegment(0, 0, 4, 2, 1000)))
    assert pair.here.store.read(1000 * BLOCK, 5 * BLOCK) == DATA[2 * BLOCK : 6 * BLOCK] + bytes(BLOCK)


def test_to_another_disk_in_several_segments(pair: Pair) -> None:
    good(pair.copy(CopySegment(0, 1, 2, 0, 8), CopySegment(0, 1, 1, 50, 0), CopySegment(1, 0, 1, 8, 200)))
    assert pair.there.store.read(8 * BLOCK, 2 * BLOCK) == DATA[: 2 * BLOCK]
    assert pair.there.store.read(0, BLOCK) == block(50)
    assert pair.here.store.read(200 * BLOCK, BLOCK) == block(0)


@pytest.mark.parametrize("to", [0, 1, 3, 5, 30])
def test_a_source_that_overlaps_its_destination_is_copied_as_it_was(one: Nexus, to: int) -> None:
    """More than one piece of 1 MiB, moved by a part of a piece."""
    disk = Disk(MemoryStore(16 << 20), volume_identity("ps100", "large"))
    unit = LogicalUnit(disk)
    unit.execute(scsi.test_unit_ready(), b"", one)
    disk.store.write(2 * BLOCK, DATA * 40)
    before = disk.store.read(2 * BLOCK, 5000 * BLOCK)
    raw = CopyList((CopyTarget(disk.identity.naa, BLOCK),), (CopySegment(0, 0, 5000, 2, to),)).encode()
    good(unit.execute(scsi.extended_copy(len(raw)), raw, one))
    assert disk.store.read(to * BLOCK, 5000 * BLOCK) == before


@pytest.mark.parametrize("thin", [True, False])
def test_holes_stay_holes_on_a_thin_disk(one: Nexus, thin: bool) -> None:
    pair = make_pair(one, thin=thin)
    pair.there.store.write(0, DATA[: 100 * BLOCK])
    good(pair.copy(CopySegment(0, 1, 64, 64, 0)))  # 36 blocks of data, 28 of nothing
    assert pair.there.store.read(0, 64 * BLOCK) == DATA[64 * BLOCK : 100 * BLOCK] + bytes(28 * BLOCK)
    assert pair.there.store.extent(36 * BLOCK).mapped is not thin


def test_no_segments_and_segments_of_no_blocks_are_good(pair: Pair) -> None:
    good(pair.copy())
    good(pair.copy(CopySegment(0, 1, 0, 0, 0)))
    good(pair.unit.execute(scsi.extended_copy(0), b"", pair.nexus))


@pytest.mark.parametrize(
    ("blocks", "counts_there", "pad", "copied"),
    [(8, False, False, 4096), (1, True, False, 4096), (9, False, True, 9 * 512), (9, False, False, None)],
)
def test_between_block_sizes(one: Nexus, blocks: int, counts_there: bool, pad: bool, copied: int | None) -> None:
    """512 here, 4096 there; what does not fill its last block is padded with zeros, or refused."""
    pair = make_pair(one, block_size=4096)
    pair.there.store.write(0, b"\xff" * 16384)
    result = pair.copy(CopySegment(0, 1, blocks, 0, 1, counts_there=counts_there), pad=pad)
    if copied is None:
        assert sense_of(result).code == UNEXPECTED_INEXACT_SEGMENT.code
        assert pair.there.store.read(0, 16384) == b"\xff" * 16384
        return
    good(result)
    padding = -copied % 4096
    assert pair.there.store.read(4096, copied + padding) == DATA[:copied] + bytes(padding)
    assert pair.there.store.read(4096 + copied + padding, 512) == b"\xff" * 512


class SlowStore(MemoryStore):
    """Flushes when told to."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.flushes: list[Flush] = []

    def flush(self) -> Flush | None:
        self.flushes.append(Flush())
        return self.flushes[-1]


def test_a_copy_to_disks_without_write_cache_ends_when_all_have_it(pair: Pair) -> None:
    stores = []
    for disk in (pair.here, pair.there):
        disk.store = SlowStore(1 << 20)
        disk.write_through = True
        stores.append(disk.store)
    pending = pair.copy(CopySegment(0, 1, 1, 0, 0), CopySegment(0, 0, 1, 0, 9)).pending
    assert pending is not None
    heard: list[OSError | None] = []
    pending.on_done(heard.append)
    stores[0].flushes[0].end(None)
    assert heard == []
    stores[1].flushes[0].end(None)
    assert heard == [None]


# -- what keeps it from happening ----------------------------------------------------------------------------------


def test_an_error_names_its_segment_and_what_was_done_before_stays(pair: Pair) -> None:
    result = pair.copy(CopySegment(0, 1, 1, 0, 0), CopySegment(0, 2, 1, 0, 0), CopySegment(0, 1, 1, 1, 1))
    assert sense_of(result) == UNREACHABLE_COPY_TARGET.with_command_specific(1)
    assert pair.there.store.read(0, 2 * BLOCK) == block(0) + bytes(BLOCK)
    assert parse_copy_status(good(pair.results(CopyResults.COPY_STATUS))) == (CopyStatus.FAILED, 1, BLOCK)


BEYOND = (1 << 20) // BLOCK


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (CopySegment(7, 0, 1, 0, 0), UNREACHABLE_COPY_TARGET),
        (CopySegment(0, 0, 2, BEYOND - 1, 0), COPY_ABORTED),
        (CopySegment(0, 0, 2, 0, BEYOND - 1), COPY_ABORTED),
        (CopySegment(0, 1, 1, 0, 1 << 63), COPY_ABORTED),
        (CopySegment(0, 0, MAX_SEGMENT_BYTES // BLOCK + 1, 0, 0), INVALID_FIELD_IN_PARAMETER_LIST),
    ],
)
def test_segments_that_cannot_be_done(pair: Pair, segment: CopySegment, expected: Sense) -> None:
    assert sense_of(pair.copy(segment)).code == expected.code


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (CopyTarget(bytes(16), BLOCK), COPY_TARGET_NOT_REACHABLE),
        (CopyTarget(b"EQLOGIC here", BLOCK, kind=0x01, code_set=2), COPY_TARGET_NOT_REACHABLE),
    ],
)
def test_targets_that_are_not_there(pair: Pair, target: CopyTarget, expected: Sense) -> None:
    result = pair.copy(CopySegment(0, 0, 1, 0, 1), targets=(target,))
    assert sense_of(result).code == expected.code


def test_a_target_with_blocks_of_another_size_is_a_mistake(pair: Pair) -> None:
    result = pair.copy(CopySegment(0, 0, 1, 0, 1), targets=(replace(pair.target(pair.here), block_size=4096),))
    assert sense_of(result).code == INVALID_FIELD_IN_PARAMETER_LIST.code


@pytest.mark.parametrize("why", ["reserved", "write-protected", "ejected", "full"])
def test_a_destination_that_does_not_take_it(pair: Pair, two: Nexus, why: str) -> None:
    if why == "reserved":
        assert pair.there.reservations.reserve(two)
    elif why == "write-protected":
        pair.there.write_protected = True
    elif why == "ejected":
        pair.there.not_ready = MEDIUM_NOT_PRESENT
    else:
        pair.there.store = MemoryStore(1 << 20, limit_bytes=0)
    assert sense_of(pair.copy(CopySegment(0, 1, 1, 0, 0))).code == COPY_ABORTED.code
    good(pair.copy(CopySegment(0, 0, 1, 0, 500)))


def test_a_list_that_was_cut_is_a_length_error(pair: Pair) -> None:
    raw = CopyList((pair.target(pair.here),), (CopySegment(0, 0, 1, 0, 1),)).encode()
    for length in (1, 15, 47, len(raw) - 1):
        result = pair.unit.execute(scsi.extended_copy(length), raw, pair.nexus)
        assert sense_of(result) == PARAMETER_LIST_LENGTH_ERROR


# -- results -------------------------------------------------------------------------------------------------------


def test_a_result_is_there_once(pair: Pair) -> None:
    good(pair.copy(CopySegment(0, 1, 3, 0, 0), list_id=7))
    assert parse_copy_status(good(pair.results(CopyResults.COPY_STATUS, 7))) == (CopyStatus.COMPLETED, 1, 3 * BLOCK)
    assert sense_of(pair.results(CopyResults.COPY_STATUS, 7)) == INVALID_FIELD_IN_CDB.at(2)


def test_held_data_is_none_and_asking_for_it_takes_nothing(pair: Pair) -> None:
    good(pair.copy(list_id=7))
    assert good(pair.results(CopyResults.RECEIVE_DATA, 7)) == bytes(4)
    assert good(pair.results(CopyResults.FAILED_SEGMENT_DETAILS, 7)) == bytes(4)


def test_results_belong_to_their_nexus(pair: Pair, two: Nexus) -> None:
    pair.unit.execute(scsi.test_unit_ready(), b"", two)
    good(pair.copy(list_id=7))
    assert sense_of(pair.results(CopyResults.COPY_STATUS, 7, two)) == INVALID_FIELD_IN_CDB.at(2)


@pytest.mark.parametrize("end", ["nexus lost", "reset", "too many since"])
def test_results_do_not_last_for_ever(pair: Pair, end: str) -> None:
    good(pair.copy(list_id=7))
    if end == "nexus lost":
        pair.unit.nexus_lost(pair.nexus)
    elif end == "reset":
        pair.unit.reset(DEVICE_RESET)
    else:
        for number in range(MAX_KEPT):
            pair.here.copies.keep(replace(pair.nexus, initiator_port=str(number)), 0, CopyOutcome(0, 0))
    pair.unit.execute(scsi.test_unit_ready(), b"", pair.nexus)
    assert sense_of(pair.results(CopyResults.COPY_STATUS, 7)) == INVALID_FIELD_IN_CDB.at(2)


def test_a_list_without_identifier_leaves_no_result(pair: Pair) -> None:
    good(pair.copy(list_id=0, usage=ListIdUsage.NONE))
    assert sense_of(pair.results(CopyResults.COPY_STATUS, 0)) == INVALID_FIELD_IN_CDB.at(2)


def test_the_disk_says_that_it_copies(pair: Pair) -> None:
    assert StandardInquiry.decode(good(pair.unit.execute(scsi.inquiry(), b"", pair.nexus))).third_party_copy
    page = good(pair.unit.execute(scsi.inquiry(vpd_page=VpdPage.THIRD_PARTY_COPY), b"", pair.nexus))
    assert page[8:17].hex() == "098301008404000103"
    assert len(good(pair.results(CopyResults.OPERATING_PARAMETERS))) == 46
