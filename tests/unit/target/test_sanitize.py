"""SANITIZE: what it erases, what it takes, what a disk answers while it lasts, and what happens when it fails."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.pdu import ScsiResponse
from iscsi.scsi import Sanitize
from iscsi.sense import (
    DEVICE_RESET,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_PARAMETER_LIST,
    MEDIUM_NOT_PRESENT,
    SANITIZE_FAILED,
    SANITIZE_IN_PROGRESS,
    WRITE_PROTECTED,
    Sense,
)
from target.chores import Chore, Chores
from target.command import ScsiResult
from target.disk import Disk
from target.flush import Flush
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.sanitize import RATE_BYTES_PER_S, STEP_BYTES
from target.store import MemoryStore
from tests.support.array import disk_bytes, logged_in, make_group, volume

SIZE = 4 * STEP_BYTES
OLD = b"a" * 512
ERASES = (Sanitize.BLOCK_ERASE, Sanitize.CRYPTO_ERASE)


def sense_of(result: ScsiResult) -> Sense:
    assert result.status is ScsiStatus.CHECK_CONDITION
    return Sense.decode(result.sense)


def good(result: ScsiResult) -> bytes:
    assert result.status is ScsiStatus.GOOD, result.sense.hex(" ")
    return bytes(result.data)


def make(one: Nexus, *, store: MemoryStore | None = None, thin: bool = False, removable: bool = False) -> LogicalUnit:
    disk = Disk(store or MemoryStore(SIZE), volume_identity("g", "v"), thin=thin, removable=removable)
    unit = LogicalUnit(disk)
    unit.execute(scsi.test_unit_ready(), b"", one)
    for lba in (0, disk.blocks - 1):
        disk.store.write(lba * 512, OLD)
    return unit


def parameters(pattern: bytes, *, count: int = 1, invert: bool = False, length: int | None = None) -> bytes:
    return bytes((invert << 7 | count, 0)) + (len(pattern) if length is None else length).to_bytes(2, "big") + pattern


def overwrite(unit: LogicalUnit, nexus: Nexus, data: bytes = parameters(b"\xaa"), **flags: bool) -> ScsiResult:
    return unit.execute(scsi.sanitize(Sanitize.OVERWRITE, parameter_list_length=len(data), **flags), data, nexus)


def content(unit: LogicalUnit) -> bytes:
    return unit.disk.store.read(0, SIZE)


# -- what it erases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thin", [True, False])
@pytest.mark.parametrize("action", ERASES)
def test_an_erased_disk_reads_zeros_and_a_thin_one_is_empty(one: Nexus, action: Sanitize, thin: bool) -> None:
    unit = make(one, thin=thin)
    good(unit.execute(scsi.sanitize(action), b"", one))
    assert content(unit) == bytes(SIZE)
    assert not unit.disk.store.extent(0).mapped


@pytest.mark.parametrize(
    ("data", "block"),
    [
        (parameters(b"\xaa" * 512), b"\xaa" * 512),
        (parameters(b"\x01\x02\x03"), (b"\x01\x02\x03" * 171)[:512]),
        (parameters(b"\x0f", count=2), b"\x0f" * 512),
        (parameters(b"\x0f", count=2, invert=True), b"\xf0" * 512),
        (parameters(b"\x0f", count=3, invert=True), b"\x0f" * 512),
    ],
)
def test_overwriting_leaves_the_pattern_of_the_last_pass_in_every_block(one: Nexus, data: bytes, block: bytes) -> None:
    unit = make(one)
    good(overwrite(unit, one, data))
    assert content(unit) == block * (SIZE // 512)
    good(unit.execute(scsi.test_unit_ready(), b"", one))


def test_a_size_that_is_no_multiple_of_a_step_is_overwritten_to_the_end(one: Nexus) -> None:
    unit = make(one, store=MemoryStore(STEP_BYTES + 512))
    good(overwrite(unit, one))
    assert unit.disk.store.read(0, STEP_BYTES + 512) == b"\xaa" * (STEP_BYTES + 512)


# -- what it takes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 4, 517])
def test_the_parameter_list_has_a_header_and_one_block_at_most(one: Nexus, length: int) -> None:
    result = overwrite(make(one), one, bytes((1, 0, 2, 0)).ljust(600, b"x")[:length])
    assert sense_of(result) == INVALID_FIELD_IN_CDB.at(7)


@pytest.mark.parametrize(
    ("data", "byte"),
    [
        (parameters(b"x", count=0), 0),
        (parameters(b"x", length=0), 2),
        (parameters(b"x", length=2), 2),
        (parameters(b"x" * 512, length=513), 2),
    ],
)
def test_a_parameter_list_that_cannot_be_meant(one: Nexus, data: bytes, byte: int) -> None:
    unit = make(one)
    sense = sense_of(overwrite(unit, one, data))
    assert sense.code == INVALID_FIELD_IN_PARAMETER_LIST.code
    assert sense.field_pointer is not None
    assert sense.field_pointer.byte == byte
    assert content(unit).startswith(OLD)


@pytest.mark.parametrize("action", [*ERASES, Sanitize.EXIT_FAILURE_MODE])
def test_only_overwriting_has_parameters(one: Nexus, action: Sanitize) -> None:
    result = make(one).execute(scsi.sanitize(action, parameter_list_length=8), bytes(8), one)
    assert sense_of(result).code == INVALID_FIELD_IN_CDB.code


@pytest.mark.parametrize("action", [number for number in range(32) if number not in list(Sanitize)])
def test_other_service_actions_are_refused(one: Nexus, action: int) -> None:
    assert sense_of(make(one).execute(bytes((0x48, action)), b"", one)) == INVALID_FIELD_IN_CDB.at(1, 4)


def test_a_thin_disk_is_erased_not_overwritten(one: Nexus) -> None:
    assert sense_of(overwrite(make(one, thin=True), one)) == INVALID_FIELD_IN_CDB.at(1, 4)


def test_write_protection_and_a_missing_medium_prevent_it(one: Nexus) -> None:
    unit = make(one, removable=True)
    unit.disk.write_protected = True
    for result in (overwrite(unit, one), unit.execute(scsi.sanitize(Sanitize.BLOCK_ERASE), b"", one)):
        assert sense_of(result) == WRITE_PROTECTED
    unit.disk.write_protected = False
    good(unit.execute(bytes.fromhex("1b0000000200"), b"", one))
    for result in (overwrite(unit, one), unit.execute(scsi.sanitize(Sanitize.EXIT_FAILURE_MODE), b"", one)):
        assert sense_of(result) == MEDIUM_NOT_PRESENT


# -- while it lasts ------------------------------------------------------------------------------------------------


def driven(unit: LogicalUnit) -> Chores:
    chores = Chores()
    unit.disk.take_up = chores.add
    return chores


def finish(chores: Chores) -> int:
    """Do all steps in time; when the last one was due."""
    now_ns = 0
    while chores.deadline_ns is not None:
        now_ns = chores.deadline_ns
        chores.tick(now_ns)
    return now_ns


SERVED = {
    "INQUIRY": scsi.inquiry(),
    "REPORT LUNS": scsi.report_luns(),
    "REPORT SUPPORTED OPERATION CODES": bytes.fromhex("a30c00000000000000ff0000"),
    "REQUEST SENSE": scsi.request_sense(),
}
REFUSED = {
    "TEST UNIT READY": scsi.test_unit_ready(),
    "READ(10)": scsi.read(0, 1),
    "WRITE(16)": scsi.write(0, 1, width=16),
    "START STOP UNIT": bytes.fromhex("1b0000000100"),
    "MODE SENSE(6)": scsi.mode_sense_6(0x3F),
    "RESERVE(6)": scsi.reserve_6(),
    "PERSISTENT RESERVE IN": scsi.persistent_reserve_in(scsi.PersistentIn.READ_KEYS),
    "READ CAPACITY(10)": scsi.read_capacity_10(),
    "SANITIZE OVERWRITE": scsi.sanitize(Sanitize.OVERWRITE, parameter_list_length=5),
    "SANITIZE BLOCK ERASE": scsi.sanitize(Sanitize.BLOCK_ERASE),
    "SANITIZE EXIT FAILURE MODE": scsi.sanitize(Sanitize.EXIT_FAILURE_MODE),
}


@pytest.mark.parametrize("name", [*SERVED, *REFUSED])
def test_hardly_anything_is_served_meanwhile(one: Nexus, name: str) -> None:
    unit = make(one)
    chores = driven(unit)
    good(overwrite(unit, one, immediate=True))
    chores.tick(0)
    result = unit.execute((SERVED | REFUSED)[name], parameters(b"x"), one)
    if name in SERVED:
        good(result)
    else:
        assert sense_of(result) == SANITIZE_IN_PROGRESS.with_progress(65536 // 4)
    finish(chores)


def test_it_keeps_its_pace_and_tells_its_progress(one: Nexus) -> None:
    unit = make(one)
    chores = driven(unit)
    good(overwrite(unit, one, parameters(b"\x55", count=2), immediate=True))
    progress = []
    now_ns = 0
    while chores.deadline_ns is not None:
        progress.append(sense_of(unit.execute(scsi.test_unit_ready(), b"", one)).progress)
        now_ns = chores.deadline_ns
        chores.tick(now_ns)
    assert progress == [8192 * step for step in range(8)]
    assert now_ns == 7 * STEP_BYTES * 10**9 // RATE_BYTES_PER_S
    assert content(unit) == b"\x55" * SIZE
    good(unit.execute(scsi.test_unit_ready(), b"", one))


def test_a_step_is_done_when_it_is_due_and_not_before(one: Nexus) -> None:
    unit = make(one)
    chores = driven(unit)
    good(overwrite(unit, one, immediate=True))
    chores.tick(0)
    due_ns = chores.deadline_ns
    assert due_ns is not None
    chores.tick(due_ns - 1)
    assert chores.deadline_ns == due_ns
    finish(chores)


def test_a_reset_and_the_loss_of_the_nexus_do_not_end_it(one: Nexus, two: Nexus) -> None:
    unit = make(one)
    chores = driven(unit)
    good(overwrite(unit, one, immediate=True))
    unit.reset(DEVICE_RESET)
    unit.nexus_lost(one)
    unit.execute(scsi.test_unit_ready(), b"", two)
    assert sense_of(unit.execute(scsi.test_unit_ready(), b"", two)).code == SANITIZE_IN_PROGRESS.code
    finish(chores)
    good(unit.execute(scsi.test_unit_ready(), b"", two))


def test_without_the_immediate_bit_the_answer_waits_for_the_end(one: Nexus) -> None:
    unit = make(one)
    chores = driven(unit)
    pending = overwrite(unit, one).pending
    assert pending is not None
    heard: list[OSError | None] = []
    pending.on_done(heard.append)
    chores.tick(0)
    assert heard == []
    finish(chores)
    assert heard == [None]


class SlowStore(MemoryStore):
    """Its flush ends when told to."""

    flushing: Flush | None = None

    def flush(self) -> Flush | None:
        self.flushing = Flush()
        return self.flushing


def test_it_lasts_until_the_medium_has_it(one: Nexus) -> None:
    store = SlowStore(SIZE)
    unit = make(one, store=store)
    chores = driven(unit)
    good(overwrite(unit, one, immediate=True))
    finish(chores)
    assert sense_of(unit.execute(scsi.test_unit_ready(), b"", one)).code == SANITIZE_IN_PROGRESS.code
    assert store.flushing is not None
    store.flushing.end(None)
    good(unit.execute(scsi.test_unit_ready(), b"", one))


# -- when it fails -------------------------------------------------------------------------------------------------


class ScratchedStore(MemoryStore):
    """Takes writes below ``good_until`` only."""

    good_until = SIZE

    def write(self, offset: int, data: bytes) -> None:
        if offset >= self.good_until:
            raise OSError(5, "the platter is scratched")
        super().write(offset, data)


@pytest.fixture
def scratched(one: Nexus) -> LogicalUnit:
    store = ScratchedStore(SIZE)
    unit = make(one, store=store)
    store.good_until = STEP_BYTES
    return unit


@pytest.mark.parametrize("unrestricted", [False, True])
def test_a_failure_is_told_to_everybody_until_another_one_succeeds(
    scratched: LogicalUnit, one: Nexus, unrestricted: bool
) -> None:
    assert sense_of(overwrite(scratched, one, unrestricted=unrestricted)) == SANITIZE_FAILED
    assert sense_of(scratched.execute(scsi.read(0, 1), b"", one)) == SANITIZE_FAILED
    assert sense_of(scratched.execute(scsi.mode_sense_6(0x3F), b"", one)) == SANITIZE_FAILED
    scratched.disk.store.good_until = SIZE  # type: ignore[attr-defined]
    good(overwrite(scratched, one))
    good(scratched.execute(scsi.read(0, 1), b"", one))


def test_the_failure_mode_can_be_left_if_that_was_allowed(scratched: LogicalUnit, one: Nexus) -> None:
    leave = scsi.sanitize(Sanitize.EXIT_FAILURE_MODE)
    good(scratched.execute(leave, b"", one))
    overwrite(scratched, one)
    assert sense_of(scratched.execute(leave, b"", one)).code == INVALID_FIELD_IN_CDB.code
    assert sense_of(overwrite(scratched, one, unrestricted=True)) == INVALID_FIELD_IN_CDB.at(1, 5)
    good(scratched.execute(scsi.sanitize(Sanitize.BLOCK_ERASE), b"", one))
    overwrite(scratched, one, unrestricted=True)
    good(scratched.execute(leave, b"", one))
    good(scratched.execute(scsi.read(0, 1), b"", one))


def test_a_waiting_command_hears_of_the_failure(scratched: LogicalUnit, one: Nexus) -> None:
    chores = driven(scratched)
    pending = overwrite(scratched, one).pending
    assert pending is not None
    heard: list[OSError | None] = []
    pending.on_done(heard.append)
    finish(chores)
    assert [str(error) for error in heard] == ["[Errno 5] the platter is scratched"]


# -- chores --------------------------------------------------------------------------------------------------------


class Counting(Chore):
    """``steps`` steps, ``every`` nanoseconds."""

    def __init__(self, steps: int, every: int) -> None:
        self.left, self.every, self.due_ns = steps, every, 0  # type: ignore[assignment]
        self.done: list[int] = []

    def step(self, now_ns: int) -> None:
        self.done.append(now_ns)
        self.left -= 1
        self.due_ns = now_ns + self.every if self.left else None


def test_chores_take_turns_each_at_its_own_pace() -> None:
    chores, slow, quick = Chores(), Counting(2, 100), Counting(3, 30)
    chores.add(slow)
    chores.add(quick)
    assert finish(chores) == 100
    assert (slow.done, quick.done) == ([0, 100], [0, 30, 60])


# -- in an array ---------------------------------------------------------------------------------------------------


def test_a_disk_that_comes_later_is_looked_after_too() -> None:
    group = make_group(volume(thin=False))
    late = LogicalUnit(Disk(MemoryStore(SIZE), volume_identity("g", "late"), thin=False))
    (running,) = group.volumes.values()
    running.luns.add(1, late)
    nexus = logged_in(group).connection.session.nexus
    late.execute(scsi.test_unit_ready(), b"", nexus)
    good(overwrite(late, nexus, immediate=True))
    assert sense_of(late.execute(scsi.test_unit_ready(), b"", nexus)).code == SANITIZE_IN_PROGRESS.code
    assert group.deadline_ns == 0


def test_an_array_goes_on_with_it_as_time_passes_and_answers_at_the_end() -> None:
    group = make_group(volume(thin=False, size_bytes=SIZE))
    waits: list[int] = []
    group.on_wait = waits.append
    peer = logged_in(group)
    peer.ready()
    data = parameters(b"\x77")
    cdb = scsi.sanitize(Sanitize.OVERWRITE, parameter_list_length=len(data))
    assert peer.send(peer.command(cdb, write=True, edtl=len(data), data=data)) == []
    assert waits == [0]
    answers: list[Any] = []
    for _ in range(4):
        assert answers == []
        assert group.deadline_ns is not None
        answers += peer.pass_time(1) + peer.hear()
    assert [(type(answer), answer.status) for answer in answers] == [(ScsiResponse, ScsiStatus.GOOD)]
    assert disk_bytes(group, 0, SIZE) == b"\x77" * SIZE
    assert peer.test_unit_ready() is None
