"""A copy reaches what its host could log in to, and nothing else."""

from __future__ import annotations

import ipaddress

import pytest

from iscsi import scsi
from iscsi.chap import ChapCredentials, ChapPolicy
from iscsi.copying import CopyList, CopySegment, CopyTarget
from iscsi.pdu import ScsiResponse
from iscsi.sense import COPY_TARGET_NOT_REACHABLE
from target.config import AccessRule
from target.group import Group
from target.nexus import Nexus, initiator_port_name, target_port_name
from tests.support.array import (
    BLOCK,
    HOST,
    OTHER_HOST,
    PORTALS,
    VOLUME,
    disk_bytes,
    fill_disk,
    isid,
    logged_in,
    make_group,
    sense_of,
    volume,
)

OTHER = VOLUME.replace("exchange-logs", "other")
CHAP = ChapPolicy((ChapCredentials("w2k3", b"host-secret-0123"),))


def group(*access: AccessRule) -> Group:
    made = make_group(volume(), volume(OTHER, name="other", access=access))
    fill_disk(made, 0, b"\x5a" * BLOCK)
    return made


def copy(made: Group) -> ScsiResponse:
    """Block 0 of the volume to block 3 of the other one, by a host that is logged in to the first alone."""
    peer = logged_in(made)
    peer.ready()
    units = {name: made.volumes[name].luns.units()[0] for name in (VOLUME, OTHER)}
    targets = tuple(CopyTarget(unit.disk.identity.naa, BLOCK) for unit in units.values())
    raw = CopyList(targets, (CopySegment(0, 1, 1, 0, 3),)).encode()
    (answer,) = peer.send(peer.command(scsi.extended_copy(len(raw)), write=True, edtl=len(raw), data=raw))
    assert isinstance(answer, ScsiResponse)
    return answer


@pytest.mark.parametrize(
    "rule",
    [
        AccessRule(),
        AccessRule(initiator=HOST),
        AccessRule(source=ipaddress.IPv4Network("192.168.50.0/24")),
    ],
    ids=["anybody", "this initiator", "this network"],
)
def test_a_volume_that_would_let_the_host_in(rule: AccessRule) -> None:
    made = group(rule)
    assert sense_of(copy(made)) is None
    assert disk_bytes(made, 3 * BLOCK, BLOCK, OTHER) == b"\x5a" * BLOCK


@pytest.mark.parametrize(
    "rule",
    [
        AccessRule(initiator=OTHER_HOST),
        AccessRule(source=ipaddress.IPv4Network("10.0.0.0/8")),
        AccessRule(chap=CHAP),
    ],
    ids=["another initiator", "another network", "CHAP that was not passed"],
)
def test_a_volume_that_would_not(rule: AccessRule) -> None:
    made = group(rule)
    sense = sense_of(copy(made))
    assert sense is not None
    assert sense.code == COPY_TARGET_NOT_REACHABLE.code
    assert disk_bytes(made, 3 * BLOCK, BLOCK, OTHER) == bytes(BLOCK)


def test_the_chap_that_was_passed_at_one_volume_counts_at_another() -> None:
    rule = AccessRule(chap=CHAP)
    made = make_group(volume(access=(rule,)), volume(OTHER, name="other", access=(rule,)))
    peer = logged_in(made, chap=ChapCredentials("w2k3", b"host-secret-0123"))
    naa = made.volumes[OTHER].luns.units()[0].disk.identity.naa
    reach = made.volumes[VOLUME].luns.units()[0].disk.copies.reach
    assert reach(peer.connection.session.nexus, naa) is not None


def test_a_host_that_is_logged_in_there_copies_as_that_session() -> None:
    made = group(AccessRule())
    here, there = logged_in(made), logged_in(made, PORTALS[1], target=OTHER)
    naa = made.volumes[OTHER].luns.units()[0].disk.identity.naa
    found = made.volumes[VOLUME].luns.units()[0].disk.copies.reach(here.connection.session.nexus, naa)
    assert found is not None
    assert found[1] == there.connection.session.nexus


def test_nobody_reaches_anything_without_a_session() -> None:
    made = group(AccessRule())
    stranger = Nexus(initiator_port_name(HOST, isid(9)), target_port_name(VOLUME, 1), 1, 1)
    for unit in made.volumes[OTHER].luns.units():
        assert made.volumes[VOLUME].luns.units()[0].disk.copies.reach(stranger, unit.disk.identity.naa) is None
