"""Which LUN each conformance test runs against, and what cannot apply to any: the expectations, as data.

A test runs against the thin disk unless a row here names a LUN that makes it applicable. A test that is skipped and
has no row in `CANNOT_APPLY` is an error, and so is a row for a test that is no longer skipped.
"""

from __future__ import annotations

from enum import Enum
from fnmatch import fnmatchcase
from typing import Final


class Lun(Enum):
    """The disks of the array under test, each with its lines in the TOML file."""

    THIN = "thin"
    BLOCKS_4096 = "4096-byte blocks"
    FULL = "fully provisioned"
    READ_ONLY = "read-only"
    REMOVABLE = "removable"
    TWO_PATHS = "thin, two paths"


VOLUME_LINES: Final[dict[Lun, str]] = {
    Lun.THIN: "",
    Lun.BLOCKS_4096: "block_size = 4096",
    Lun.FULL: 'provisioning = "full"',
    Lun.READ_ONLY: "read_only = true",
    Lun.REMOVABLE: "removable = true",
    Lun.TWO_PATHS: "",
}

LUN_OF: Final[tuple[tuple[str, Lun], ...]] = (
    ("ALL.MultipathIO.*", Lun.TWO_PATHS),
    ("ALL.NoMedia.*", Lun.REMOVABLE),
    ("ALL.PreventAllow.*", Lun.REMOVABLE),
    ("ALL.ReadOnly.*", Lun.READ_ONLY),
    ("ALL.StartStopUnit.*", Lun.REMOVABLE),
    ("ALL.ReadCapacity1?.Simple", Lun.BLOCKS_4096),
)
"""Patterns of test names; the first that fits decides. (MultipathIO.CompareAndWrite wants a block zeroed that it does
not zero itself: no other suite may have written to its disk.)"""

BROKEN_ALONE: Final = {
    "ALL.iSCSITMF.LUNResetSimpleAsync": (
        "the tool asserts a static before its callback has run; it passes inside the family"
    )
}
"""What the tool itself breaks when the test is alone in its process: not run so."""

CANNOT_APPLY: Final[dict[str, str]] = {}
"""Skipped tests, each with the reason that it cannot apply to any disk of this array."""

ASSERT_NOTHING: Final = ("ALL.Inquiry.VersionDescriptors", "ALL.Unmap.VPD", "ALL.WriteSame1?.UnmapVPD")
"""Tests that can fail but make no assertion when they pass. Any other that asserts nothing did nothing."""

NOT_YET: Final[dict[str, str]] = {
    "ALL.CompareAndWrite.InvalidDataOutSize": "skipped",
    "ALL.ExtendedCopy.*": "skipped",
    "ALL.PreventAllow.WarmReset": "passed, but printed [FAILED]",
    "ALL.PreventAllow.LUNReset": "passed, but printed [FAILED]",
    "ALL.ReadDefectData*": "skipped",
    "ALL.ReceiveCopyResults.*": "skipped",
    "ALL.Reserve6.TargetWarmReset": "passed, but printed [FAILED]",
    "ALL.Reserve6.LUNReset": "passed, but printed [FAILED]",
    "ALL.Sanitize.*": "skipped",
    "ALL.WriteAtomic16.*": "skipped",
    "ALL.WriteSame1?.ZeroBlocks": "skipped",
    "ALL.WriteSame1?.UnmapUnaligned": "skipped",
    "ALL.WriteSame1?.InvalidDataOutSize": "skipped",
    "ALL.iSCSIdatasn.iSCSIDataSnInvalid": "failed",
}
"""Work not done: pattern to the outcome it has for now. To be emptied."""

FAMILY_FAILS_YET: Final = ("test_iscsi_datasn_invalid.c:*",)
"""Assertions that fail in the whole family for now. To be emptied."""

FAMILY_COMPLAINTS: Final[tuple[str, ...]] = ()
"""Patterns of the [FAILED] lines that the whole family in one process prints although every test passes."""

SLOW_FIRST: Final = ("Reserve6", "iSCSIcmdsn", "CompareAndWrite")
"""Suites that mostly sleep start first, so that none of them is left alone at the end."""

TGT: Final = (("tgt", 161, 9, 59, 0, 1), ("tgt, thin provisioning", 172, 11, 46, 0, 1))
"""For comparison, one process per test: passed, failed, skipped, hung, crashed (tgt 1.0.85 on Debian 12)."""


def lun_of(test: str) -> Lun:
    """The LUN a test runs against."""
    return next((lun for pattern, lun in LUN_OF if fnmatchcase(test, pattern)), Lun.THIN)


def fits(test: str, patterns: tuple[str, ...] | dict[str, str]) -> str | None:
    """The first pattern that fits the test's name."""
    return next((pattern for pattern in patterns if fnmatchcase(test, pattern)), None)
