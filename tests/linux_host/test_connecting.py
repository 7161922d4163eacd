"""open-iscsi and dm-multipath meet the array: discovery, the redirect, one disk with two paths, digests, CHAP."""

from __future__ import annotations

import pytest

from tests.linux_host.array import ARRAY_CHAP, GROUP, HOST_CHAP, MAIL, PORTALS, VAULT, Login
from tests.linux_host.guest import NICS
from tests.linux_host.host import INTERFACES, all_is_well, wwid
from tests.linux_host.lab import Lab

pytestmark = [pytest.mark.linux_host, pytest.mark.timeout(600)]


def test_discovery_shows_both_volumes_at_the_group_address_alone(lab: Lab) -> None:
    lab.disconnect()
    assert lab.host.discover() == sorted(f"{GROUP}:3260,1 {volume.iqn}" for volume in (MAIL, VAULT))


def test_both_logins_are_redirected_to_different_portals(lab: Lab) -> None:
    lab.disconnect()
    before = lab.array.now
    lab.connect()
    sessions = lab.host.sessions()
    assert [(session.interface, session.target, session.state) for session in sessions] == [
        (interface, MAIL.iqn, "LOGGED IN") for interface in INTERFACES
    ]
    assert {session.persistent_portal for session in sessions} == {GROUP}
    portals = [session.current_portal for session in sessions]
    assert set(portals) <= set(PORTALS)
    assert portals[0] != portals[1]
    # The array tells the same: asked at the group address, sent on, admitted where it was sent.
    asked = list(zip(NICS, portals, strict=True))
    assert lab.array.redirected(before) == [Login(nic, GROUP, portal) for nic, portal in asked]
    assert lab.array.admitted(before) == asked


def test_one_multipath_device_has_both_paths_and_the_arrays_identity(lab: Lab) -> None:
    lab.connect()
    shown = lab.host.run(f"multipath -ll {wwid(MAIL)}")
    assert "EQLOGIC,100E-00" in shown
    assert "size=64M" in shown
    assert "policy='round-robin 0'" in shown
    assert [path.split(" ", 1)[1] for path in lab.host.paths()] == ["active ready"] * 2
    assert lab.host.run("multipathd show maps raw format '%w %N'").splitlines() == [f"{wwid(MAIL)} 2"]


def test_what_is_written_by_turns_over_both_paths_reads_back(lab: Lab) -> None:
    lab.connect()
    before = lab.host.writes_by_disk()
    lab.host.start_writing()
    lab.host.wait_for_writes(200)
    all_is_well(lab.host.stop_writing())
    shares = [after - then for after, then in zip(lab.host.writes_by_disk(), before, strict=True)]
    assert len(shares) == 2
    assert min(shares) > 0.3 * sum(shares)


def test_header_and_data_digests_protect_what_is_written(lab: Lab) -> None:
    """QEMU and libiscsi 1.19 cannot ask for data digests; the kernel's initiator can, and checks every one."""
    lab.disconnect()
    lab.host.discover()
    lab.host.set_node(MAIL, {f"node.conn[0].iscsi.{name}": "CRC32C" for name in ("HeaderDigest", "DataDigest")})
    lab.host.login()
    assert [(session.header_digest, session.data_digest) for session in lab.host.sessions()] == [("CRC32C",) * 2] * 2
    lab.host.wait_for_paths(2)
    lab.host.start_writing()
    lab.host.wait_for_writes(100)
    all_is_well(lab.host.stop_writing())
    assert {session.state for session in lab.host.sessions()} == {"LOGGED IN"}
    lab.disconnect()


HOST = {"username": HOST_CHAP[0], "password": HOST_CHAP[1]}
ARRAY = {"username_in": ARRAY_CHAP[0], "password_in": ARRAY_CHAP[1]}

CHAP_CASES = {
    "no CHAP": (None, False),
    "a wrong secret of the host": ({**HOST, **ARRAY, "password": "not-what-it-knows"}, False),
    "a wrong secret of the array": ({**HOST, **ARRAY, "password_in": "not-what-it-knows"}, False),
    "both right": ({**HOST, **ARRAY}, True),
}
"""What the host is told about the volume that wants CHAP, and whether it gets in. The third is refused by the host."""


def test_chap_in_both_directions_is_asked_for_behind_the_redirect(lab: Lab) -> None:
    lab.host.discover()
    before = lab.array.now
    for case, (credentials, admitted) in CHAP_CASES.items():
        lab.host.set_node(VAULT, {"node.session.auth.authmethod": "None" if credentials is None else "CHAP"})
        lab.host.set_node(VAULT, {f"node.session.auth.{name}": value for name, value in (credentials or {}).items()})
        said = lab.host.login(VAULT, "eth0", may_fail=True)
        assert ("successful" in said) is admitted, (case, said)
        assert (VAULT.iqn in {session.target for session in lab.host.sessions()}) is admitted, case
    assert len(lab.array.redirected(before)) == len(CHAP_CASES)
    lab.disconnect()
