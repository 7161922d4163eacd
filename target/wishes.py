"""What the array wishes for when a login negotiates (RFC 7143 section 13)."""

from __future__ import annotations

from iscsi.negotiation import OperationalKeys
from target.config import Limits


def array_wishes(limits: Limits) -> OperationalKeys:
    """The array's side of every negotiable key: large transfers, no R2T for the first burst, digests if asked for."""
    return OperationalKeys(
        header_digest=("None", "CRC32C"),
        data_digest=("None", "CRC32C"),
        max_connections=limits.max_connections_per_session,
        initial_r2t=False,
        immediate_data=True,
        max_recv_data_segment_length=limits.max_recv_data_segment_length,
        max_burst_length=limits.max_burst_length,
        first_burst_length=limits.first_burst_length,
        default_time2wait=int(limits.time2wait_s),
        default_time2retain=int(limits.time2retain_s),
        max_outstanding_r2t=16,
        data_pdu_in_order=False,
        data_sequence_in_order=False,
        task_reporting=("RFC3720", "ResponseFence", "FastAbort"),
        iscsi_protocol_level=2,
        error_recovery_level=limits.error_recovery_level,
    )
