"""Task management functions: ABORT TASK and LOGICAL UNIT RESET (RFC 7143 11.5 and 11.6).

They are sent as immediate commands, of which a target must be ready to take one at a time, so a second waits until
the first is answered. Until the answer comes the tasks covered may still complete on their own, and that counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from initiator_model.commands import Commands
from initiator_model.requests import Completion, CompletionKind
from initiator_model.tasks import Task
from initiator_model.wire import Wire
from iscsi.constants import RESERVED_TAG, TmfFunction, TmfResult
from iscsi.errors import RemoteProtocolError
from iscsi.lun import encode_lun
from iscsi.pdu import TmfRequest, TmfResponse
from iscsi.serial import lt

__all__ = ["TaskManagement", "TmfDone"]

TmfDone = Callable[[TmfResult], None]

_EFFECTIVE = (TmfResult.FUNCTION_COMPLETE, TmfResult.TASK_DOES_NOT_EXIST)
"""After these the target will not say anything more about the tasks covered."""


@dataclass(slots=True)
class _Function:
    function: TmfFunction
    lun: int
    task: Task | None
    kind: CompletionKind
    done: TmfDone
    itt: int = RESERVED_TAG
    cmd_sn: int = 0


class TaskManagement:
    """The task management functions of one connection, one outstanding at a time."""

    __slots__ = ("_commands", "_current", "_waiting", "_wire")

    def __init__(self, wire: Wire, commands: Commands) -> None:
        self._wire = wire
        self._commands = commands
        self._current: _Function | None = None
        self._waiting: deque[_Function] = deque()

    def abort(self, task: Task, kind: CompletionKind, done: TmfDone) -> None:
        """ABORT TASK. The task completes with ``kind`` once the target has confirmed; ``done`` gets its answer.

        A task that was never sent, or has completed, needs no word to the target.
        """
        if task.sent and not task.aborting and task in self._commands.at_target():
            task.aborting = True
            self._request(_Function(TmfFunction.ABORT_TASK, task.request.lun, task, kind, done))
        else:
            self._commands.finish(task, Completion(kind))
            done(TmfResult.TASK_DOES_NOT_EXIST)

    def reset_lun(self, lun: int, done: TmfDone) -> None:
        """LOGICAL UNIT RESET: the commands it sweeps away complete with BUS_RESET."""
        self._request(_Function(TmfFunction.LOGICAL_UNIT_RESET, lun, None, CompletionKind.BUS_RESET, done))

    def on_response(self, pdu: TmfResponse) -> None:
        """The target's answer."""
        self._wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
        self._wire.status.advance(pdu.stat_sn)
        current = self._current
        if current is None or pdu.itt != current.itt:
            raise RemoteProtocolError(f"TMF_RESPONSE for tag 0x{pdu.itt:08x}, under which nothing was asked")
        try:
            result = TmfResult(pdu.response)
        except ValueError:
            raise RemoteProtocolError(f"TMF_RESPONSE with the reserved response {pdu.response}") from None
        self._answered(current, result)

    def on_reject(self, itt: int) -> bool:
        """The target rejected the request with this tag; False when it is none of ours."""
        if self._current is None or self._current.itt != itt:
            return False
        self._answered(self._current, TmfResult.FUNCTION_REJECTED)
        return True

    def _answered(self, function: _Function, result: TmfResult) -> None:
        self._current = None
        if result in _EFFECTIVE:
            for task in self._covered(function):
                self._commands.finish(task, Completion(function.kind))
        elif function.task is not None:
            function.task.aborting = False
        function.done(result)
        if self._waiting and self._current is None:
            self._send(self._waiting.popleft())

    def _covered(self, function: _Function) -> list[Task]:
        if function.task is not None:
            return [function.task]
        return [
            task
            for task in self._commands.at_target()
            if task.request.lun == function.lun and lt(task.cmd_sn, function.cmd_sn)
        ]

    def _request(self, function: _Function) -> None:
        if self._current is None:
            self._send(function)
        else:
            self._waiting.append(function)

    def _send(self, function: _Function) -> None:
        wire = self._wire
        self._current = function
        function.itt = wire.next_tag()
        function.cmd_sn = wire.cmd_sn
        task = function.task
        wire.send(
            TmfRequest(
                function=function.function,
                lun=encode_lun(function.lun),
                itt=function.itt,
                referenced_task_tag=task.itt if task is not None else RESERVED_TAG,
                ref_cmd_sn=task.cmd_sn if task is not None else 0,
                cmd_sn=wire.cmd_sn,
                exp_stat_sn=wire.exp_stat_sn,
            )
        )
