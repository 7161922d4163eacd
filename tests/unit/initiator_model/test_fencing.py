"""What a fencing host does to the real array, in virtual time; and what it makes of a target that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from initiator_model.disk import IoResult
from initiator_model.errors.msdsm import MSDSM
from initiator_model.fence_line import FenceDone
from initiator_model.fencing import MARGIN_S, PATIENCE_S, DiskFence, FenceRule, Fencing
from initiator_model.host import IscsiHost
from initiator_model.host_observer import HostObserver
from initiator_model.host_records import ClaimedDisk, HostSession, InitiatorError
from initiator_model.losses import Loss
from initiator_model.paths import PathState
from initiator_model.profiles import Profile, profile_named
from initiator_model.registrations import RESERVATION, Registrations
from initiator_model.requests import Completion, CompletionKind
from iscsi.constants import TmfResult
from iscsi.discovery import TargetAddress
from iscsi.scsi import PersistentType
from target.faults import ArrayFault, FaultName
from target.persistent import PersistentReservations, Reservation
from target.server import ArrayServer
from tests.support.lab import GROUP, HOST_IQN, PROFILE, SOURCE_A, SOURCE_B, VOLUME_IQN, Lab
from tests.support.paths_by_hand import new_path

HELD = ArrayFault(FaultName.LATE, op="write", count=1)
LINUX = profile_named("linux-dm-multipath")
BLOCK = 512


class Notes(HostObserver):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, host: IscsiHost, text: str) -> None:
        self.notes.append(text)


class Bench(Lab):
    """The array at work, and a host that fences in one way, with two paths to its disk."""

    def __init__(self, rule: FenceRule, profile: Profile = PROFILE) -> None:
        super().__init__()
        self.log = Notes()
        self.server: ArrayServer
        self.disk: ClaimedDisk
        self.sessions: list[HostSession] = []
        self.results: list[tuple[float, IoResult]] = []
        self.machine = IscsiHost(
            "w2k3", HOST_IQN, profile, self.connector, self.random_bytes, fencing=Fencing(rule), observer=self.log
        )

    def play(self, scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            self.server = await self.start_array()
            await self.machine.add_target_portal(TargetAddress(GROUP), SOURCE_A)
            for source in (SOURCE_A, SOURCE_B):
                self.sessions.append(await self.machine.log_on(VOLUME_IQN, source=source, multipath=True))
            self.disk = self.machine.disk(VOLUME_IQN)
            await scenario(self)
            self.machine.power_off()
            self.server.close()

        self.run(main())

    @property
    def persistent(self) -> PersistentReservations:
        volume = self.server.group.volume(VOLUME_IQN)
        assert volume is not None
        unit = volume.luns.get(0)
        assert unit is not None
        return unit.disk.reservations.persistent

    @property
    def keys(self) -> list[tuple[str, int]]:
        """(the end of the initiator port's name, key) of each registration."""
        return [(nexus.initiator_port[-4:], key) for nexus, key in self.persistent.registrations]

    def isid(self, number: int) -> str:
        return self.sessions[number].session.terms.isid.hex()[-4:]

    def on(self, fault: ArrayFault = HELD) -> None:
        self.server.group.faults.on(fault)
        self.server.group.spread_faults()

    def off(self, fault: ArrayFault = HELD) -> None:
        self.server.group.faults.off(fault)
        self.server.group.spread_faults()

    def write(self, value: bytes) -> None:
        self.disk.disk.submit_write(0, value * BLOCK, lambda result: self.results.append((self.now_s, result)))

    def stored(self) -> bytes:
        volume = self.server.group.volume(VOLUME_IQN)
        assert volume is not None
        unit = volume.luns.get(0)
        assert unit is not None
        return unit.disk.store.read(0, 1)

    async def fail_over(self) -> None:
        """W1 is held in the array, its cable comes out, and it is acknowledged on the other path."""
        self.on()
        self.write(b"1")
        await asyncio.sleep(1)
        self.nics[SOURCE_A].pull_cable()
        for _ in range(100):
            await asyncio.sleep(1)
            if self.results:
                break
        (_, result), *_ = self.results
        assert result.ok, result


RULES = [FenceRule.WAIT, FenceRule.LUN_RESET, FenceRule.PREEMPT_AND_ABORT]


@pytest.mark.parametrize("profile", [PROFILE, profile_named("msdsm-2012"), LINUX], ids=lambda profile: profile.name)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.value)
def test_the_first_copy_is_dead_when_the_second_is_acknowledged(rule: FenceRule, profile: Profile) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.fail_over()
        bench.write(b"2")
        await asyncio.sleep(1)
        bench.off()
        assert [result.ok for _, result in bench.results] == [True, True]
        assert bench.stored() == b"2"
        assert any(f"fence ({rule.value}) against {SOURCE_A}" in note for note in bench.log.notes)

    Bench(rule, profile).play(scenario)


