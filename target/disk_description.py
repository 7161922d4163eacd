"""Commands by which a disk describes itself: INQUIRY, capacity, LUNs, defects, pending sense.

VPD page 83h is the one that multipathing needs: the same logical unit names on every portal, and the name of the
portal the command came through.

Source: SPC-4 section 6 and 7.8; SBC-3 5.12, 5.13, 5.25.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iscsi.capacity import Capacity, build_lun_list
from iscsi.constants import ScsiStatus
from iscsi.copying import CopyResults, ExtendedCopy, build_third_party_copy
from iscsi.identification import (
    Association,
    build_device_identification,
    naa_designator,
    port_group_designator,
    relative_port_designator,
    scsi_name_designator,
    t10_designator,
)
from iscsi.inquiry import (
    Provisioning,
    StandardInquiry,
    VpdPage,
    build_block_characteristics,
    build_serial_number,
    build_supported_pages,
)
from iscsi.lun import encode_lun
from iscsi.scsi import ScsiOpcode, ServiceActionIn
from iscsi.sense import NO_SENSE
from target.command import Access, Command, DataDirection, ScsiResult, bad_cdb_field, field_length
from target.disk import Disk
from target.nexus import Nexus

_FORM_FACTOR_3_5_INCH: Final = 2
_WELL_KNOWN_LUNS_ONLY: Final = 1
_ALL_LUNS: Final = 2


def _request_sense(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    access = None if disk.port_groups is None else disk.port_groups.condition(nexus)
    sense = disk.attentions.take(nexus) or access or disk.not_ready or NO_SENSE
    return ScsiResult(ScsiStatus.GOOD, sense.encode(descriptor=bool(cdb[1] & 1))[: cdb[4]])


def _inquiry(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    allocation = int.from_bytes(cdb[3:5], "big")
    if not cdb[1] & 1:
        if cdb[2]:
            raise bad_cdb_field(2)
        data = StandardInquiry(
            vendor=disk.vendor,
            product=disk.product,
            revision=disk.revision,
            removable=disk.removable,
            third_party_copy=True,
            tpgs=0 if disk.port_groups is None else disk.port_groups.config.tpgs,
        ).encode()
    else:
        build = _VPD_PAGES.get(cdb[2])
        if build is None:
            raise bad_cdb_field(2)
        data = build(disk, nexus)
    return ScsiResult(ScsiStatus.GOOD, data[:allocation])


def _device_identification(disk: Disk, nexus: Nexus) -> bytes:
    identity = disk.identity
    return build_device_identification(
        (
            naa_designator(identity.naa),
            t10_designator(disk.vendor, identity.serial),
            relative_port_designator(nexus.relative_port),
            port_group_designator(nexus.tpgt if disk.port_groups is None else disk.port_groups.number_of(nexus)),
            scsi_name_designator(Association.TARGET_PORT, nexus.target_port),
            scsi_name_designator(Association.TARGET_DEVICE, identity.iqn),
        )
    )


def _provisioning(disk: Disk, nexus: Nexus) -> bytes:
    thin = disk.thin
    return Provisioning(unmap=thin, write_same_16=thin, write_same_10=thin, reads_zeros=thin, thin=thin).encode()


_COPY_COMMANDS: Final = (
    (ScsiOpcode.EXTENDED_COPY, tuple(ExtendedCopy)),
    (ScsiOpcode.RECEIVE_COPY_RESULTS, tuple(CopyResults)),
)

_VPD_PAGES: Final[dict[int, Callable[[Disk, Nexus], bytes]]] = {
    VpdPage.SUPPORTED_PAGES: lambda disk, nexus: build_supported_pages(tuple(_VPD_PAGES)),
    VpdPage.UNIT_SERIAL_NUMBER: lambda disk, nexus: build_serial_number(disk.identity.serial),
    VpdPage.DEVICE_IDENTIFICATION: _device_identification,
    VpdPage.THIRD_PARTY_COPY: lambda disk, nexus: build_third_party_copy(_COPY_COMMANDS),
    VpdPage.BLOCK_LIMITS: lambda disk, nexus: disk.limits.encode(),
    VpdPage.BLOCK_DEVICE_CHARACTERISTICS: lambda disk, nexus: build_block_characteristics(
        disk.rotation_rate, _FORM_FACTOR_3_5_INCH, reads_after_erase=True
    ),
    VpdPage.LOGICAL_BLOCK_PROVISIONING: _provisioning,
}


def _capacity(disk: Disk) -> Capacity:
    exponent = (disk.physical_block_size // disk.block_size).bit_length() - 1
    return Capacity(disk.blocks, disk.block_size, exponent, thin=disk.thin, reads_zeros=disk.thin)


def _read_capacity_10(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return ScsiResult(ScsiStatus.GOOD, _capacity(disk).encode_10())


def _read_capacity_16(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return ScsiResult(ScsiStatus.GOOD, _capacity(disk).encode_16()[: int.from_bytes(cdb[10:14], "big")])


def report_luns(cdb: bytes, luns: tuple[int, ...]) -> ScsiResult:
    """REPORT LUNS over these LUN numbers; there are no well known logical units."""
    allocation = int.from_bytes(cdb[6:10], "big")
    if cdb[2] > _ALL_LUNS:
        raise bad_cdb_field(2)
    if allocation < 16:
        raise bad_cdb_field(6)
    shown = () if cdb[2] == _WELL_KNOWN_LUNS_ONLY else luns
    return ScsiResult(ScsiStatus.GOOD, build_lun_list([encode_lun(lun) for lun in shown])[:allocation])


def _report_own_lun(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    """A volume is a target of its own with LUN 0; ``target.lun_map`` answers for targets with more."""
    return report_luns(cdb, (0,))


_DEFECT_LISTS: Final = 0x18
"""REQ_PLIST and REQ_GLIST in, PLISTV and GLISTV out: the same bits."""
_DEFECT_LIST_FORMATS: Final = range(7)


def _read_defect_data(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    """An array replaces bad blocks by itself: both lists are there, in the format asked for, and empty."""
    long_form = cdb[0] == ScsiOpcode.READ_DEFECT_DATA_12
    asked, allocation = (cdb[1], cdb[6:10]) if long_form else (cdb[2], cdb[7:9])
    if asked & 0x07 not in _DEFECT_LIST_FORMATS:
        raise bad_cdb_field(1 if long_form else 2, 2)
    header = bytes((0, asked & (_DEFECT_LISTS | 0x07))).ljust(8 if long_form else 4, b"\0")
    return ScsiResult(ScsiStatus.GOOD, header[: int.from_bytes(allocation, "big")])


_IN = DataDirection.IN

COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        "REQUEST SENSE",
        "03 01 00 00 ff 00",
        Access.ALWAYS,
        _request_sense,
        _IN,
        field_length(4, 1),
        reports_attention=False,
        needs_medium=False,
        while_sanitizing=True,
    ),
    Command(
        "INQUIRY",
        "12 01 ff ff ff 00",
        Access.ALWAYS,
        _inquiry,
        _IN,
        field_length(3, 2),
        reports_attention=False,
        needs_medium=False,
        while_sanitizing=True,
    ),
    Command(
        "REPORT LUNS",
        "a0 00 ff 00 00 00 ff ff ff ff 00 00",
        Access.ALWAYS,
        _report_own_lun,
        _IN,
        field_length(6, 4),
        reports_attention=False,
        needs_medium=False,
        while_sanitizing=True,
    ),
    Command(
        "READ CAPACITY(10)",
        "25 00 00 00 00 00 00 00 00 00",
        Access.STATUS,
        _read_capacity_10,
        _IN,
        lambda disk, cdb: 8,
    ),
    Command(
        "READ CAPACITY(16)",
        "9e 10 00 00 00 00 00 00 00 00 ff ff ff ff 00 00",
        Access.STATUS,
        _read_capacity_16,
        _IN,
        field_length(10, 4),
        service_action=ServiceActionIn.READ_CAPACITY_16,
    ),
    Command(
        "READ DEFECT DATA(10)",
        "37 00 1f 00 00 00 00 ff ff 00",
        Access.READ,
        _read_defect_data,
        _IN,
        field_length(7, 2),
    ),
    Command(
        "READ DEFECT DATA(12)",
        "b7 1f ff ff ff ff ff ff ff ff 00 00",
        Access.READ,
        _read_defect_data,
        _IN,
        field_length(6, 4),
    ),
)
