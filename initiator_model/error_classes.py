"""What a failed request means: the DSM's classification of errors, as a table.

A multipath stack is only as good as this table. A path error taken for a device error reaches the application although
another path is fine; a device error taken for a path error fails one path after the other until the disk is gone.

The rows are those of the Microsoft DSM's published sample (`DsmInterpretError`). It distinguishes three things MPIO can
do with a retry: count it against RetryCount, not count it (the array is changing over and will say when it is done),
or send it again at once down the same path. Whatever no row names is *failed up*: handed to the class driver above,
which has retries of its own (`class_driver_retries`).
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from initiator_model.requests import Completion, CompletionKind
from iscsi.constants import ScsiStatus, SenseKey
from iscsi.sense import Sense

__all__ = [
    "KIND_ACTIONS",
    "SENSE_RULES",
    "Action",
    "SenseRule",
    "class_driver_retries",
    "interpret",
    "may_have_run",
    "words",
]


class Action(Enum):
    """What MPIO does with a completion."""

    COMPLETE = "complete"  # success
    FAILOVER = "failover"  # the path is dead: fail it, send the request down another one
    RETRY = "retry"  # after RetryInterval, at most RetryCount times, on whichever path the policy says
    RETRY_SAME_PATH = "retry same path"  # at once
    RETRY_UNCOUNTED = "retry uncounted"  # after RetryInterval; does not use up RetryCount
    FAIL_UP = "fail up"  # the device has spoken: MPIO does not hide it


KIND_ACTIONS: Final = MappingProxyType(
    {
        CompletionKind.DEVICE_NOT_CONNECTED: Action.FAILOVER,
        CompletionKind.DEVICE_DOES_NOT_EXIST: Action.FAILOVER,
        CompletionKind.NO_SUCH_DEVICE: Action.FAILOVER,
        CompletionKind.DELETE_PENDING: Action.FAILOVER,
        CompletionKind.SELECTION_TIMEOUT: Action.FAILOVER,
        CompletionKind.INVALID_LUN: Action.FAILOVER,
        CompletionKind.INVALID_TARGET_ID: Action.FAILOVER,
        CompletionKind.INVALID_PATH_ID: Action.FAILOVER,
        CompletionKind.NO_DEVICE: Action.FAILOVER,
        CompletionKind.NO_HBA: Action.FAILOVER,
        CompletionKind.TIMED_OUT: Action.FAIL_UP,  # not in the DSM's table at all
        CompletionKind.BUS_RESET: Action.FAIL_UP,  # a retry here too would multiply the delays of the one above
        CompletionKind.ABORTED: Action.FAIL_UP,
        CompletionKind.DATA_OVERRUN: Action.RETRY,  # may be a torn write
        CompletionKind.BUSY: Action.FAIL_UP,
    }
)


class SenseRule(NamedTuple):
    """One row for CHECK CONDITION. `asc` and `ascq` None match anything.

    `counts_without_active` turns an uncounted retry into a counted one when no path is active: nothing could end it.
    """

    key: SenseKey
    asc: int | None
    ascq: int | None
    action: Action
    counts_without_active: bool = False


_UA = SenseKey.UNIT_ATTENTION
_NOT_READY = SenseKey.NOT_READY
_HARDWARE = SenseKey.HARDWARE_ERROR

# First match wins, so the general unit-attention row stands last of its kind.
SENSE_RULES: Final = (
    SenseRule(SenseKey.NO_SENSE, 0x00, 0x00, Action.FAILOVER),  # a complaint without a reason
    SenseRule(SenseKey.ILLEGAL_REQUEST, 0x25, 0x00, Action.FAILOVER),  # LUN not supported: not here any more
    SenseRule(_HARDWARE, 0x67, 0x0A, Action.FAILOVER),  # SET TARGET PORT GROUPS failed
    SenseRule(_UA, 0x2A, 0x06, Action.RETRY_UNCOUNTED),  # asymmetric access state changed
    SenseRule(_UA, 0x2A, 0x07, Action.RETRY_UNCOUNTED),  # implicit state transition failed
    SenseRule(_UA, 0x2A, 0x04, Action.RETRY_SAME_PATH),  # reservations released
    SenseRule(_UA, 0x2A, 0x01, Action.FAIL_UP),  # mode parameters changed
    SenseRule(_UA, 0x2A, 0x03, Action.FAIL_UP),  # reservations preempted
    SenseRule(_UA, 0x2A, 0x05, Action.FAIL_UP),  # registrations preempted
    SenseRule(_UA, 0x2A, 0x09, Action.FAIL_UP),  # capacity changed
    SenseRule(_UA, 0x2F, 0x00, Action.FAIL_UP),  # commands cleared by another initiator
    SenseRule(_UA, 0x3F, 0x03, Action.FAIL_UP),  # inquiry data changed
    SenseRule(_UA, 0x3F, 0x0A, Action.FAIL_UP),  # volume set created or modified
    SenseRule(_UA, 0x3F, 0x0E, Action.FAIL_UP),  # reported LUNs changed
    SenseRule(_UA, 0x38, 0x07, Action.FAIL_UP),  # thin provisioning: soft threshold
    SenseRule(_UA, None, None, Action.RETRY),  # every other one, 29/xx and 47/7F among them
    SenseRule(_NOT_READY, 0x04, 0x0A, Action.RETRY_UNCOUNTED),  # access state is in transition
    SenseRule(_NOT_READY, 0x04, 0x0B, Action.RETRY_UNCOUNTED, counts_without_active=True),  # target port in standby
    SenseRule(_NOT_READY, 0x04, 0x0C, Action.RETRY_UNCOUNTED),  # target port unavailable
    SenseRule(_NOT_READY, 0x04, 0x03, Action.RETRY),  # manual intervention: may not hold on another path
    SenseRule(_NOT_READY, 0x04, 0x14, Action.FAIL_UP),  # thin provisioning: allocation in progress
    SenseRule(SenseKey.DATA_PROTECT, 0x27, 0x07, Action.FAIL_UP),  # thin provisioning: out of space
    SenseRule(_HARDWARE, 0x3E, 0x02, Action.RETRY),  # timeout on the logical unit
    SenseRule(_HARDWARE, 0x4B, 0x06, Action.RETRY),  # initiator response timeout
)


def interpret(completion: Completion, *, active_left: bool = True) -> Action:
    """What MPIO does with `completion`.

    `active_left` says whether the disk has an active path; one row depends on it.
    """
    if completion.kind is not CompletionKind.COMPLETED:
        return KIND_ACTIONS[completion.kind]
    if completion.status in (ScsiStatus.GOOD, ScsiStatus.CONDITION_MET):
        return Action.COMPLETE
    if completion.status != ScsiStatus.CHECK_CONDITION:
        return Action.FAIL_UP  # BUSY and RESERVATION CONFLICT by name, the rest because no row names them
    key, asc, ascq = _triple(completion.sense)
    for rule in SENSE_RULES:
        if rule.key == key and rule.asc in (None, asc) and rule.ascq in (None, ascq):
            return Action.RETRY if rule.counts_without_active and not active_left else rule.action
    return Action.FAIL_UP


_CLASS_RETRIED_KINDS: Final = (
    CompletionKind.TIMED_OUT,
    CompletionKind.BUS_RESET,
    CompletionKind.ABORTED,
    CompletionKind.BUSY,
)
_CLASS_RETRIED_STATUSES: Final = (ScsiStatus.BUSY, ScsiStatus.TASK_SET_FULL, ScsiStatus.TASK_ABORTED)


def class_driver_retries(completion: Completion) -> bool:
    """Whether the disk class driver above MPIO sends a request that was failed up once more.

    It does when nothing is wrong with the request itself: time was up, a reset swept it away, the device was busy, or
    a unit attention told of a change (unverified which of these the drivers of 2003 counted).
    """
    if completion.kind is not CompletionKind.COMPLETED:
        return completion.kind in _CLASS_RETRIED_KINDS
    if completion.status == ScsiStatus.CHECK_CONDITION:
        return _triple(completion.sense)[0] == SenseKey.UNIT_ATTENTION
    return completion.status in _CLASS_RETRIED_STATUSES


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
        return _triple(completion.sense)[0] not in _REFUSED_BEFORE_RUNNING
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


def _triple(raw: bytes) -> tuple[int, int, int]:
    """Key, ASC and ASCQ; sense data that cannot be read counts as none (0/00/00)."""
    try:
        return Sense.decode(raw).code
    except ValueError:
        return 0, 0, 0
