"""How the host knows that two paths lead to one disk: the DSM's serial number out of VPD page 83h (SPC-4 7.8.6).

The rule is that of the Microsoft DSM's published sample: only designators of the logical unit count, or those of the
target device when there is none; among them SCSI name strings before NAA, EUI-64, T10 and vendor specific ones, and of
one type the longest. A unit without page 83h is known by its serial number, page 80h. Two units with neither cannot be
told apart, and must not be taken for one disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from iscsi.identification import Association, Designator, DesignatorType

__all__ = ["lu_identity"]

_PREFERENCE: Final = (
    DesignatorType.SCSI_NAME_STRING,
    DesignatorType.NAA,
    DesignatorType.EUI_64,
    DesignatorType.T10_VENDOR_ID,
    DesignatorType.VENDOR_SPECIFIC,
)


def lu_identity(designators: Sequence[Designator], serial: str) -> str | None:
    """A name equal for equal units: ``"naa:6090a0…"``; from the serial ``"serial:…"``; None when there is nothing."""
    for association in (Association.LOGICAL_UNIT, Association.TARGET_DEVICE):
        for kind in _PREFERENCE:
            names = [d.value for d in designators if d.association is association and d.kind is kind and d.value]
            if names:
                return f"{kind.name.lower().replace('_', '-')}:{max(names, key=len).hex()}"
    return f"serial:{serial}" if serial else None
