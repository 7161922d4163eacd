"""The Microsoft DSM's rows, from its published sample (`DsmInterpretError`; FACTS D.4).

It distinguishes three things MPIO can do with a retry: count it against RetryCount, not count it (the array is
changing over and will say when it is done), or send it again at once down the same path. Whatever no row names is
*failed up*: handed to the disk class driver above, which has retries of its own when nothing is wrong with the request
itself: time was up, a reset swept it away, the device was busy, or a unit attention told of a change (unverified which
of these the drivers of 2003 counted).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from initiator_model.errors import Action, ErrorTable, SenseRule
from initiator_model.requests import CompletionKind
from iscsi.constants import ScsiStatus, SenseKey

__all__ = ["MSDSM"]

_UA = SenseKey.UNIT_ATTENTION
_NOT_READY = SenseKey.NOT_READY
_HARDWARE = SenseKey.HARDWARE_ERROR

_KINDS: Final = MappingProxyType(
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

MSDSM: Final = ErrorTable(
    name="msdsm",
    kinds=_KINDS,
    statuses=MappingProxyType({ScsiStatus.BUSY: Action.FAIL_UP, ScsiStatus.RESERVATION_CONFLICT: Action.FAIL_UP}),
    # First match wins, so the general unit-attention row stands last of its kind.
    senses=(
        SenseRule(SenseKey.RECOVERED_ERROR, None, None, Action.COMPLETE),  # it was done, with some effort
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
    ),
    otherwise=Action.FAIL_UP,
    exhausted=Action.FAIL_UP,
    class_kinds=(CompletionKind.TIMED_OUT, CompletionKind.BUS_RESET, CompletionKind.ABORTED, CompletionKind.BUSY),
    class_statuses=(ScsiStatus.BUSY, ScsiStatus.TASK_SET_FULL, ScsiStatus.TASK_ABORTED),
    class_keys=(SenseKey.UNIT_ATTENTION,),
)
