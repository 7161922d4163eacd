"""From the file's `[array]` to the target's configuration, and the array of a run through its faults."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.array import build_group, group_config, target_name
from harness.array_site import ArraySite
from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.scenario import Array
from iscsi import scsi
from iscsi.chap import ChapCredentials
from iscsi.constants import ScsiStatus
from target.block_file import FileRefused
from target.config import ArrayKind, DirectLogin, Limits, LostTasks
from target.lun import LogicalUnit
from target.nexus import Nexus
from tests.support.lab import GROUP, PORTALS, Lab
from tests.support.runs import HOST, two_paths

NEXUS = Nexus("iqn.host,i,0x1", "iqn.array,t,0x0001", 1, 1)


def array(**changes: Any) -> Array:
    return scenario_from(two_paths({"do": "discover"}, **changes)).array


def test_an_array_with_a_group_address_redirects() -> None:
    config = group_config(array(direct_login="redirect", placement="round-robin", port=3261))

    assert (config.kind, config.group_address, config.port) == (ArrayKind.REDIRECTING, "192.168.77.1", 3261)
    assert [portal.address for portal in config.portals] == ["192.168.77.2", "192.168.77.3"]
    assert (config.placement, config.direct_login) == ("round-robin", DirectLogin.REDIRECT)


def test_a_fixed_placement_carries_its_portal() -> None:
    config = group_config(array(placement={"fixed": "192.168.77.3"}))
    assert (config.placement, config.fixed_portal) == ("fixed", "192.168.77.3")


def test_an_array_that_lists_its_portals_has_no_group() -> None:
    tables = two_paths({"do": "discover"}, kind="listed")
    del tables["array"]["group"]
    config = group_config(scenario_from(tables).array)
    assert (config.kind, config.group_address) == (ArrayKind.LISTED, None)


def test_what_an_array_does_about_lost_connections_is_its_own_to_say() -> None:
    said = {"time2retain": "5s", "ping_interval": "3s", "ping_timeout": "2500ms", "lost_tasks": "kill"}
    config = group_config(array(**said))
    limits = config.limits
    assert (limits.time2retain_s, limits.nop_interval_s, limits.nop_timeout_s) == (5.0, 3.0, 2.5)
    assert config.lost_tasks is LostTasks.KILL

    usual = group_config(array())
    assert usual.limits == Limits()
    assert usual.lost_tasks is LostTasks.KEEP


def test_what_it_says_comes_before_the_limits_of_a_served_array() -> None:
    assert group_config(array(ping_interval="3s"), Limits(nop_interval_s=9, login_timeout_s=7)).limits == Limits(
        nop_interval_s=3, login_timeout_s=7
    )


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"time2retain": "1500ms"}, "array.time2retain: expected whole seconds from 0 to 3600"),
        ({"lost_tasks": "drop"}, "array.lost_tasks: expected"),
    ],
)
def test_what_it_cannot_say(said: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        array(**said)
    assert complaint in str(caught.value)


def test_a_ping_that_nobody_has_time_to_answer_is_refused() -> None:
    with pytest.raises(ScenarioError, match="array: nop_timeout_s must be more than 0 s"):
        group_config(array(ping_timeout="0s"))


def test_a_volume_is_named_in_the_array_s_grammar_unless_it_has_a_name() -> None:
    named = {"name": "own", "size": "1MiB", "iqn": "iqn.2026-01.org.example:own", "access": [{"initiator": HOST}]}
    plain = {"name": "Logs", "size": "1MiB", "access": [{"initiator": HOST}]}
    made = array(volumes=[named, plain])

    assert target_name(made, made.volumes[0]) == "iqn.2026-01.org.example:own"
    assert target_name(made, made.volumes[1]).endswith("-logs")
    assert target_name(made, made.volumes[1]) == group_config(made).volumes[1].iqn


def test_access_rules_keep_every_condition() -> None:
    chap = {"user": "w2k3", "secret": "host-secret-0123", "mutual_user": "ps100", "mutual_secret": "array-secret-456"}
    rule = {"initiator": HOST, "source": "192.168.76.0/24", "chap": chap}
    config = group_config(array(volumes=[{"name": "logs", "size": "1MiB", "access": [rule]}]))

    (access,) = config.volumes[0].access
    assert access.initiator == HOST
    assert access.source == ipaddress.IPv4Network("192.168.76.0/24")
    assert access.chap is not None
    assert access.chap.one_way == (ChapCredentials("w2k3", b"host-secret-0123"),)
    assert access.chap.mutual == ChapCredentials("ps100", b"array-secret-456")


def test_two_volumes_whose_names_make_one_target_name_are_a_mistake_of_the_scenario() -> None:
    rows = [{"name": name, "size": "1MiB", "access": [{"initiator": HOST}]} for name in ("logs", "LOGS")]

    with pytest.raises(ScenarioError, match=r"array: volume target name iqn\.\S+-logs is given twice"):
        group_config(array(volumes=rows))


def test_further_luns_are_disks_of_their_own() -> None:
    luns = [
        {"lun": 3, "size": "1MiB", "block_size": 4096, "removable": True, "provisioning": "full"},
        {"lun": 300, "size": "4TiB", "read_only": True},
    ]
    row = {"name": "logs", "size": "2MiB", "access": [{"initiator": HOST}], "luns": luns}
    (volume,) = build_group(group_config(array(volumes=[row]))).volumes.values()

    assert volume.luns.numbers == (0, 3, 300)
    plain, drive, large = (unit.disk for unit in volume.luns.units())
    assert (plain.block_size, plain.thin, plain.removable, plain.read_only) == (512, True, False, False)
    assert (drive.block_size, drive.thin, drive.removable, drive.read_only) == (4096, False, True, False)
    assert (large.blocks, large.read_only) == (1 << 33, True)
    assert {disk.identity.iqn for disk in (plain, drive, large)} == {volume.config.iqn}
    assert len({disk.identity.naa for disk in (plain, drive, large)}) == 3


def test_the_disk_names_the_target_name_the_volume_was_given() -> None:
    named = {"name": "own", "size": "1MiB", "iqn": "iqn.2026-01.org.example:own", "access": [{"initiator": HOST}]}
    (volume,) = build_group(group_config(array(volumes=[named]))).volumes.values()
    assert volume.luns.units()[0].disk.identity.iqn == "iqn.2026-01.org.example:own"


@pytest.mark.parametrize(
    ("luns", "complaint"),
    [
        ([{"lun": 0, "size": "1MiB"}], "expected at least 1, got 0"),
        ([{"lun": 16384, "size": "1MiB"}], "expected at most 16383"),
        ([{"lun": 1, "size": "1MiB"}, {"lun": 1, "size": "2MiB"}], "LUN 1 is given twice"),
        ([{"lun": 1, "size": "513B"}], "whole blocks of 512"),
        ([{"lun": 1}], "size"),
    ],
)
def test_luns_that_cannot_be(luns: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        array(volumes=[{"name": "logs", "size": "1MiB", "access": [{"initiator": HOST}], "luns": luns}])


def test_a_file_is_used_only_where_files_are_wanted(tmp_path: Path) -> None:
    place = tmp_path / "volume"
    row = {"name": "logs", "size": "1MiB", "file": str(place), "access": [{"initiator": HOST}]}
    config = group_config(array(volumes=[row]))

    build_group(config)
    assert not place.exists()

    (on_disk,) = build_group(config, files=True).volumes.values()
    assert place.stat().st_size == 1 << 20
    on_disk.luns.units()[0].close()


def test_registrations_are_kept_beside_the_file(tmp_path: Path) -> None:
    place = tmp_path / "volume"
    row = {"name": "logs", "size": "1MiB", "file": str(place), "access": [{"initiator": HOST}]}
    config = group_config(array(volumes=[row]))
    for _ in range(2):
        (volume,) = build_group(config, files=True).volumes.values()
        (unit,) = volume.luns.units()
        if not unit.disk.reservations.persistent.in_use:
            register_for_good(unit)
        unit.close()
    assert unit.disk.reservations.persistent.registrations == ((NEXUS, 0x1111),)

    beside = tmp_path / "volume.reservations"
    beside.write_text("{}")
    with pytest.raises(FileRefused, match=rf"volume logs: {beside} is damaged"):
        build_group(config, files=True)
    beside.unlink()
    build_group(config, files=True).volumes.popitem()[1].luns.close()  # nothing stayed open


# The array of a run


class SiteLab(Lab):
    """The walkthrough's machines with an `ArraySite` on the array's."""

    def __init__(self) -> None:
        super().__init__()
        tables = two_paths({"do": "discover"}, group=f"{GROUP}/22", portals=list(PORTALS))
        tables["hosts"][0]["nics"][0]["address"] = "192.168.50.105/22"
        tables["hosts"][0]["nics"][1]["address"] = "192.168.50.125/22"
        config = group_config(scenario_from(tables).array)
        self.site = ArraySite(config, self.random_bytes, lambda decision: None, lambda text: None)

    def listening(self) -> list[str]:
        rows = [row.local[0] for row in self.array.connections() if row.state == "LISTENING"]
        return sorted(rows)

    def unit(self) -> LogicalUnit:
        assert self.site.server is not None
        (volume,) = self.site.server.group.volumes.values()
        return volume.luns.units()[0]


def with_site(test: Callable[[SiteLab], Coroutine[Any, Any, None]]) -> None:
    lab = SiteLab()

    async def story() -> None:
        async with started(lab):
            await test(lab)

    lab.run(story())


@asynccontextmanager
async def started(lab: SiteLab) -> AsyncIterator[None]:
    await lab.site.start()
    yield
    lab.site.close()


ALL = sorted([GROUP, *PORTALS])


def test_what_was_written_outlives_the_process() -> None:
    async def test(lab: SiteLab) -> None:
        lab.unit().execute(scsi.test_unit_ready(), b"", NEXUS)
        lab.unit().execute(scsi.write(0, 1), b"\x5a" * 512, NEXUS)
        first = lab.unit()
        lab.site.kill()
        lab.array.kill_process()
        assert lab.site.server is None
        await lab.site.restart()
        assert lab.unit() is not first
        lab.unit().execute(scsi.test_unit_ready(), b"", NEXUS)  # takes the unit attention of the new process
        assert lab.unit().execute(scsi.read(0, 1), b"", NEXUS).data == b"\x5a" * 512

    with_site(test)


def register_for_good(unit: LogicalUnit) -> None:
    """REGISTER with APTPL."""
    unit.execute(scsi.test_unit_ready(), b"", NEXUS)
    data = bytearray(scsi.persistent_reserve_list(0, 0x1111))
    data[20] = 1
    result = unit.execute(scsi.persistent_reserve_out(scsi.PersistentOut.REGISTER), bytes(data), NEXUS)
    assert result.status is ScsiStatus.GOOD


def test_a_registration_that_is_to_survive_outlives_the_process() -> None:
    async def test(lab: SiteLab) -> None:
        register_for_good(lab.unit())
        lab.site.kill()
        lab.array.kill_process()
        await lab.site.restart()
        assert lab.unit().disk.reservations.persistent.registrations == ((NEXUS, 0x1111),)

    with_site(test)


def test_it_runs_again_when_the_last_kill_is_undone() -> None:
    async def test(lab: SiteLab) -> None:
        lab.site.kill()
        lab.array.kill_process()
        lab.site.kill()
        await lab.site.restart()
        assert (lab.site.server, lab.listening()) == (None, [])
        await lab.site.restart()
        assert lab.listening() == ALL

    with_site(test)


def test_a_portal_is_up_when_nothing_holds_it_down_any_more() -> None:
    async def test(lab: SiteLab) -> None:
        await lab.site.portal_down(PORTALS[1])
        await lab.site.portal_down(PORTALS[1])
        await lab.site.portal_up(PORTALS[1])
        assert lab.site.server is not None
        assert not lab.site.server.group.portal_is_up(PORTALS[1])
        assert PORTALS[1] not in lab.listening()
        await lab.site.portal_up(PORTALS[1])
        assert lab.site.server.group.portal_is_up(PORTALS[1])
        assert lab.listening() == ALL

    with_site(test)


def test_a_process_that_starts_while_a_portal_is_gone_does_without_it() -> None:
    async def test(lab: SiteLab) -> None:
        lab.site.kill()
        lab.array.kill_process()
        lab.nics[PORTALS[1]].remove_address(PORTALS[1])
        await lab.site.portal_down(PORTALS[1])
        await lab.site.restart()
        assert lab.listening() == sorted([GROUP, PORTALS[0], PORTALS[2]])
        assert lab.site.server is not None
        assert not lab.site.server.group.portal_is_up(PORTALS[1])
        lab.nics[PORTALS[1]].add_address(PORTALS[1])
        await lab.site.portal_up(PORTALS[1])
        assert lab.listening() == ALL

    with_site(test)


def test_an_address_that_cannot_be_had_is_named_and_nothing_stays_open() -> None:
    lab = SiteLab()
    lab.nics[PORTALS[2]].remove_address(PORTALS[2])

    with pytest.raises(OSError, match=r"the array cannot listen at 192\.168\.51\.4:3260") as caught:
        lab.run(lab.site.start())

    assert "Cannot assign requested address" in str(caught.value)
    assert lab.listening() == []
