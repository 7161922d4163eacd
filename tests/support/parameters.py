"""Session parameters for tests: RFC 7143's defaults (13) unless a test says otherwise."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from iscsi.negotiation import SessionParameters

DEFAULTS: dict[str, Any] = {
    "header_digest": False,
    "data_digest": False,
    "max_connections": 1,
    "initial_r2t": True,
    "immediate_data": True,
    "max_recv_data_segment_length": 8192,
    "peer_max_recv_data_segment_length": 8192,
    "max_burst_length": 262144,
    "first_burst_length": 65536,
    "default_time2wait": 2,
    "default_time2retain": 20,
    "max_outstanding_r2t": 1,
    "data_pdu_in_order": True,
    "data_sequence_in_order": True,
    "error_recovery_level": 0,
    "task_reporting": "RFC3720",
    "iscsi_protocol_level": 1,
    "target_portal_group_tag": 1,
}


def parameters(**changes: Any) -> SessionParameters:
    """The defaults with ``changes``, as the initiator sees them."""
    return SessionParameters(**(DEFAULTS | changes))


def small_parameters() -> st.SearchStrategy[SessionParameters]:
    """Legal parameters with every length near its minimum of 512, so that short transfers have many parts."""
    length = st.integers(512, 2000)
    return st.builds(
        lambda first_burst, burst, **rest: parameters(
            first_burst_length=min(first_burst, burst), max_burst_length=max(first_burst, burst), **rest
        ),
        first_burst=length,
        burst=length,
        initial_r2t=st.booleans(),
        immediate_data=st.booleans(),
        max_recv_data_segment_length=length,
        peer_max_recv_data_segment_length=length,
        max_outstanding_r2t=st.integers(1, 4),
    )
