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
    LARGE = "fully provisioned, large"
    READ_ONLY = "read-only"
    REMOVABLE = "removable"
    EMULATED = "thin, 512-byte blocks on 4096-byte physical blocks"
    TWO_PATHS = "thin, two paths"


VOLUME_LINES: Final[dict[Lun, str]] = {
    Lun.THIN: 'size = "64MiB"',
    Lun.BLOCKS_4096: 'size = "64MiB"\nblock_size = 4096',
    Lun.FULL: 'size = "16MiB"\nprovisioning = "full"',
    Lun.LARGE: 'size = "128MiB"\nprovisioning = "full"',
    Lun.READ_ONLY: 'size = "64MiB"\nread_only = true',
    Lun.REMOVABLE: 'size = "64MiB"\nremovable = true',
    Lun.EMULATED: 'size = "64MiB"\nphysical_block_size = 4096',
    Lun.TWO_PATHS: 'size = "64MiB"',
}

LUN_OF: Final[tuple[tuple[str, Lun], ...]] = (
    ("ALL.MultipathIO.*", Lun.TWO_PATHS),
    ("ALL.NoMedia.*", Lun.REMOVABLE),
    ("ALL.PreventAllow.*", Lun.REMOVABLE),
    ("ALL.ReadOnly.*", Lun.READ_ONLY),
    ("ALL.Sanitize.Reset", Lun.LARGE),
    ("ALL.Sanitize.BlockErase", Lun.THIN),
    ("ALL.Sanitize.*", Lun.FULL),
    ("ALL.StartStopUnit.*", Lun.REMOVABLE),
    ("ALL.*.UnmapUnaligned", Lun.EMULATED),
    ("ALL.*.InvalidDataOutSize", Lun.EMULATED),
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

_ZERO_BLOCKS: Final = (
    "page B0h says WSNZ=1: a WRITE SAME of zero blocks, which would mean all that follow, is refused (SBC-3 5.50)"
)

CANNOT_APPLY: Final[dict[str, str]] = {
    "ALL.WriteSame10.ZeroBlocks": _ZERO_BLOCKS,
    "ALL.WriteSame16.ZeroBlocks": _ZERO_BLOCKS,
}
"""Skipped tests, each with the reason that it cannot apply to any disk of this array."""

ASSERT_NOTHING: Final = ("ALL.Inquiry.VersionDescriptors", "ALL.Unmap.VPD", "ALL.WriteSame1?.UnmapVPD")
"""Tests that can fail but make no assertion when they pass. Any other that asserts nothing did nothing."""

COMPLAINS: Final[dict[str, str]] = {
    "ALL.iSCSIdatasn.iSCSIDataSnInvalid": "the test wants its writes to fail, and the tool says [FAILED] when they do",
}
"""Tests that print [FAILED] about what the suite itself wants, there or elsewhere, and why."""

MAY_COMPLAIN: Final = ("WRITE10 *COMMAND ABORTED(0x0b)*",)
"""Patterns that every [FAILED] line of those tests has to fit."""

FAMILY_COMPLAINTS: Final = (
    *MAY_COMPLAIN,
    "*UNIT_ATTENTION*RESET*OCCURED*",  # a reset is told to both paths, as MultipathIO.Reset demands
    "PRIN *UNIT_ATTENTION*MODE PARAMETERS CHANGED*",  # on the other path, after Control-SWP
    "PRIN *RESERVATION CONFLICT",  # on both, while the connection that RESERVE was made on is being closed
)
"""Patterns of the [FAILED] lines that the whole family in one process prints although every test passes: the tool's
clean-up after a test sends PERSISTENT RESERVE IN on every path, and says so when that does not end GOOD."""

SLOW_FIRST: Final = ("Sanitize", "Reserve6", "iSCSIcmdsn", "CompareAndWrite")
"""Suites that mostly sleep start first, so that none of them is left alone at the end."""

TGT: Final = (("tgt", 161, 9, 59, 0, 1), ("tgt, thin provisioning", 172, 11, 46, 0, 1))
"""For comparison, one process per test: passed, failed, skipped, hung, crashed (tgt 1.0.85 on Debian 12)."""


def lun_of(test: str) -> Lun:
    """The LUN a test runs against."""
    return next((lun for pattern, lun in LUN_OF if fnmatchcase(test, pattern)), Lun.THIN)


def fits(test: str, patterns: tuple[str, ...] | dict[str, str]) -> str | None:
    """The first pattern that fits the test's name."""
    return next((pattern for pattern in patterns if fnmatchcase(test, pattern)), None)
