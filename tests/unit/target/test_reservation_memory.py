"""The record of persistent reservations, and the file it is kept in."""

import json
from pathlib import Path

import pytest

from iscsi.scsi import PersistentType
from target.block_file import FileRefused
from target.nexus import Nexus
from target.reservation_memory import Record, RecordFile

ONE = Nexus("iqn.host,i,0x400001370001", "iqn.array,t,0x0001", 3, 1)
TWO = Nexus("iqn.host,i,0x400001370002", "iqn.array,t,0x0001", 2, 1)
RECORD = Record(((ONE, 0x1111), (TWO, (1 << 64) - 1)), PersistentType.EXCLUSIVE_ACCESS, 1)


@pytest.mark.parametrize("record", [RECORD, Record(((ONE, 1),)), Record()])
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    again = Record.decode(record.encode())
    assert again == record
    assert [nexus.relative_port for nexus, _ in again.registrations] == [
        n.relative_port for n, _ in record.registrations
    ]


def damaged(**changes: object) -> str:
    return json.dumps(json.loads(RECORD.encode()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "null",
        "[" * 100_000,
        damaged(format="mpiolab.reservations/9"),
        damaged(registrations=[]),
        damaged(registrations=7),
        damaged(registrations=[{}]),
        damaged(registrations=[json.loads(RECORD.encode())["registrations"][0]] * 2),
        damaged(registrations=[json.loads(RECORD.encode())["registrations"][0] | {"key": "0x0"}]),
        damaged(reservation={"type": 2, "holder": 0}),
        damaged(reservation={"type": 1, "holder": 2}),
        RECORD.encode()[:-10],
    ],
)
def test_a_damaged_record_is_refused_as_what_it_is(text: str) -> None:
    with pytest.raises(ValueError, match="not a record of reservations"):
        Record.decode(text)


def test_a_file_holds_the_record_only_while_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "volume.reservations"
    memory = RecordFile(path)
    assert memory.load() == Record()
    memory.save(Record())
    assert not path.exists()
    memory.save(Record(((ONE, 1),)))
    memory.save(RECORD)
    assert RecordFile(path).load() == RECORD
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    memory.save(Record())
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    memory = RecordFile(tmp_path / "volume.reservations")
    memory.save(RECORD)
    (tmp_path / "volume.reservations.new").mkdir()
    with pytest.raises(IsADirectoryError):
        memory.save(Record(((ONE, 1),)))
    assert memory.load() == RECORD


def test_a_file_that_is_damaged_or_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "volume.reservations"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FileRefused, match=rf"{path} is damaged: not a record of reservations"):
        RecordFile(path).load()
    with pytest.raises(FileRefused, match=rf"{tmp_path} cannot be read: Is a directory"):
        RecordFile(tmp_path).load()
