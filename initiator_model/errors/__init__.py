"""What a failed request means: each stack's classification of errors, as a table.

A multipath stack is only as good as this table. A path error taken for a device error reaches the application although
another path is fine; a device error taken for a path error fails one path after the other until the disk is gone.

`ErrorTable` is the form, `msdsm`, `linux` and `esxi` hold the rows. A table is asked by `interpret`; first match wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from initiator_model.requests import Completion, CompletionKind
from iscsi.constants import ScsiStatus, SenseKey
from iscsi.sense import Sense

__all__ = ["Action", "ErrorTable", "SenseRule", "doubts_access", "may_have_run", "sense_triple", "words"]


class Action(Enum):
    """What the multipath layer does with a completion."""

    COMPLETE = "complete"  # success
    FAILOVER = "failover"  # the path is dead: fail it, send the request down another one
    RETRY = "retry"  # after the retry interval, a limited number of times, on whichever path the policy says
    RETRY_HERE = "retry here"  # at once down the same path, a limited number of times
    RETRY_SAME_PATH = "retry same path"  # at once; does not count
    RETRY_UNCOUNTED = "retry uncounted"  # after the retry interval; does not count
    REQUEUE = "requeue"  # down the same path after a short while, as long as the requeue patience lasts
    FAIL_UP = "fail up"  # the device has spoken: it is not hidden


class SenseRule(NamedTuple):
    """One row for CHECK CONDITION. `asc` and `ascq` None match anything.

    `counts_without_active` turns an uncounted retry into a counted one when no path is active: nothing could end it.
    """

    key: SenseKey
    asc: int | None
    ascq: int | None
    action: Action
    counts_without_active: bool = False


_WELL: Final = (ScsiStatus.GOOD, ScsiStatus.CONDITION_MET)


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """One stack's rows. What no row names ends as ``otherwise`` says.

    `exhausted` is what becomes of a request whose counted retries are used up. `class_kinds`, `class_statuses` and
    `class_keys` say what the layer above sends once more after it was failed up.
    """

    name: str
    kinds: Mapping[CompletionKind, Action]
    statuses: Mapping[ScsiStatus, Action]
    senses: tuple[SenseRule, ...]
    otherwise: Action
    exhausted: Action
    class_kinds: tuple[CompletionKind, ...] = ()
    class_statuses: tuple[ScsiStatus, ...] = ()
    class_keys: tuple[SenseKey, ...] = ()

    def interpret(self, completion: Completion, *, active_left: bool = True) -> Action:
        """What to do with `completion`; `active_left` says whether the disk has an active path."""
        if completion.kind is not CompletionKind.COMPLETED:
            return self.kinds[completion.kind]
        if completion.status in _WELL:
            return Action.COMPLETE
        if completion.status != ScsiStatus.CHECK_CONDITION:
            return next(
                (action for status, action in self.statuses.items() if status == completion.status), self.otherwise
            )
        key, asc, ascq = sense_triple(completion.sense)
        for rule in self.senses:
            if rule.key == key and rule.asc in (None, asc) and rule.ascq in (None, ascq):
                return Action.RETRY if rule.counts_without_active and not active_left else rule.action
        return self.otherwise

    def class_driver_retries(self, completion: Completion) -> bool:
        """Whether the layer above sends a request that was failed up once more."""
        if completion.kind is not CompletionKind.COMPLETED:
            return completion.kind in self.class_kinds
        if completion.status == ScsiStatus.CHECK_CONDITION:
            return sense_triple(completion.sense)[0] in self.class_keys
        return completion.status in self.class_statuses


_DOUBTS: Final = ((6, 0x2A, 0x06), (6, 0x2A, 0x07), (2, 0x04, 0x0A), (2, 0x04, 0x0B), (2, 0x04, 0x0C))
"""An access state changed or could not; a port is in transition, in standby, or unavailable."""


def doubts_access(completion: Completion) -> bool:
    """Whether a command ended in a way that says the access states of the port groups are not what they were."""
    if completion.kind is not CompletionKind.COMPLETED or completion.status != ScsiStatus.CHECK_CONDITION:
        return False
    return sense_triple(completion.sense) in _DOUBTS


_REFUSED_BEFORE_RUNNING: Final = (
    SenseKey.NOT_READY,
    SenseKey.ILLEGAL_REQUEST,
    SenseKey.UNIT_ATTENTION,
    SenseKey.DATA_PROTECT,
)
_REFUSED_STATUSES: Final = (ScsiStatus.BUSY, ScsiStatus.RESERVATION_CONFLICT, ScsiStatus.TASK_SET_FULL)


def may_have_run(completion: Completion) -> bool:
    """Whether a write that ended like this may still have changed the disk, wholly or in part.

    A lost session says nothing about the command it carried; nor does a medium error say how far the write got.
    """
    if completion.kind is not CompletionKind.COMPLETED:
        return completion.kind is not CompletionKind.BUSY
    if completion.status == ScsiStatus.CHECK_CONDITION:
        return sense_triple(completion.sense)[0] not in _REFUSED_BEFORE_RUNNING
    return completion.status not in _REFUSED_STATUSES


def words(completion: Completion) -> str:
    """The completion in a few words for logs and errors: `CHECK_CONDITION 6/29/00 unit attention`."""
    if completion.kind is not CompletionKind.COMPLETED:
        return str(completion.kind.value)
    try:
        status: str = ScsiStatus(completion.status).name
    except ValueError:
        return f"SCSI status {completion.status:#04x}"
    if completion.status != ScsiStatus.CHECK_CONDITION:
        return status
    try:
        return f"{status} {Sense.decode(completion.sense).words}"
    except ValueError:
        return f"{status} without usable sense data"


def sense_triple(raw: bytes) -> tuple[int, int, int]:
    """Key, ASC and ASCQ; sense data that cannot be read counts as none (0/00/00)."""
    try:
        return Sense.decode(raw).code
    except ValueError:
        return 0, 0, 0