def test_without_a_fence_it_is_not() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.fail_over()
        bench.write(b"2")
        await asyncio.sleep(1)
        bench.off()
        assert bench.stored() == b"1"

    Bench(FenceRule.NONE).play(scenario)


def test_a_unit_reset_costs_no_other_write_of_any_path() -> None:
    """It sweeps away what is under way on the surviving path, too, and leaves a unit attention: both are retried."""

    async def scenario(bench: Bench) -> None:
        await bench.fail_over()
        for value in (b"2", b"3", b"4"):
            bench.write(value)
        await asyncio.sleep(30)
        assert [result.outcome.value for _, result in bench.results] == ["ok"] * 4

    Bench(FenceRule.LUN_RESET, profile_named("msdsm-2008")).play(scenario)


# -- waiting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seen", "waits_s"), [(True, 22 + MARGIN_S), (False, 30 + 22 + MARGIN_S)])
def test_waiting_ends_when_the_target_must_have_let_go(seen: bool, waits_s: float) -> None:
    async def scenario(bench: Bench) -> None:
        loss = Loss(bytes(6), "a path", bench.now_s, seen, 22)
        fence, ended = made(bench, FenceRule.WAIT)
        begun_s = bench.now_s
        fence.begin(loss, new_path(1), ended.append)
        await asyncio.sleep(waits_s - 0.01)
        assert ended == []
        await asyncio.sleep(0.02)
        assert ended == [None]
        assert bench.now_s == pytest.approx(begun_s + waits_s, abs=0.02)

    Bench(FenceRule.NONE).play(scenario)


def test_waiting_ends_at_once_when_the_session_is_back() -> None:
    async def scenario(bench: Bench) -> None:
        loss = Loss(bytes(6), "a path", bench.now_s, False, 22)
        fence, ended = made(bench, FenceRule.WAIT)
        fence.begin(loss, new_path(1), ended.append)
        await asyncio.sleep(1)
        loss.end()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ended == [None]

    Bench(FenceRule.NONE).play(scenario)


def made(bench: Bench, rule: FenceRule, number: int | None = None) -> tuple[DiskFence, list[Completion | None]]:
    """A fence by itself, through session ``number`` of the bench, or through none."""
    session = None if number is None else bench.sessions[number].session
    fence = DiskFence(
        Fencing(rule),
        0,
        errors=MSDSM,
        registrations=Registrations(bench.random_bytes),
        session_of=lambda path: session,
        note=bench.log.notes.append,
    )
    return fence, []


# -- fences that do not hold -------------------------------------------------------------------------------------------


async def outcome(bench: Bench, rule: FenceRule, number: int | None, seconds: float) -> Completion:
    fence, ended = made(bench, rule, number)
    hear: FenceDone = ended.append
    fence.begin(Loss(bytes(6), "a path", bench.now_s, False, 22), new_path(1), hear)
    await asyncio.sleep(seconds)
    (completion,) = ended
    assert completion is not None
    assert "failed" in bench.log.notes[-1]
    return completion


@pytest.mark.parametrize("rule", RULES[1:], ids=lambda rule: rule.value)
def test_a_path_that_is_gone_is_said_to_be(rule: FenceRule) -> None:
    async def scenario(bench: Bench) -> None:
        completion = await outcome(bench, rule, None, 0.1)
        assert completion.kind is CompletionKind.DEVICE_NOT_CONNECTED

    Bench(FenceRule.NONE).play(scenario)


@pytest.mark.parametrize("rule", RULES[1:], ids=lambda rule: rule.value)
def test_a_target_that_does_not_answer_is_given_its_time_and_no_more(rule: FenceRule) -> None:
    async def scenario(bench: Bench) -> None:
        bench.nics[SOURCE_B].swallow()
        completion = await outcome(bench, rule, 1, PATIENCE_S + 0.1)
        assert completion.kind in (CompletionKind.TIMED_OUT, CompletionKind.DEVICE_NOT_CONNECTED)

    Bench(FenceRule.NONE).play(scenario)


