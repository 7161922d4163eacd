"""What a host sees of an EqualLogic group, from discovery to the disk (FACTS C.1, C.2; B.1, B.2)."""

from __future__ import annotations

import pytest

from iscsi import scsi
from iscsi.identification import Association, Designator, DesignatorType, parse_device_identification
from iscsi.inquiry import StandardInquiry
from iscsi.login_initiator import LoginDone, LoginRedirected
from iscsi.pdu import Pdu, TextRequest, TextResponse
from iscsi.text import decode_keys
from target.config import VolumeConfig
from target.group import Group
from target.identity import parse_volume_iqn, volume_identity
from tests.support.array import GROUP_ADDRESS, OPEN, PORTALS, Peer, discovering, isid, logged_in, make_group, read_data

VOLUMES = ("mail-db", "logs")


def equallogic(*names: str) -> Group:
    """A group whose volumes bear the names it gives them itself."""
    return make_group(
        *(VolumeConfig(name, volume_identity("ps100", name).iqn, size_bytes=16 << 20, access=OPEN) for name in names)
    )


def iqn(name: str) -> str:
    return volume_identity("ps100", name).iqn


def test_discovery_lists_each_volume_once_behind_the_group_address_in_portal_group_1() -> None:
    peer = discovering(equallogic(*VOLUMES))
    (answer,) = peer.send(TextRequest(itt=5, cmd_sn=peer.take_cmd_sn(), final=True, data=b"SendTargets=All\0"))
    assert isinstance(answer, TextResponse)
    assert decode_keys(answer.data) == [
        ("TargetName", iqn("mail-db")),
        ("TargetAddress", f"{GROUP_ADDRESS}:3260,1"),
        ("TargetName", iqn("logs")),
        ("TargetAddress", f"{GROUP_ADDRESS}:3260,1"),
    ]


def test_every_login_at_the_group_is_sent_on_and_never_to_the_group() -> None:
    group = equallogic(*VOLUMES)
    for number in range(12):
        knocking = Peer(group, GROUP_ADDRESS)
        outcome = knocking.login(iqn(VOLUMES[number % 2]), isid=isid(number % 5))
        assert isinstance(outcome, LoginRedirected)
        assert not outcome.permanent
        assert outcome.address.host in PORTALS
        assert isinstance(Peer(group, outcome.address.host).login(iqn("mail-db"), isid=isid(number % 5)), LoginDone)


@pytest.mark.parametrize("name", VOLUMES)
def test_one_volume_is_one_target_with_lun_0(name: str) -> None:
    peer = logged_in(equallogic(*VOLUMES), target=iqn(name))
    assert read_data(report_luns(peer)) == (8).to_bytes(4, "big") + bytes(12)


def report_luns(peer: Peer) -> list[Pdu]:
    return peer.send(peer.command(scsi.report_luns(256), read=True, edtl=256))


def inquire(peer: Peer, page: int | None = None) -> bytes:
    return read_data(peer.send(peer.command(scsi.inquiry(255, vpd_page=page), read=True, edtl=255)))


def test_every_portal_shows_the_same_disk_and_says_which_port_it_is() -> None:
    group = equallogic("mail-db")
    peers = [logged_in(group, portal, target=iqn("mail-db"), isid=isid(n)) for n, portal in enumerate(PORTALS)]
    standard = [inquire(peer) for peer in peers]
    assert standard[0][8:32] == b"EQLOGIC 100E-00         "
    assert standard == [standard[0]] * 3
    assert StandardInquiry.decode(standard[0]).tpgs == 0  # all paths are alike
    pages = [parse_device_identification(inquire(peer, 0x83)) for peer in peers]
    names = [found(page, Association.LOGICAL_UNIT, DesignatorType.NAA) for page in pages]
    assert names == [volume_identity("ps100", "mail-db").naa] * 3
    ports = [found(page, Association.TARGET_PORT, DesignatorType.RELATIVE_TARGET_PORT) for page in pages]
    assert [int.from_bytes(port, "big") for port in ports] == [1, 2, 3]


def found(page: tuple[Designator, ...], association: Association, kind: DesignatorType) -> bytes:
    (designator,) = [each for each in page if (each.association, each.kind) == (association, kind)]
    return designator.value


def test_a_target_name_and_its_disk_can_be_matched_by_eye() -> None:
    identity = volume_identity("ps100", "mail-db")
    parts = parse_volume_iqn(identity.iqn)
    assert parts is not None
    assert identity.naa.hex() == f"6090a08{parts.high}{parts.low}"


def test_names_of_newer_firmware_are_taken_apart_too() -> None:
    parts = parse_volume_iqn("iqn.2001-05.com.equallogic:4-fe83b6-83bcb3401-16e0002fd0a46f3d-vol")
    assert parts is not None
    assert parts.family == "fe83b6"
