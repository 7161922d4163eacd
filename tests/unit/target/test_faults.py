"""The named faults: what they may say, whom they strike, and what commands and logins see of them."""

from __future__ import annotations

import pytest

from iscsi import scsi
from iscsi.constants import LoginStatus, ScsiStatus
from iscsi.login_initiator import LoginDone, LoginFailed, LoginRedirected
from iscsi.pdu import Pdu, ScsiResponse
from iscsi.sense import LOGICAL_UNIT_NOT_SUPPORTED, MEDIUM_READ_ERROR
from target.faults import ArrayFault, FaultError, FaultName, Faults
from target.group import Group
from tests.support.array import (
    BLOCK,
    GROUP_ADDRESS,
    PORTALS,
    VOLUME,
    Peer,
    fill_disk,
    isid,
    logged_in,
    make_group,
    read_data,
    sense_of,
    volume,
)

HERE, THERE = PORTALS[:2]
NAME = "exchange-logs"
OTHER = volume(iqn=VOLUME.replace("exchange", "other"), name="other-logs")


def put_on(group: Group, name: str, **place: object) -> None:
    group.faults.on(ArrayFault(FaultName(name), **place))  # type: ignore[arg-type]
    group.spread_faults()


def status(answers: list[Pdu]) -> ScsiStatus:
    (answer,) = answers
    assert isinstance(answer, ScsiResponse)
    return ScsiStatus(answer.status)


# -- what they may say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place", "complaint"),
    [
        ("silent", {}, "silent wants portal"),
        ("silent", {"portal": HERE, "volume": NAME}, "silent has no volume"),
        ("medium-error", {"volume": NAME}, "medium-error wants lba and blocks"),
        ("medium-error", {"volume": NAME, "lba": 0, "blocks": 0}, "an lba of 0 or more and 1 block or more"),
        ("medium-error", {"volume": NAME, "lba": -1, "blocks": 1}, "an lba of 0 or more and 1 block or more"),
        ("busy", {"lba": 3, "to": HERE}, "busy has no lba and no to"),
        ("check-condition", {}, "check-condition wants sense"),
        ("check-condition", {"sense": "5-25-0"}, 'expected a sense such as "5/25/00"'),
        ("check-condition", {"sense": "5/125/00"}, "got '5/125/00'"),
        ("check-condition", {"sense": "5/25/00", "count": 0}, "a count of 1 command or more"),
        ("reservation-conflict", {"sense": "5/25/00"}, "reservation-conflict has no sense"),
        ("redirect-to-dead", {}, "redirect-to-dead wants to"),
        ("redirect-to-dead", {"to": "nowhere"}, "wants an IPv4 address to redirect to, not 'nowhere'"),
    ],
)
def test_a_place_that_a_fault_cannot_have_is_refused(name: str, place: dict[str, object], complaint: str) -> None:
    with pytest.raises(FaultError, match=complaint):
        ArrayFault(FaultName(name), **place)  # type: ignore[arg-type]


def test_a_fault_that_is_not_on_cannot_be_switched_off() -> None:
    faults = Faults()
    faults.on(ArrayFault(FaultName.BUSY, portal=HERE))
    with pytest.raises(FaultError, match=rf"busy \(portal {THERE}\) is not on"):
        faults.off(ArrayFault(FaultName.BUSY, portal=THERE))
    faults.off(ArrayFault(FaultName.BUSY, portal=HERE))
    assert faults.all() == []


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "expected"), [("busy", ScsiStatus.BUSY), ("task-set-full", ScsiStatus.TASK_SET_FULL)])
def test_commands_end_with_a_status_while_it_is_on_and_sessions_go_on(name: str, expected: ScsiStatus) -> None:
    group = make_group()
    before = logged_in(group)
    put_on(group, name)
    later = Peer(group)
    assert isinstance(later.login(isid=isid(2)), LoginDone)
    for peer in (before, later):
        assert status(peer.send(peer.command(scsi.test_unit_ready()))) is expected
        assert status(peer.send(peer.read_command(0, 1))) is expected
        assert status(peer.send(peer.write_command(0, 1, data=bytes(BLOCK)))) is expected
    group.faults.off(ArrayFault(FaultName(name)))
    group.spread_faults()
    assert before.test_unit_ready() is None


def test_a_fault_strikes_the_portal_and_the_volume_it_names_alone() -> None:
    group = make_group(volume(), OTHER)
    here, there = logged_in(group, HERE), logged_in(group, THERE, isid=isid(2))
    elsewhere = logged_in(group, HERE, target=OTHER.iqn, isid=isid(3))
    put_on(group, "busy", portal=HERE, volume=NAME)
    assert status(here.send(here.command(scsi.test_unit_ready()))) is ScsiStatus.BUSY
    assert there.test_unit_ready() is None
    assert elsewhere.test_unit_ready() is None