def test_a_unit_reset_that_is_refused_is_no_fence() -> None:
    async def scenario(bench: Bench) -> None:
        def refuse(lun: int, done: Callable[[TmfResult | None], None], /) -> None:
            done(TmfResult.FUNCTION_NOT_SUPPORTED)

        bench.sessions[1].session.reset_lun = refuse  # type: ignore[method-assign]
        completion = await outcome(bench, FenceRule.LUN_RESET, 1, 0.1)
        assert completion.kind is CompletionKind.ABORTED

    Bench(FenceRule.NONE).play(scenario)


def test_a_path_that_is_not_registered_cannot_preempt() -> None:
    async def scenario(bench: Bench) -> None:
        completion = await outcome(bench, FenceRule.PREEMPT_AND_ABORT, 1, 0.1)
        assert "RESERVATION_CONFLICT" in bench.log.notes[-1]
        assert completion.kind is CompletionKind.COMPLETED

    Bench(FenceRule.NONE).play(scenario)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_each_path_registers_a_key_of_its_own_and_all_hold_the_reservation() -> None:
    async def scenario(bench: Bench) -> None:
        assert [port for port, _ in bench.keys] == [bench.isid(0), bench.isid(1)]
        assert len({key for _, key in bench.keys}) == 2
        assert isinstance(bench.persistent.reservation, Reservation)
        assert bench.persistent.reservation.kind is RESERVATION

    Bench(FenceRule.PREEMPT_AND_ABORT).play(scenario)


@pytest.mark.parametrize("profile", [PROFILE, LINUX], ids=lambda profile: profile.name)
def test_a_dead_path_loses_its_key_and_registers_anew_before_it_is_used_again(profile: Profile) -> None:
    async def scenario(bench: Bench) -> None:
        before = dict(bench.keys)
        await bench.fail_over()
        assert [port for port, _ in bench.keys] == [bench.isid(1)]

        bench.off()
        bench.nics[SOURCE_A].plug_cable()
        for _ in range(60):
            await asyncio.sleep(1)
            if all(path.state is not PathState.FAILED for path in bench.disk.disk.dsm.paths):
                break
        assert dict(bench.keys) == before

        bench.nics[SOURCE_B].pull_cable()
        bench.write(b"2")
        await asyncio.sleep(60)
        assert bench.results[-1][1].ok
        assert bench.stored() == b"2"

    Bench(FenceRule.PREEMPT_AND_ABORT, profile).play(scenario)


def test_a_key_that_somebody_has_removed_already_is_not_missed() -> None:
    async def scenario(bench: Bench) -> None:
        keys = Registrations(bench.random_bytes)
        session = bench.sessions[1].session
        await keys.register(session.submit, session.terms.isid, 0)
        await keys.preempt(session.submit, session.terms.isid, b"absent", 0)

    Bench(FenceRule.NONE).play(scenario)


def test_a_second_host_joins_the_reservation_and_is_spared_when_the_first_one_fences() -> None:
    async def scenario(bench: Bench) -> None:
        other = IscsiHost(
            "other",
            "iqn.1991-05.com.microsoft:other",
            PROFILE,
            bench.connector,
            bench.random_bytes,
            fencing=Fencing(FenceRule.PREEMPT_AND_ABORT),
        )
        await other.add_target_portal(TargetAddress(GROUP), SOURCE_B)
        await other.log_on(VOLUME_IQN, source=SOURCE_B, multipath=True)
        assert len(bench.keys) == 3
        await bench.fail_over()
        assert len(bench.keys) == 2
        await other.disk(VOLUME_IQN).disk.write(0, b"o" * BLOCK)
        assert bench.stored() == b"o"
        other.power_off()

    Bench(FenceRule.PREEMPT_AND_ABORT).play(scenario)


def test_a_reservation_of_another_kind_keeps_the_path_out_and_says_so() -> None:
    async def scenario(bench: Bench) -> None:
        nexus = bench.sessions[0].session
        await Registrations(bench.random_bytes).register(nexus.submit, nexus.terms.isid, 0)
        held = bench.persistent.reservation
        assert held is not None
        bench.persistent.reservation = replace(held, kind=PersistentType.WRITE_EXCLUSIVE)
        other = IscsiHost(
            "other",
            "iqn.1991-05.com.microsoft:other",
            PROFILE,
            bench.connector,
            bench.random_bytes,
            fencing=Fencing(FenceRule.PREEMPT_AND_ABORT),
        )
        await other.add_target_portal(TargetAddress(GROUP), SOURCE_A)
        with pytest.raises(InitiatorError, match=r"PERSISTENT RESERVE OUT \(RESERVE\): RESERVATION_CONFLICT"):
            await other.log_on(VOLUME_IQN, source=SOURCE_A, multipath=True)

    Bench(FenceRule.NONE).play(scenario)
