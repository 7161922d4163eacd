"""The host as its user operates it, against the real array in virtual time: the walkthrough, and what follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from initiator_model.dsm import PolicyRefused, PolicyRequest
from initiator_model.host import IscsiHost
from initiator_model.host_observer import HostObserver
from initiator_model.host_records import ISDSC_TARGET_ALREADY_LOGGED_IN, ClaimedDisk, HostSession, InitiatorError
from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy
from initiator_model.profiles import Profile
from initiator_model.session_events import SessionState
from initiator_model.views import TargetStatus
from iscsi.chap import ChapCredentials, ChapPolicy
from iscsi.discovery import TargetAddress
from target.config import AccessRule, ArrayKind
from target.server import ArrayServer
from tests.support.lab import (
    GROUP,
    GROUP_PORTAL,
    HOST_IQN,
    PORTALS,
    PROFILE,
    SOURCE_A,
    SOURCE_B,
    VOLUME_IQN,
    Lab,
    volume,
)


class Log(HostObserver):
    """What the host's observer hears, in the order it happens."""

    def __init__(self) -> None:
        self.hops: list[str] = []
        self.paths: list[tuple[str, PathState]] = []
        self.disks: list[tuple[int, bool]] = []

    def on_hop(self, host: IscsiHost, local: str, remote: str, status: str) -> None:
        self.hops.append(f"{local} -> {remote} {status}")

    def on_path(self, host: IscsiHost, disk: ClaimedDisk, path: Path, old: PathState, new: PathState, why: str) -> None:
        self.paths.append((path.label, new))

    def on_disk(self, host: IscsiHost, disk: ClaimedDisk, present: bool, why: str) -> None:
        self.disks.append((disk.number, present))


class Bench(Lab):
    """A lab with the array at work and a host that has discovered it."""

    def __init__(self, profile: Profile = PROFILE, **changes: Any) -> None:
        super().__init__()
        self.log = Log()
        self.server: ArrayServer
        self.machine = IscsiHost(
            "w2k3", HOST_IQN, profile, self.connector, self.random_bytes, observer=self.log, **changes
        )

    def play(self, scenario: Callable[[Bench], Coroutine[Any, Any, None]], **array: Any) -> None:
        async def main() -> None:
            self.server = await self.start_array(*array.pop("volumes", ()), **array)
            first = self.server.group.config.addresses[0]
            await self.machine.add_target_portal(TargetAddress(first), SOURCE_A)
            await scenario(self)
            self.machine.power_off()
            self.server.close()

        self.run(main())

    async def log_on(self, source: str = SOURCE_A, **boxes: Any) -> HostSession:
        return await self.machine.log_on(VOLUME_IQN, source=source, **({"multipath": True} | boxes))

    async def two_paths(self) -> ClaimedDisk:
        """Both NICs logged on with the multi-path box."""
        await self.log_on(SOURCE_A)
        await self.log_on(SOURCE_B)
        return self.machine.disk(VOLUME_IQN)


def states(claimed: ClaimedDisk) -> list[PathState]:
    return [path.state for path in claimed.disk.dsm.paths]


ACTIVE, STANDBY, FAILED = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY, PathState.FAILED


