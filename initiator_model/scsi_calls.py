"""SCSI commands the host itself sends down one session: awaited one by one, unit attentions swallowed.

A new I_T nexus begins with a unit attention (power on, reset; SPC-4 5.14). Whoever only wants to know whether the unit
is there, or what it is, sends the command again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from initiator_model.errors import words
from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from iscsi import scsi
from iscsi.constants import ScsiStatus, SenseKey
from iscsi.sense import NOT_READY_STANDBY, Sense

__all__ = ["UNIT_ATTENTIONS_MAX", "CommandFailed", "Submit", "call", "test_unit_ready"]

UNIT_ATTENTIONS_MAX: Final = 8
"""Unit attentions in a row that are taken for news; one more is taken for a fault."""

Submit = Callable[[ScsiRequest, Callable[[Completion], None]], object]


class CommandFailed(Exception):
    """The unit, or the way to it, did not do what it was asked. ``completion`` is its last word."""

    def __init__(self, what: str, completion: Completion) -> None:
        super().__init__(f"{what}: {words(completion)}")
        self.completion = completion

    @property
    def is_illegal_request(self) -> bool:
        """The unit does not know the command, or not in this form."""
        return _sense_key(self.completion) is SenseKey.ILLEGAL_REQUEST

    @property
    def is_standby(self) -> bool:
        """The unit is there, but its port may only stand by (SPC-4 5.15.2.7)."""
        sense = _sense(self.completion)
        return sense is not None and sense.code == NOT_READY_STANDBY.code


async def call(
    submit: Submit, what: str, lun: int, cdb: bytes, read_length: int = 0, *, data_out: bytes = b""
) -> bytes:
    """Send one command, again after each unit attention, and return the data it read.

    Raises:
        CommandFailed: anything but GOOD in the end.
    """
    for _ in range(UNIT_ATTENTIONS_MAX + 1):
        completion = await _once(submit, ScsiRequest(cdb, lun, read_length, data_out))
        if completion.kind is CompletionKind.COMPLETED and completion.status == ScsiStatus.GOOD:
            return completion.data
        if _sense_key(completion) is not SenseKey.UNIT_ATTENTION:
            break
    raise CommandFailed(what, completion)


_THERE: Final = (ScsiStatus.RESERVATION_CONFLICT, ScsiStatus.BUSY, ScsiStatus.TASK_SET_FULL)


async def test_unit_ready(submit: Submit, lun: int) -> str | None:
    """The path check of the Microsoft DSM: None when the path leads to the unit, else why it does not.

    A reservation held by another host is that host's affair; a port that may only stand by, and a unit that is busy,
    are there all the same.
    """
    try:
        await call(submit, "TEST UNIT READY", lun, scsi.test_unit_ready())
    except CommandFailed as failure:
        if failure.completion.status in _THERE or failure.is_standby:
            return None
        return str(failure)
    return None


test_unit_ready.__test__ = False  # type: ignore[attr-defined]  # pytest collects imported test_* functions


async def _once(submit: Submit, request: ScsiRequest) -> Completion:
    future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()

    def done(completion: Completion) -> None:
        if not future.done():  # the waiter may have been cancelled
            future.set_result(completion)

    submit(request, done)
    return await future


def _sense_key(completion: Completion) -> SenseKey | None:
    sense = _sense(completion)
    return None if sense is None else sense.key


def _sense(completion: Completion) -> Sense | None:
    if completion.kind is not CompletionKind.COMPLETED or completion.status != ScsiStatus.CHECK_CONDITION:
        return None
    try:
        return Sense.decode(completion.sense)
    except ValueError:
        return None
