"""ESXi's rows: its native multipathing plug-in's view of SCSI errors.

Lost transports and ports that serve nothing are the path's; busy devices, unit attentions and aborted commands are
tried again; a reservation conflict is the guest's affair; LOGICAL UNIT NOT SUPPORTED is *permanent device loss*, which
fails the I/O on every path.

Sources: VMware's documentation of SCSI sense codes, of PDL detection and of the claim rules, from memory (unverified).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from initiator_model.errors import Action, ErrorTable, SenseRule
from initiator_model.errors.linux import LINUX
from initiator_model.requests import CompletionKind
from iscsi.constants import ScsiStatus, SenseKey

__all__ = ["ESXI"]

_NOT_READY = SenseKey.NOT_READY

ESXI: Final = ErrorTable(
    name="esxi",
    kinds=MappingProxyType({**LINUX.kinds, CompletionKind.TIMED_OUT: Action.FAIL_UP}),  # the guest's own timeout
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
        SenseRule(_NOT_READY, 0x04, 0x01, Action.RETRY_HERE),
        SenseRule(_NOT_READY, 0x04, 0x0A, Action.REQUEUE),
        SenseRule(_NOT_READY, 0x04, 0x0B, Action.FAILOVER),
        SenseRule(_NOT_READY, 0x04, 0x0C, Action.FAILOVER),
        SenseRule(SenseKey.ABORTED_COMMAND, None, None, Action.RETRY_HERE),
    ),
    otherwise=Action.FAIL_UP,
    exhausted=Action.FAIL_UP,
)