class TestWalkthrough:
    def test_an_added_portal_fills_the_target_list(self) -> None:
        async def scenario(bench: Bench) -> None:
            (row,) = bench.machine.targets()
            assert row == (VOLUME_IQN, TargetStatus.INACTIVE)
            assert bench.machine.addresses(VOLUME_IQN) == (TargetAddress(GROUP, 3260, 1),)
            assert bench.machine.target_portals[0].address == GROUP_PORTAL

        Bench().play(scenario)

    def test_two_logins_make_the_two_connections_of_the_walkthrough(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.log_on(SOURCE_A)
            assert bench.machine.targets()[0].status is TargetStatus.CONNECTED
            await bench.log_on(SOURCE_B)
            ends = [(one.session.local, one.session.remote) for one in bench.machine.sessions]
            assert ends[0] == ("192.168.50.105:2817", "192.168.51.2:3260")
            assert ends[1][0] == "192.168.50.125:2819"
            assert ends[1][1] in [f"{portal}:3260" for portal in PORTALS[1:]]
            assert [one.session.via for one in bench.machine.sessions] == [TargetAddress(GROUP, 3260, 1)] * 2

        Bench().play(scenario)

    def test_the_disk_starts_fail_over_only_and_round_robin_makes_all_paths_active(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            dsm = claimed.disk.dsm
            assert (dsm.policy, states(claimed)) == (LoadBalancePolicy.FAIL_OVER_ONLY, [ACTIVE, STANDBY])
            dsm.set_policy(PolicyRequest.all_active(LoadBalancePolicy.ROUND_ROBIN, dsm.paths))
            assert states(claimed) == [ACTIVE, ACTIVE]
            await claimed.disk.write(8, b"exchange" * 512)
            assert await claimed.disk.read(8, 8) == b"exchange" * 512

        Bench().play(scenario)

    def test_each_session_has_an_isid_of_its_own_in_microsofts_form(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.two_paths()
            isids = [one.session.terms.isid for one in bench.machine.sessions]
            assert all(isid[:4] == bytes.fromhex("40000137") for isid in isids)
            assert isids[0] != isids[1]

        Bench().play(scenario)

    def test_without_the_box_on_both_logins_the_second_is_refused(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.log_on(SOURCE_A, multipath=True)
            for boxes in ({"multipath": False}, {"multipath": True}):
                if boxes["multipath"]:
                    await bench.machine.log_off(VOLUME_IQN)
                    await bench.log_on(SOURCE_A, multipath=False)
                with pytest.raises(InitiatorError, match="already been logged in via an iSCSI session") as refused:
                    await bench.log_on(SOURCE_B, **boxes)
                assert refused.value.code == ISDSC_TARGET_ALREADY_LOGGED_IN
            assert len(bench.machine.sessions) == 1

        Bench().play(scenario)

    def test_a_host_without_mpio_has_no_such_box(self) -> None:
        async def scenario(bench: Bench) -> None:
            with pytest.raises(InitiatorError, match="MPIO is not installed on w2k3"):
                await bench.log_on()
            await bench.log_on(multipath=False)

        Bench(mpio=False).play(scenario)

    def test_on_an_array_that_lists_its_portals_the_user_chooses(self) -> None:
        async def scenario(bench: Bench) -> None:
            listed = bench.machine.addresses(VOLUME_IQN)
            assert [address.host for address in listed] == list(PORTALS)
            owner = await bench.log_on(portal=listed[2])
            assert (owner.session.remote, owner.session.via) == (f"{PORTALS[2]}:3260", None)

        Bench().play(scenario, kind=ArrayKind.LISTED, group_address=None)

    def test_an_active_passive_array_lets_one_path_work(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            assert states(claimed) == [ACTIVE, STANDBY]
            assert not claimed.disk.dsm.symmetric
            with pytest.raises(PolicyRefused, match="cannot be active"):
                claimed.disk.dsm.set_policy(
                    PolicyRequest.all_active(LoadBalancePolicy.ROUND_ROBIN, claimed.disk.dsm.paths)
                )

        Bench().play(scenario, active_passive=True)


class TestRefusals:
    def test_a_target_nobody_listed(self) -> None:
        async def scenario(bench: Bench) -> None:
            with pytest.raises(InitiatorError, match=r"not found: iqn\.2001-05"):
                await bench.machine.log_on("iqn.2001-05.com.equallogic:other")

        Bench().play(scenario)

    def test_a_portal_that_does_not_answer_is_not_remembered(self) -> None:
        async def scenario(bench: Bench) -> None:
            with pytest.raises(InitiatorError, match=r"target portal 192.168.51.2:9999: .*refused"):
                await bench.machine.add_target_portal(TargetAddress(PORTALS[0], 9999))
            assert len(bench.machine.target_portals) == 1

        Bench().play(scenario)

    def test_chap_is_demanded_and_given(self) -> None:
        async def scenario(bench: Bench) -> None:
            with pytest.raises(InitiatorError, match="0x0201"):
                await bench.log_on()
            assert bench.machine.sessions == ()
            owner = await bench.log_on(chap=ChapCredentials("w2k3", b"a secret of the host"))
            assert owner.session.state is SessionState.LOGGED_IN

        policy = ChapPolicy(one_way=(ChapCredentials("w2k3", b"a secret of the host"),))
        Bench().play(scenario, volumes=(volume(access=(AccessRule(chap=policy),)),))

    def test_a_volume_this_host_may_not_use(self) -> None:
        async def scenario(bench: Bench) -> None:
            assert bench.machine.targets() == ()

        Bench().play(scenario, volumes=(volume(access=(AccessRule(initiator="iqn.1991-05.com.microsoft:other"),)),))

    def test_logging_off_what_is_not_logged_on(self) -> None:
        async def scenario(bench: Bench) -> None:
            with pytest.raises(InitiatorError, match="not logged on from"):
                await bench.machine.log_off(VOLUME_IQN, SOURCE_B)

        Bench().play(scenario)


class TestPaths:
    def test_io_goes_on_down_the_other_path_after_link_down_time(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            bench.nics[SOURCE_A].pull_cable()
            pulled_at = bench.now_s
            await claimed.disk.write(0, bytes(4096))
            assert bench.now_s - pulled_at == pytest.approx(15, abs=0.1)
            assert states(claimed) == [FAILED, ACTIVE]
            assert bench.machine.targets()[0].status is TargetStatus.CONNECTED

        Bench().play(scenario)

    def test_a_path_that_comes_back_shows_its_new_ends(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            bench.nics[SOURCE_A].pull_cable()
            await asyncio.sleep(20)
            bench.nics[SOURCE_A].plug_cable()
            await asyncio.sleep(40)
            assert states(claimed) == [STANDBY, ACTIVE]  # nobody asked for fail-back
            path = claimed.disk.dsm.paths[0]
            assert path.source == bench.machine.sessions[0].session.local != f"{SOURCE_A}:2817"

        Bench().play(scenario)

    def test_a_reconnect_in_time_costs_no_path(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            began = bench.now_s
            await bench.server.portal_down(PORTALS[0])
            await claimed.disk.write(0, bytes(4096))
            assert bench.now_s - began == pytest.approx(5, abs=1.1)  # the reconnect, and a retry for its attention
            assert states(claimed) == [ACTIVE, STANDBY]
            assert claimed.disk.dsm.paths[0].portal != f"{PORTALS[0]}:3260"

        Bench().play(scenario)

    def test_when_all_paths_stay_away_the_disk_goes_and_comes_back_as_a_new_one(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            for source in (SOURCE_A, SOURCE_B):
                bench.nics[source].pull_cable()
            await asyncio.sleep(15 + 20 + 1)
            assert claimed.disk.gone
            assert bench.machine.disks == ()
            for source in (SOURCE_A, SOURCE_B):
                bench.nics[source].plug_cable()
            await asyncio.sleep(40)
            (fresh,) = bench.machine.disks
            assert states(fresh) == [ACTIVE, STANDBY]
            await fresh.disk.read(0, 8)
            assert bench.log.disks == [(0, True), (0, False), (0, True)]

        Bench().play(scenario)

    def test_a_path_failed_by_mistake_is_verified_and_used_again(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            path = claimed.disk.dsm.paths[1]
            claimed.disk.path_failed(path, "an error was taken for the path's")
            await asyncio.sleep(PROFILE.timers.recovery_ns / 1e9 + 1)
            assert path.state is STANDBY

        Bench().play(scenario)

    def test_with_path_verification_a_dead_path_is_found_before_a_request_finds_it(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            bench.nics[SOURCE_B].swallow()
            await asyncio.sleep(240)
            assert states(claimed) == [ACTIVE, FAILED]

        Bench(PROFILE.with_timers({"path_verify_enabled": 1})).play(scenario)

    def test_two_volumes_are_two_disks(self) -> None:
        async def scenario(bench: Bench) -> None:
            for row in bench.machine.targets():
                await bench.machine.log_on(row.name, source=SOURCE_A, multipath=True)
            assert [claimed.number for claimed in bench.machine.disks] == [0, 1]
            assert bench.machine.disks[0].facts.identity != bench.machine.disks[1].facts.identity

        other = "iqn.2001-05.com.equallogic:0-8a0906-83bcb3401-16e0002fd0a46f3e-other"
        Bench().play(scenario, volumes=(volume(), volume("other", other)))


class TestLogOffAndReboot:
    def test_logging_off_one_source_leaves_the_other_path(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            await bench.machine.log_off(VOLUME_IQN, SOURCE_A)
            assert states(claimed) == [ACTIVE]
            await claimed.disk.read(0, 8)
            await bench.machine.log_off(VOLUME_IQN)
            assert claimed.disk.gone
            assert bench.machine.targets()[0].status is TargetStatus.INACTIVE
            await asyncio.sleep(1)
            assert bench.server.connections() == []

        Bench().play(scenario)

    def test_persistent_logins_are_made_again_in_order_through_the_group(self) -> None:
        async def scenario(bench: Bench) -> None:
            for source in (SOURCE_B, SOURCE_A):
                await bench.log_on(source, persistent=True)
            assert [request.portal.host for request in bench.machine.persistent_logins] == [GROUP, GROUP]
            bench.host.crash()
            bench.machine.power_off()
            assert bench.machine.disks == ()
            await asyncio.sleep(60)
            bench.host.boot()
            bench.log.hops.clear()
            assert await bench.machine.boot() == []
            sources = [one.session.local.rsplit(":", 1)[0] for one in bench.machine.sessions]
            assert sources == [SOURCE_B, SOURCE_A]
            assert [hop.split(" ")[2] for hop in bench.log.hops] == [
                f"{GROUP}:3260",
                bench.machine.sessions[0].session.remote,
                f"{GROUP}:3260",
                bench.machine.sessions[1].session.remote,
            ]
            assert states(bench.machine.disk(VOLUME_IQN)) == [ACTIVE, STANDBY]

        Bench().play(scenario)

    def test_the_chosen_policy_holds_after_a_reboot(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.log_on(SOURCE_A, persistent=True)
            await bench.log_on(SOURCE_B, persistent=True)
            dsm = bench.machine.disk(VOLUME_IQN).disk.dsm
            dsm.set_policy(PolicyRequest.all_active(LoadBalancePolicy.ROUND_ROBIN, dsm.paths))
            assert await bench.machine.reboot() == []
            claimed = bench.machine.disk(VOLUME_IQN)
            assert claimed.disk.dsm.policy is LoadBalancePolicy.ROUND_ROBIN
            assert states(claimed) == [ACTIVE, ACTIVE]

        Bench().play(scenario)

    def test_so_does_the_preferred_path(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.log_on(SOURCE_A, persistent=True)
            await bench.log_on(SOURCE_B, persistent=True)
            dsm = bench.machine.disk(VOLUME_IQN).disk.dsm
            dsm.set_policy(PolicyRequest.one_active(dsm.paths, dsm.paths[1], preferred=True))
            assert await bench.machine.reboot() == []
            claimed = bench.machine.disk(VOLUME_IQN)
            assert states(claimed) == [STANDBY, ACTIVE]
            assert claimed.disk.dsm.paths[1].preferred

        Bench().play(scenario)

    def test_two_paths_from_one_address_are_told_apart_when_they_come_back(self) -> None:
        async def scenario(bench: Bench) -> None:
            for _ in range(2):
                await bench.log_on(SOURCE_A)
            dsm = bench.machine.disk(VOLUME_IQN).disk.dsm
            dsm.set_policy(PolicyRequest.one_active(dsm.paths, dsm.paths[1], preferred=True))
            await bench.machine.log_off(VOLUME_IQN)
            for _ in range(2):
                await bench.log_on(SOURCE_A)
            claimed = bench.machine.disk(VOLUME_IQN)
            assert [path.preferred for path in claimed.disk.dsm.paths] == [False, True]
            assert states(claimed) == [STANDBY, ACTIVE]

        Bench().play(scenario)

    def test_a_login_without_the_persistent_box_does_not_survive_a_reboot(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.log_on(SOURCE_A, persistent=True)
            await bench.log_on(SOURCE_B)
            assert await bench.machine.reboot() == []
            assert [one.request.source for one in bench.machine.sessions] == [SOURCE_A]
            bench.machine.remove_persistent(VOLUME_IQN)
            assert await bench.machine.reboot() == []
            assert bench.machine.sessions == ()

        Bench().play(scenario)

    def test_an_array_that_is_away_at_boot_is_tried_a_few_times(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.log_on(SOURCE_A, persistent=True)
            bench.machine.power_off()
            bench.server.close()
            (complaint,) = await bench.machine.boot()
            assert "refused" in complaint
            assert len([hop for hop in bench.log.hops if "refused" in hop]) == PROFILE.timers.first_login_tries

        Bench().play(scenario)

    def test_a_log_on_that_the_power_failure_overtakes_fails(self) -> None:
        async def scenario(bench: Bench) -> None:
            log_on = bench.loop.create_task(bench.log_on())
            await asyncio.sleep(0)
            bench.machine.power_off()
            with pytest.raises(InitiatorError, match="ended during its login"):
                await log_on
            assert bench.machine.sessions == ()

        Bench().play(scenario)

    def test_what_was_under_way_when_the_power_went_is_unknown(self) -> None:
        async def scenario(bench: Bench) -> None:
            claimed = await bench.two_paths()
            ends: list[Any] = []
            claimed.disk.submit_write(0, bytes(512), ends.append)
            bench.host.crash()
            bench.machine.power_off()
            (result,) = ends
            assert result.outcome.name == "UNKNOWN"

        Bench().play(scenario)
