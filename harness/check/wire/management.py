"""Task management functions of one connection: what is under way, and what their answers end (RFC 7143 11.5, 11.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from harness.check.marks import Mark
from harness.check.wire.copies import Task
from harness.check.wire.scan import Header, before

if TYPE_CHECKING:
    from harness.check.wire.conversation import Conversation
    from harness.check.wire.watch import WireWatch

__all__ = ["Management"]

_COMPLETE: Final = 0
_NO_SUCH_TASK: Final = 1
_ABORT_TASK: Final = 1
_ABORT_TASK_SET: Final = 2
_CLEAR_TASK_SET: Final = 4
_LOGICAL_UNIT_RESET: Final = 5
_TARGET_RESETS: Final = (6, 7)
_WHY: Final = {
    _ABORT_TASK_SET: "its task set was aborted",
    _CLEAR_TASK_SET: "its task set was cleared",
    _LOGICAL_UNIT_RESET: "the logical unit was reset",
    _TARGET_RESETS[0]: "the target was reset",
    _TARGET_RESETS[1]: "the target was reset",
}


class Management:
    """Those that ``by`` has asked for. ``aborted`` are the tags of tasks that have ended without an answer."""

    def __init__(self, watch: WireWatch, by: Conversation) -> None:
        self.aborted: dict[int, None] = {}
        self._watch = watch
        self._by = by
        self._asked: dict[int, tuple[Header, int]] = {}  # by tag: the request, and its tick

    def asked(self, request: Header) -> None:
        """The host asks for a function."""
        self._asked[request.w16] = request, self._watch.ticks.next()

    def rejected(self, itt: int) -> None:
        """The array has rejected a request."""
        self._asked.pop(itt, None)

    def answered(self, response: Header) -> None:
        """The array has answered a request."""
        request, asked = self._asked.pop(response.w16, (None, 0))
        if request is None:
            return
        function = request.flags & 0x7F
        if function == _ABORT_TASK and response.byte2 in (_COMPLETE, _NO_SUCH_TASK):
            self._end("its abort was answered", lambda itt, task: itt == request.w20)
            self.aborted[request.w20] = None
        if response.byte2 != _COMPLETE:
            return
        self._watch.marks.hit(Mark.TASK_ABORTED)
        why = _WHY.get(function)
        if why is None:
            return
        lun = None if function in _TARGET_RESETS else request.lun
        self._end(why, lambda _, task: _covers(lun, task) and not task.immediate and before(task.cmd_sn, request.w24))
        if function >= _LOGICAL_UNIT_RESET:
            self._watch.reset(self._by, lun, asked)

    def _end(self, why: str, covered: Callable[[int, Task], bool]) -> None:
        tasks = self._by.tasks
        for itt, task in [(itt, task) for itt, task in tasks.items() if covered(itt, task)]:
            del tasks[itt]
            self.aborted[itt] = None
            if task.copy is not None:
                self._watch.ended(task.copy, why)

    def swept(self, lun: bytes | None, asked: int, now: int) -> None:
        """A reset that another nexus asked for at tick ``asked`` is through, of one unit or of all (None).

        What is known to have arrived has ended with it; what is still on its way comes after it.
        """
        by = self._by
        for task in by.tasks.values():
            if task.copy is not None and _covers(lun, task) and by.has_arrived(task):
                self._watch.ended(task.copy, "the logical unit was reset")
        if by.attentions is not None:
            by.attentions.established(lun, asked, now)


def _covers(lun: bytes | None, task: Task) -> bool:
    return lun is None or task.lun == lun
