"""The state machines against RFC 7143 section 8, row by row as reference tables draw them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from iscsi.errors import LocalProtocolError
from target.states import (
    CLEANUP,
    CLOSED_ELSEWHERE,
    CONNECTION,
    SESSION,
    TRANSPORT_LOST,
    CleanupState,
    ConnectionState,
    M,
    N,
    SessionState,
    T,
    after,
)

TARGET_CONNECTION = """
S1: T3→S3
S3: T6→S1 T4→S4
S4: T7→S1 T5→S5
S5: T8→S1 T9→S6 T11→S7 T15→S8
S6: T13→S1 T17→S8
S7: T18→S1 T10→S6 T12→S7 T16→S8
S8:
"""
CONNECTION_CLEANUP = """
R1: M1→R3 M2→R2
R2: M3→R1 M4→R3
R3:
"""
TARGET_SESSION = """
Q1: N1→Q2
Q2: N9→Q1 N2→Q3
Q3: N3→Q1 N5→Q4
Q4: N6→Q1 N7→Q5
Q5: N8→Q4 N10→Q3 N11→Q1
"""
MACHINES: list[tuple[str, Any, type[Enum], type[Enum]]] = [
    (TARGET_CONNECTION, CONNECTION, ConnectionState, T),
    (CONNECTION_CLEANUP, CLEANUP, CleanupState, M),
    (TARGET_SESSION, SESSION, SessionState, N),
]


@pytest.mark.parametrize(("drawn", "table", "states", "events"), MACHINES, ids=["CSM", "CSM-C", "SSM"])
def test_each_state_takes_the_transitions_of_the_rfc_and_no_other(
    drawn: str, table: Any, states: Any, events: Any
) -> None:
    rows = dict(line.split(":") for line in drawn.strip().splitlines())
    assert list(rows) == [state.value for state in states]
    for state in states:
        expected = dict(arrow.split("→") for arrow in rows[state.value].split())
        for event in events:
            if event.name in expected:
                assert after(table, state, event) is states(expected.pop(event.name))
            else:
                with pytest.raises(LocalProtocolError, match=f"no transition {event.name} from {state.value}"):
                    after(table, state, event)
        assert not expected


@pytest.mark.parametrize(
    ("causes", "leads_to"),
    [
        (TRANSPORT_LOST, {"S3": "S1", "S4": "S1", "S5": "S8", "S6": "S8", "S7": "S8"}),
        (CLOSED_ELSEWHERE, {"S4": "S1", "S5": "S1", "S6": "S1", "S7": "S1"}),
    ],
    ids=["TCP lost", "closed from elsewhere"],
)
def test_where_a_cause_leads_from_each_state(causes: Any, leads_to: dict[str, str]) -> None:
    assert {state.value: after(CONNECTION, state, event).value for state, event in causes.items()} == leads_to
