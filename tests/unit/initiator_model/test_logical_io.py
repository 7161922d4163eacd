"""Command blocks and attempts."""

import pytest

from initiator_model.logical_io import DiskError, IoResult, Outcome, block_cdb
from iscsi import scsi


@pytest.mark.parametrize(
    ("lba", "blocks"),
    [(0, 1), (0x12345678, 0xFFFF), (0xFFFF_FFFF, 1), (0x1_0000_0000, 1), (5, 0x1_0000), (1 << 40, 8)],
)
def test_command_blocks_are_those_the_scsi_module_builds(lba: int, blocks: int) -> None:
    assert block_cdb(0x28, 0x88, lba, blocks) == scsi.read(lba, blocks)
    assert block_cdb(0x2A, 0x8A, lba, blocks) == scsi.write(lba, blocks)


def test_a_disk_error_says_how_the_io_ended() -> None:
    error = DiskError(IoResult(Outcome.UNKNOWN, b"", None, 2, None, "STATUS_DEVICE_NOT_CONNECTED"))
    assert str(error) == "unknown: STATUS_DEVICE_NOT_CONNECTED"
    assert not error.result.ok
