"""Which of a unit's names the DSM goes by."""

from __future__ import annotations

import pytest

from initiator_model.lu_identity import lu_identity
from iscsi.identification import Association, CodeSet, Designator, DesignatorType


def named(kind: DesignatorType, value: bytes, association: Association = Association.LOGICAL_UNIT) -> Designator:
    return Designator(association, kind, CodeSet.BINARY, value)


NAA = named(DesignatorType.NAA, b"\x60\x90\xa0\x88")
LONGER_NAA = named(DesignatorType.NAA, b"\x60\x90\xa0\x88\x11")
T10 = named(DesignatorType.T10_VENDOR_ID, b"EQLOGIC volume")
NAME = named(DesignatorType.SCSI_NAME_STRING, b"iqn.x")
PORT = named(DesignatorType.NAA, b"\x60\x00", Association.TARGET_PORT)
DEVICE = named(DesignatorType.SCSI_NAME_STRING, b"iqn.device", Association.TARGET_DEVICE)


@pytest.mark.parametrize(
    ("designators", "serial", "identity"),
    [
        ([T10, NAA], "S1", "naa:6090a088"),
        ([T10, NAA, NAME], "S1", "scsi-name-string:69716e2e78"),
        ([NAA, LONGER_NAA], "S1", "naa:6090a08811"),
        ([DEVICE, T10], "S1", "t10-vendor-id:45514c4f47494320766f6c756d65"),
        ([PORT, DEVICE], "S1", "scsi-name-string:69716e2e646576696365"),
        ([PORT], "S1", "serial:S1"),
        ([], "S1", "serial:S1"),
        ([], "", None),
    ],
)
def test_the_name_a_unit_goes_by(designators: list[Designator], serial: str, identity: str | None) -> None:
    assert lu_identity(designators, serial) == identity
