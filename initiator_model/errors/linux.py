"""Linux's rows: what the SCSI midlayer does by itself, and what dm-multipath makes of the rest.

The midlayer comes first. A unit attention goes down the same path again; a device that is busy gets the command again a
few milliseconds later; some conditions are tried five times more. What is left becomes a block status, and dm-multipath
asks of it only whether it is a path's error (`blk_path_error`): no for NOTSUPP, NOSPC, TARGET, a reservation conflict,
MEDIUM and PROTECTION, yes for everything else. So a sense that the midlayer has no name for *fails the path*.

One row contradicts our reference: FACTS C.3 has Linux take 5/25/00 (LOGICAL UNIT NOT SUPPORTED) for the target's error.
`scsi_check_sense` names the additional sense codes 20h, 21h, 22h, 24h, 26h and 27h of ILLEGAL REQUEST and not 25h, so
it becomes an I/O error, which is a path's. The code decides here.

Sources: drivers/scsi/scsi_error.c (`scsi_check_sense`, `scsi_decide_disposition`) and scsi_lib.c
(`scsi_io_completion_action`) of the kernel, include/linux/blk_types.h (FACTS E.2); drivers/scsi/libiscsi.c for what
becomes of commands whose session fails.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from initiator_model.errors import Action, ErrorTable, SenseRule
from initiator_model.requests import CompletionKind
from iscsi.constants import ScsiStatus, SenseKey

__all__ = ["LINUX"]

_NOT_READY = SenseKey.NOT_READY
_ILLEGAL = SenseKey.ILLEGAL_REQUEST
_MEDIUM = SenseKey.MEDIUM_ERROR

_KINDS: Final = MappingProxyType(
    {
        CompletionKind.DEVICE_NOT_CONNECTED: Action.FAILOVER,  # DID_TRANSPORT_FAILFAST
        CompletionKind.DEVICE_DOES_NOT_EXIST: Action.FAILOVER,  # DID_NO_CONNECT, here and below
        CompletionKind.NO_SUCH_DEVICE: Action.FAILOVER,
        CompletionKind.DELETE_PENDING: Action.FAILOVER,
        CompletionKind.SELECTION_TIMEOUT: Action.FAILOVER,
        CompletionKind.INVALID_LUN: Action.FAILOVER,
        CompletionKind.INVALID_TARGET_ID: Action.FAILOVER,
        CompletionKind.INVALID_PATH_ID: Action.FAILOVER,
        CompletionKind.NO_DEVICE: Action.FAILOVER,
        CompletionKind.NO_HBA: Action.FAILOVER,
        CompletionKind.TIMED_OUT: Action.RETRY_HERE,  # aborted, and queued again (scmd_eh_abort_handler)
        CompletionKind.BUS_RESET: Action.RETRY_HERE,
        CompletionKind.ABORTED: Action.RETRY_HERE,
        CompletionKind.DATA_OVERRUN: Action.RETRY_HERE,  # DID_ERROR
        CompletionKind.BUSY: Action.REQUEUE,  # the host's queue is full
    }
)

LINUX: Final = ErrorTable(
    name="linux",
    kinds=_KINDS,
    statuses=MappingProxyType(
        {
            ScsiStatus.BUSY: Action.REQUEUE,
            ScsiStatus.TASK_SET_FULL: Action.REQUEUE,
            ScsiStatus.RESERVATION_CONFLICT: Action.FAIL_UP,
            ScsiStatus.TASK_ABORTED: Action.RETRY_HERE,
        }
    ),
    senses=(
        SenseRule(SenseKey.RECOVERED_ERROR, None, None, Action.COMPLETE),  # it was done, with some effort
        SenseRule(SenseKey.UNIT_ATTENTION, None, None, Action.RETRY_SAME_PATH),
        SenseRule(_NOT_READY, 0x04, 0x01, Action.RETRY_HERE),  # becoming ready
        SenseRule(_NOT_READY, 0x04, 0x0A, Action.REQUEUE),  # asymmetric access state transition (scsi_dh_alua)
        SenseRule(_NOT_READY, None, None, Action.FAILOVER),  # standby and unavailable ports among them
        SenseRule(SenseKey.ABORTED_COMMAND, None, None, Action.RETRY_HERE),
        SenseRule(_MEDIUM, 0x11, None, Action.FAIL_UP),  # unrecovered read error
        SenseRule(_MEDIUM, 0x13, None, Action.FAIL_UP),
        SenseRule(_MEDIUM, 0x14, None, Action.FAIL_UP),
        SenseRule(_MEDIUM, None, None, Action.RETRY_HERE),
        SenseRule(SenseKey.HARDWARE_ERROR, None, None, Action.FAIL_UP),
        SenseRule(_ILLEGAL, 0x20, None, Action.FAIL_UP),
        SenseRule(_ILLEGAL, 0x21, None, Action.FAIL_UP),
        SenseRule(_ILLEGAL, 0x22, None, Action.FAIL_UP),
        SenseRule(_ILLEGAL, 0x24, None, Action.FAIL_UP),
        SenseRule(_ILLEGAL, 0x26, None, Action.FAIL_UP),
        SenseRule(_ILLEGAL, 0x27, None, Action.FAIL_UP),
        SenseRule(SenseKey.DATA_PROTECT, None, None, Action.FAIL_UP),
        SenseRule(SenseKey.BLANK_CHECK, None, None, Action.FAIL_UP),
        SenseRule(SenseKey.COPY_ABORTED, None, None, Action.FAIL_UP),
        SenseRule(SenseKey.VOLUME_OVERFLOW, None, None, Action.FAIL_UP),
        SenseRule(SenseKey.MISCOMPARE, None, None, Action.FAIL_UP),
    ),
    otherwise=Action.FAILOVER,
    exhausted=Action.FAILOVER,
)
