"""Names of a volume: its target IQN, NAA identifier and serial number, in the shapes an EqualLogic group uses.

Volumes of a PS group are targets called ``iqn.2001-05.com.equallogic:0-8a0906-<9 hex>-<16 hex>-<volume>``, and their
disks carry NAA identifiers starting ``6090a0``. How the array makes the hex digits is not public; here they come from a
digest of the group's and the volume's name, so that the same configuration always gives the same disks, and both names
share the digits, so that an IQN and a disk id can be matched by eye.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from iscsi.names import name_complaint

VENDOR: Final = "EQLOGIC"
PRODUCT: Final = "100E-00"
_AUTHORITY: Final = "iqn.2001-05.com.equallogic"
_UNIT: Final = "0-8a0906"
_NAA_PREFIX: Final = "6090a08"
_VOLUME_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.:-]*[a-z0-9])?")
_IQN: Final = re.compile(
    r"iqn\.2001-05\.com\.equallogic:(?P<digit>\d)-(?P<family>[0-9a-f]{6})-(?P<high>[0-9a-f]{9})-(?P<low>[0-9a-f]{16})"
    r"-(?P<volume>.+)"
)


@dataclass(frozen=True, slots=True)
class VolumeIdentity:
    """Everything that names one volume: ``naa`` is 16 bytes, ``serial`` the text of VPD page 80h."""

    volume: str
    iqn: str
    naa: bytes
    serial: str


@dataclass(frozen=True, slots=True)
class VolumeIqn:
    """An EqualLogic target name taken apart."""

    family: str
    high: str
    low: str
    volume: str


def volume_identity(group: str, volume: str, lun: int = 0) -> VolumeIdentity:
    """The names of ``volume`` in ``group``, and of one LUN of it; the same for the same arguments.

    Raises ValueError for a volume name that an IQN cannot hold: expected are lower case letters, digits, ``.``, ``-``
    and ``:``, beginning and ending with a letter or digit.
    """
    if not _VOLUME_NAME.fullmatch(volume):
        raise ValueError(
            f"volume name {volume!r} cannot stand in an IQN: expected lower case letters, digits, '.', '-' or ':', "
            "with a letter or digit at both ends"
        )
    digits = _digits(group, volume)
    iqn = f"{_AUTHORITY}:{_UNIT}-{digits[:9]}-{digits[9:]}-{volume}"
    complaint = name_complaint(iqn)
    if complaint is not None:
        raise ValueError(f"volume name {volume!r}: {complaint}")
    naa = _NAA_PREFIX + (_digits(group, volume, str(lun)) if lun else digits)
    return VolumeIdentity(volume=volume, iqn=iqn, naa=bytes.fromhex(naa), serial=naa.upper())


def _digits(*names: str) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:25]


def parse_volume_iqn(iqn: str) -> VolumeIqn | None:
    """The parts of an EqualLogic target name, None when ``iqn`` is not one."""
    match = _IQN.fullmatch(iqn)
    if match is None:
        return None
    return VolumeIqn(match["family"], match["high"], match["low"], match["volume"])