@pytest.mark.parametrize("width", [6, 10, 12, 16])
def test_blocks_that_cannot_be_read_fail_the_reads_that_touch_them(width: int) -> None:
    group = make_group()
    fill_disk(group, 0, bytes(range(256)) * 64)
    peer = logged_in(group)
    put_on(group, "medium-error", volume=NAME, lba=8, blocks=4)

    def read(lba: int, blocks: int) -> list[Pdu]:
        return peer.send(peer.command(cdb(lba, blocks), read=True, edtl=blocks * BLOCK))

    def cdb(lba: int, blocks: int) -> bytes:
        if width == 6:
            return bytes((0x08,)) + lba.to_bytes(3, "big") + bytes((blocks, 0))
        return scsi.read(lba, blocks, width=width)

    for lba, blocks in ((0, 8), (12, 4)):
        assert len(read_data(read(lba, blocks))) == blocks * BLOCK
    for lba, blocks, bad in ((7, 2, 8), (0, 16, 8), (10, 1, 10), (11, 5, 11)):
        (answer,) = read(lba, blocks)
        assert sense_of(answer) == MEDIUM_READ_ERROR.with_information(bad)


def test_a_read_of_no_blocks_touches_none() -> None:
    group = make_group()
    peer = logged_in(group)
    put_on(group, "medium-error", volume=NAME, lba=0, blocks=1)
    assert status(peer.send(peer.read_command(0, 0))) is ScsiStatus.GOOD


def test_writes_to_blocks_that_cannot_be_read_go_through() -> None:
    group = make_group()
    peer = logged_in(group)
    put_on(group, "medium-error", volume=NAME, lba=0, blocks=1)
    assert status(peer.send(peer.write_command(0, 1, data=bytes(BLOCK)))) is ScsiStatus.GOOD


# -- logins ------------------------------------------------------------------------------------------------------------


def refusal(group: Group, local: str, target: str | None = VOLUME) -> LoginStatus | None:
    outcome = Peer(group, local).login(target, isid=isid(9))
    return outcome.status if isinstance(outcome, LoginFailed) else None


def test_logins_are_refused_where_the_fault_is() -> None:
    group = make_group(volume(), OTHER)
    put_on(group, "no-login", portal=HERE)
    assert refusal(group, HERE) is LoginStatus.SERVICE_UNAVAILABLE
    assert refusal(group, THERE) is None
    group = make_group(volume(), OTHER)
    put_on(group, "no-login", volume=NAME)
    assert refusal(group, GROUP_ADDRESS) is LoginStatus.SERVICE_UNAVAILABLE
    assert refusal(group, GROUP_ADDRESS, OTHER.iqn) is None
    assert refusal(group, GROUP_ADDRESS, None) is None
    put_on(group, "no-login")
    assert refusal(group, GROUP_ADDRESS, None) is LoginStatus.SERVICE_UNAVAILABLE


def test_the_group_redirects_to_an_address_where_nobody_is() -> None:
    group = make_group(volume(), OTHER)
    put_on(group, "redirect-to-dead", to="192.168.51.99", volume=NAME)
    outcome = Peer(group, GROUP_ADDRESS).login()
    assert isinstance(outcome, LoginRedirected)
    assert outcome.address.host == "192.168.51.99"
    outcome = Peer(group, GROUP_ADDRESS).login(OTHER.iqn)
    assert isinstance(outcome, LoginRedirected)
    assert outcome.address.host in PORTALS


# -- the firmware defect -----------------------------------------------------------------------------------------------


def test_after_the_logout_request_commands_end_logical_unit_not_supported() -> None:
    group = make_group(lun_gone_after_logout_request=True)
    peer = logged_in(group)
    assert peer.test_unit_ready() is None
    peer.connection.request_logout(10, peer.now_ns)
    peer.hear()
    assert peer.test_unit_ready() == LOGICAL_UNIT_NOT_SUPPORTED
    (answer,) = peer.send(peer.read_command(0, 1))
    assert sense_of(answer) == LOGICAL_UNIT_NOT_SUPPORTED
    inquiry = peer.command(bytes((0x12, 0, 0, 0, 36, 0)), read=True, edtl=36)
    assert len(read_data(peer.send(inquiry))) == 36
    again = Peer(group, THERE)
    assert isinstance(again.login(), LoginDone)
    again.ready()
    assert again.test_unit_ready() is None


def test_without_the_defect_commands_are_served_until_the_logout() -> None:
    peer = logged_in(make_group())
    peer.connection.request_logout(10, peer.now_ns)
    peer.hear()
    assert peer.test_unit_ready() is None
