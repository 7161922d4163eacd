"""The bugs of docs/bug-stories.md planted where they belong: the story's scenario has to see each of them.

One mistake at a time, in this project's own host or array, and the check that names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.load import load_scenario
from harness.narration import QuietNarrator
from harness.run import run_scenario
from initiator_model.access_watch import AccessWatch
from initiator_model.commands import Commands
from initiator_model.connection import InitiatorConnection
from initiator_model.host_identity import HostIdentity
from initiator_model.host_records import ClaimedDisk
from initiator_model.requests import Completion
from initiator_model.session import IscsiSession
from initiator_model.session_events import SessionState
from initiator_model.tasks import Task
from iscsi.constants import AsyncEvent
from iscsi.pdu import AsyncMessage, NopOut
from iscsi.window import CommandNumbering
from target.faults import FaultName, Faults


def one_isid_for_all_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 8."""
    right = HostIdentity.terms

    def terms(identity: HostIdentity, *args: object) -> object:
        identity._qualifier = 7
        return right(identity, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(HostIdentity, "terms", terms)


def a_cancelled_command_that_takes_its_number_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 11."""
    right = Commands.finish

    def finish(commands: Commands, task: Task, completion: Completion) -> None:
        if not task.sent:
            commands._wire.numbering.cmd_sn += 1
        right(commands, task, completion)

    monkeypatch.setattr(Commands, "finish", finish)


def a_host_that_does_not_look_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 9."""

    async def units_are_the_same(units: object, submit: object) -> None:
        return None

    monkeypatch.setattr("initiator_model.path_claims.units_are_the_same", units_are_the_same)


def pings_with_the_number_of_the_command_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 12."""

    def ping(connection: InitiatorConnection) -> None:
        wire = connection._wire
        connection._ping_itt = wire.next_tag()
        wire.send(NopOut(itt=connection._ping_itt, cmd_sn=wire.cmd_sn - 1, exp_stat_sn=wire.exp_stat_sn))

    monkeypatch.setattr(InitiatorConnection, "ping", ping)


def a_pool_of_32_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 17."""
    right = InitiatorConnection._on_async_message
    pool = [0]

    def on_async_message(connection: InitiatorConnection, pdu: AsyncMessage) -> None:
        pool[0] += pdu.event == AsyncEvent.LOGOUT_REQUEST
        if pool[0] > 32:
            connection._wire.status.advance(pdu.stat_sn)  # there is no room for what it says
        else:
            right(connection, pdu)

    monkeypatch.setattr(InitiatorConnection, "_on_async_message", on_async_message)


def a_log_off_that_waits_for_the_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 22."""
    right = IscsiSession.log_out

    async def log_out(session: IscsiSession) -> None:
        while session.state in (SessionState.RECOVERING, SessionState.LOST):
            await asyncio.sleep(0.1)
        await right(session)

    monkeypatch.setattr(IscsiSession, "log_out", log_out)


def a_reinstatement_that_waits_for_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 23: nobody is let in while commands of a session that was lost are being executed."""

    def refuses_login(faults: Faults, portal: str, volume: str | None) -> bool:
        return any(fault.name.value == "stalled" for fault in faults.all())

    monkeypatch.setattr(Faults, "refuses_login", refuses_login)


def a_redirect_that_takes_the_array_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 33."""
    monkeypatch.setattr(Faults, "silences", lambda faults, portal: bool(faults.named(FaultName.SILENT)))


def hosts_that_never_let_a_volume_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 39."""

    async def may_take(watch: AccessWatch, claimed: ClaimedDisk, group: int, *, serves: bool) -> bool:
        return True

    monkeypatch.setattr(AccessWatch, "_may_take", may_take)


def a_window_that_any_numbers_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 31, at the host."""

    def update(numbering: CommandNumbering, exp_cmd_sn: int, max_cmd_sn: int) -> None:
        if (max_cmd_sn - numbering.max_cmd_sn) & 0xFFFFFFFF < 1 << 31:
            numbering.max_cmd_sn = max_cmd_sn

    monkeypatch.setattr(CommandNumbering, "update", update)


@pytest.mark.parametrize(
    ("plant", "scenario", "check"),
    [
        (one_isid_for_all_sessions, "sessions_return_together", "redirects w2k8"),
        (a_host_that_does_not_look_who_is_there, "volumes_swapped", "lost writes"),
        (a_cancelled_command_that_takes_its_number_along, "cancelled_behind_the_window", "sequence"),
        (pings_with_the_number_of_the_command_before, "pings_amid_writes", "sequence"),
        (a_pool_of_32_events, "async_storm", "redirects linux"),
        (a_log_off_that_waits_for_the_recovery, "logout_during_recovery", "step logout"),
        (a_reinstatement_that_waits_for_the_backend, "reinstated_while_stalled", "connections linux"),
        (a_window_that_any_numbers_open, "unsafe/r2t_without_numbers", "latency writes"),
        (a_redirect_that_takes_the_array_with_it, "redirect_hangs", "stall linux"),
        (hosts_that_never_let_a_volume_be, "ownership_ping_pong", "io"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_scenario_sees_the_bug(
    plant: Callable[[pytest.MonkeyPatch], None], scenario: str, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    told = load_scenario(Path("scenarios") / f"{scenario}.toml")
    result = run_scenario(told, seed=told.seed, net="sim", pcap=None, narrator=QuietNarrator())
    assert check in [failure.check for failure in result.failures]
