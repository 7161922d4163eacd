"""What the host asks a target's units after a login: which there are, what they are, how large, and who they are.

The order is that of a Windows bus scan: REPORT LUNS, then for each unit INQUIRY, its identity pages, and READ CAPACITY,
the 16-byte form first. What an old unit does not know it refuses with ILLEGAL REQUEST, and the host does without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from initiator_model.lu_identity import lu_identity
from initiator_model.scsi_calls import CommandFailed, Submit, call, test_unit_ready
from iscsi import scsi
from iscsi.capacity import Capacity, parse_lun_list
from iscsi.identification import DesignatorType, parse_device_identification
from iscsi.inquiry import StandardInquiry, VpdPage, parse_serial_number
from iscsi.lun import decode_lun

__all__ = ["LogicalUnitFacts", "ProbeError", "port_group_of", "probe", "units_are_the_same", "units_unchanged"]

_DIRECT_ACCESS: Final = 0x00  # qualifier 0, type 0: a disk that is there


class ProbeError(Exception):
    """A unit's answers cannot be made a disk of."""


@dataclass(frozen=True, slots=True)
class LogicalUnitFacts:
    """One disk behind a session. ``identity`` is equal on every path to it; None when the unit does not say.

    ``standby``: the unit answers here, but says that this port may not carry I/O while another one does (04h/0Bh).
    """

    lun: int
    inquiry: StandardInquiry
    serial: str
    identity: str | None
    capacity: Capacity
    standby: bool = False


async def probe(submit: Submit) -> list[LogicalUnitFacts]:
    """The disks of the target, in REPORT LUNS order; units that are no disks are left out.

    Raises:
        CommandFailed: the target or a unit refused what every disk answers.
        ProbeError: an answer that cannot be read, or a LUN form the host does not use.
    """
    try:
        found = parse_lun_list(await call(submit, "REPORT LUNS", 0, scsi.report_luns(), 4096))
        units = [unit for raw in found if (unit := await _unit(submit, _number(raw))) is not None]
    except ValueError as error:
        raise ProbeError(str(error)) from error
    return units


async def units_unchanged(units: Sequence[LogicalUnitFacts], submit: Submit) -> str | None:
    """The path check of a session whose units are known: all are ready and still who they were. Else what is wrong.

    An array may have given the LUN to another volume while the session was away; writing on would hit the wrong disk.
    """
    for unit in units:
        complaint = await test_unit_ready(submit, unit.lun) or await units_are_the_same((unit,), submit)
        if complaint is not None:
            return complaint
    return None


async def units_are_the_same(units: Sequence[LogicalUnitFacts], submit: Submit) -> str | None:
    """The same of who they are alone, by INQUIRY, which every unit answers in every state."""
    for unit in units:
        try:
            identity, _ = await _identity(submit, unit.lun)
        except (CommandFailed, ValueError) as error:
            return str(error)
        if identity != unit.identity:
            return f"LUN {unit.lun} was {unit.identity} and is now {identity}"
    return None


async def _identity(submit: Submit, lun: int) -> tuple[str | None, str]:
    """The unit's identity and its serial number."""
    page_83 = await _page(submit, lun, VpdPage.DEVICE_IDENTIFICATION)
    page_80 = await _page(submit, lun, VpdPage.UNIT_SERIAL_NUMBER)
    serial = parse_serial_number(page_80) if page_80 else ""
    return lu_identity(parse_device_identification(page_83) if page_83 else (), serial), serial


async def _unit(submit: Submit, lun: int) -> LogicalUnitFacts | None:
    inquiry = StandardInquiry.decode(await call(submit, "INQUIRY", lun, scsi.inquiry(), 255))
    if inquiry.peripheral != _DIRECT_ACCESS:
        return None
    identity, serial = await _identity(submit, lun)
    capacity = await _capacity(submit, lun)
    # On an asymmetric unit its port groups say what this port may do; without them, readiness is all there is to ask.
    standby = not inquiry.tpgs and await _in_standby(submit, lun)
    return LogicalUnitFacts(lun, inquiry, serial, identity, capacity, standby)


async def port_group_of(submit: Submit, lun: int) -> int | None:
    """The target port group behind this path, from page 83h; None when the unit names none.

    Raises:
        CommandFailed: the unit did not answer.
        ValueError: the page cannot be read.
    """
    page = await _page(submit, lun, VpdPage.DEVICE_IDENTIFICATION)
    for designator in parse_device_identification(page) if page else ():
        if designator.kind is DesignatorType.TARGET_PORT_GROUP:
            return int.from_bytes(designator.value[-2:], "big")
    return None


async def _in_standby(submit: Submit, lun: int) -> bool:
    """Ask whether the unit is ready here; if it is not for another reason, the disk's own commands will find out."""
    try:
        await call(submit, "TEST UNIT READY", lun, scsi.test_unit_ready())
    except CommandFailed as failure:
        return failure.is_standby
    return False


async def _page(submit: Submit, lun: int, page: VpdPage) -> bytes:
    """A VPD page, empty if the unit does not have it."""
    try:
        return await call(submit, f"INQUIRY page {page:02X}h", lun, scsi.inquiry(vpd_page=page), 255)
    except CommandFailed as failure:
        if failure.is_illegal_request:
            return b""
        raise


async def _capacity(submit: Submit, lun: int) -> Capacity:
    try:
        return Capacity.decode_16(await call(submit, "READ CAPACITY(16)", lun, scsi.read_capacity_16(), 32))
    except CommandFailed as failure:
        if not failure.is_illegal_request:
            raise
    capacity = Capacity.decode_10(await call(submit, "READ CAPACITY(10)", lun, scsi.read_capacity_10(), 8))
    if capacity is None:
        raise ProbeError(f"LUN {lun} is larger than 2 TiB and does not know READ CAPACITY(16)")
    return capacity


def _number(raw: int) -> int:
    lun = decode_lun(raw)
    if lun < 0:
        raise ProbeError(f"REPORT LUNS lists {raw:016x}, which is no single-level LUN")
    return lun
