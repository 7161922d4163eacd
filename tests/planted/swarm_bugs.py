"""Ten mistakes in the target and the host, planted one at a time, that a sweep has to find.

Each names the oracle that is there for it. `test_swarm_bugs.py` counts how many seeds that takes, and minimizes the
first one; docs/planted-bugs.md has the table.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from initiator_model.host_identity import HostIdentity
from initiator_model.login_chain import LoginTerms
from initiator_model.session import IscsiSession
from iscsi.constants import ScsiStatus
from iscsi.pdu import ScsiCommand
from iscsi.window import CommandWindow
from iscsi.write_buffer import Burst, WriteBuffer
from target import answers, connection
from target.attention import UnitAttentions
from target.command import GOOD, ScsiResult
from target.execution import Execution
from target.nexus import Nexus
from target.store import MemoryStore
from target.tasks import TaskSet

Plant = Callable[[pytest.MonkeyPatch], None]


class SwarmBug(NamedTuple):
    """``oracle`` is the check that must fail, ``whose`` is at fault, ``what`` says it in words."""

    plant: Plant
    oracle: str
    whose: str
    what: str


def acknowledges_before_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = MemoryStore.write

    def write(store: MemoryStore, offset: int, data: Any) -> None:
        asyncio.get_running_loop().call_later(0.002, honest, store, offset, bytes(data))

    monkeypatch.setattr(MemoryStore, "write", write)


def loses_a_write_at_cmd_sn_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Execution._finish

    def finish(tasks: Execution, command: ScsiCommand, cdb: bytes, data: bytes, through: Any, moved: int = 0) -> None:
        if command.write and command.cmd_sn == 0xFFFFFFFF:
            tasks._release(command)
            answers.respond(through, command, GOOD, 0, moved)
        else:
            honest(tasks, command, cdb, data, through, moved)

    monkeypatch.setattr(Execution, "_finish", finish)
    monkeypatch.setattr(connection, "answer_plain_writes", lambda *given: 0)  # the short way knows no such mistake


def allows_one_command_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(window: CommandWindow[Any]) -> int:
        return (window.exp_cmd_sn + window.depth - window.in_use) & 0xFFFFFFFF

    for name in ("__init__", "pass_through", "release"):
        honest = getattr(CommandWindow, name)

        def told(window: CommandWindow[Any], *given: Any, _honest: Any = honest) -> None:
            _honest(window, *given)
            window.max_cmd_sn = generous(window)

        monkeypatch.setattr(CommandWindow, name, told)


def asks_for_the_wrong_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = WriteBuffer.next_burst

    def next_burst(buffer: WriteBuffer, ttt: int, params: Any) -> Burst | None:
        burst = honest(buffer, ttt, params)
        if burst is not None and burst.r2t_sn == 0 and burst.length > 512:
            burst.offset += 512
        return burst

    monkeypatch.setattr(WriteBuffer, "next_burst", next_burst)


def loses_the_sense_of_a_failed_write(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = answers.respond

    def respond(to: Any, command: ScsiCommand, result: ScsiResult, *rest: Any) -> None:
        if command.write and result.status == ScsiStatus.CHECK_CONDITION:
            result = result._replace(sense=None)
        honest(to, command, result, *rest)

    monkeypatch.setattr("target.execution.respond", respond)


def forgets_a_unit_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = UnitAttentions.queue

    def queue(attentions: UnitAttentions, nexus: Nexus) -> deque[Any]:
        known = nexus in attentions._queues
        owed = honest(attentions, nexus)
        if not known:
            owed.clear()
        return owed

    monkeypatch.setattr(UnitAttentions, "queue", queue)


def insists_on_the_portal_it_was_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host takes the portal a redirect led to for its own, and goes back there when that one is dead."""
    honest = IscsiSession._adopt

    def adopt(session: IscsiSession, logged_in: Any) -> Any:
        from iscsi.discovery import TargetAddress

        live = honest(session, logged_in)
        session.portal = TargetAddress.parse(session.remote)
        return live

    monkeypatch.setattr(IscsiSession, "_adopt", adopt)


def gives_two_sessions_one_isid(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = HostIdentity.terms

    def terms(identity: HostIdentity, target: str | None, *given: Any) -> LoginTerms:
        if target is not None:
            identity._qualifier = 7
        return honest(identity, target, *given)

    monkeypatch.setattr(HostIdentity, "terms", terms)


def executes_what_an_old_nexus_left(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = TaskSet.abort_all

    def abort_all(tasks: TaskSet, lun: int | None = None, answer: ScsiResult | None = None) -> int:
        return 0 if lun is None else honest(tasks, lun, answer)

    monkeypatch.setattr(TaskSet, "abort_all", abort_all)


def answers_an_abort_and_carries_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def abort(tasks: TaskSet, itt: int, through: Any) -> bool:
        return tasks.find(itt)

    monkeypatch.setattr(TaskSet, "abort", abort)


BUGS = (
    SwarmBug(acknowledges_before_the_store, "acknowledged writes", "target", "a write is answered before it is stored"),
    SwarmBug(loses_a_write_at_cmd_sn_wrap, "lost writes", "target", "the write with CmdSN 2^32 - 1 is answered only"),
    SwarmBug(allows_one_command_too_many, "sequence", "target", "MaxCmdSN is one too large"),
    SwarmBug(asks_for_the_wrong_offset, "sequence", "target", "the first R2T asks for data 512 bytes further on"),
    SwarmBug(loses_the_sense_of_a_failed_write, "answers", "target", "a failed write has no sense data"),
    SwarmBug(forgets_a_unit_attention, "unit attentions", "target", "a new nexus is greeted by no unit attention"),
    SwarmBug(
        executes_what_an_old_nexus_left, "dead tasks", "target", "a held write survives its session's reinstatement"
    ),
    SwarmBug(answers_an_abort_and_carries_on, "answers", "target", "an abort is answered as done, the task goes on"),
    SwarmBug(insists_on_the_portal_it_was_sent_to, "logins", "host", "a dead portal is dialled again, not the group"),
    SwarmBug(gives_two_sessions_one_isid, "logins", "host", "all sessions of a host have one ISID"),
)
