"""Events applied to a DSM: the books of requests and paths, and what each event says of itself."""

from __future__ import annotations

import json
import tomllib

import pytest

from harness.policy_check.corpus import corpus
from harness.policy_check.events import (
    NEWEST,
    AccessSaid,
    Event,
    NeighbourLoad,
    PathAdded,
    PathFails,
    PathRemoved,
    PathReturns,
    PolicySet,
    RequestEnds,
    RequestStarts,
    TimePasses,
    from_document,
    to_document,
)
from harness.policy_check.shrinking import shortened
from harness.policy_check.trial import try_events
from harness.toml_text import toml_text
from initiator_model.requests import Operation
from iscsi.port_groups import AccessState

READ = RequestStarts()
TWO = [PathAdded(1), PathAdded(2)]


def story(*events: Event, policy: str = "round-robin") -> list[str]:
    """What came of the events after the first two paths, in words."""
    trial, broken = try_events(policy, [*TWO, *events])
    assert broken is None
    return [f"{one.event}: {'; '.join(one.outcome)}" for one in trial.story[2:]]


def test_requests_take_turns_and_come_back() -> None:
    assert story(READ, READ, RequestEnds(NEWEST), RequestEnds()) == [
        "a read of 4096 bytes at block 0: request 1 → path 1",
        "a read of 4096 bytes at block 0: request 2 → path 2",
        "the newest request ends: request 2 on path 2",
        "the oldest request ends: request 1 on path 1",
    ]


def test_a_path_that_fails_gives_back_what_it_carried() -> None:
    assert story(READ, READ, READ, PathFails(1), PathFails(2), PathReturns(1))[3:] == [
        "path 1 fails: request 1 → path 2; request 3 → path 2",
        "path 2 fails: request 2 is held: no path; request 1 is held: no path; request 3 is held: no path",
        "path 1 returns: request 2 → path 1; request 1 → path 1; request 3 → path 1",
    ]


def test_a_path_that_is_logged_out_under_its_requests_gives_them_back_first() -> None:
    assert story(READ, PathRemoved(1), PathAdded(1))[1:] == [
        "path 1 is removed: request 1 → path 2",
        "path 1 is added: ",
    ]


def test_a_request_that_ends_badly_is_tried_again() -> None:
    assert story(READ, RequestEnds(well=False))[1] == (
        "the oldest request ends badly and is tried again: request 1 on path 1; request 1 → path 2"
    )


def test_what_makes_no_sense_does_nothing() -> None:
    assert story(PathFails(3), PathReturns(1), PathAdded(2), RequestEnds(), PathRemoved(7)) == []
    trial, _ = try_events("round-robin", [READ, *TWO, PathRemoved(1), PathRemoved(2), READ])
    assert (trial.choices, len(trial.story)) == ([], 4)


def test_a_refused_policy_request_changes_nothing_and_says_why() -> None:
    told = story(PolicySet(standby=(2,)), READ, READ)
    assert told[0].endswith("refused: path 2 was asked to be Standby, and Round Robin needs every path Active")
    assert told[1:] == [f"{READ}: request 1 → path 1", f"{READ}: request 2 → path 2"]


def test_under_fail_over_only_one_path_is_asked_for() -> None:
    assert story(PolicySet(preferred=2), READ, policy="failover-only")[1].endswith("request 1 → path 2")
    assert story(PolicySet(standby=(1,)), READ, policy="failover-only")[1].endswith("request 1 → path 2")


def test_another_lun_counts_for_the_session_and_not_for_the_disk() -> None:
    load = NeighbourLoad(1, 1)
    assert story(load, READ, policy="least-queue-depth")[1].endswith("request 1 → path 2")
    assert story(load, READ, policy="dm-queue-length")[1].endswith("request 1 → path 1")


EVENTS: list[Event] = [
    PathAdded(1, 2, 3, 4, False),
    PathRemoved(1),
    PathFails(2),
    PathReturns(2),
    PolicySet(1, (2,), (0, 3), (1, 2)),
    RequestStarts(Operation.WRITE, 8, 1),
    RequestStarts(Operation.FLUSH),
    RequestEnds(NEWEST, False),
    RequestEnds(2),
    NeighbourLoad(1, 3),
    AccessSaid(1, AccessState.ACTIVE_NON_OPTIMIZED),
    TimePasses(5),
]


def test_what_the_array_says_is_followed() -> None:
    slower = AccessSaid(1, AccessState.ACTIVE_NON_OPTIMIZED)
    told = story(slower, slower, READ, READ, PathFails(2), policy="least-queue-depth")
    assert told[1:] == [
        f"{READ}: request 1 → path 2",
        f"{READ}: request 2 → path 2",
        "path 2 fails: request 1 → path 1; request 2 → path 1",
    ]


def test_events_are_data_and_read_as_sentences() -> None:
    assert [from_document(json.loads(json.dumps(to_document(event)))) for event in EVENTS] == EVENTS
    assert [str(event) for event in EVENTS] == [
        "path 1 is added (weight 2, throughput 3, priority 4, cannot be active beside another)",
        "path 1 is removed",
        "path 2 fails",
        "path 2 returns",
        "the policy is set: path 1 preferred, path 2 Standby, path 2 weighs 3, path 2 has throughput 2",
        "a write of 512 bytes at block 8",
        "a flush",
        "the newest request ends badly and is tried again",
        "request 3 of those in flight ends",
        "another LUN of path 1 has 3 requests in flight",
        "the array says path 1 is active-non-optimized",
        "5 ms pass",
    ]


def test_the_corpus_is_always_the_same() -> None:
    assert corpus(3, 5) == corpus(4, 5)[:3]
    assert all(isinstance(event, PathAdded) for story in corpus(5, 0) for event in story)


@pytest.mark.parametrize("noise", [0, 3, 40])
def test_a_story_is_shortened_to_what_matters(noise: int) -> None:
    events = [PathAdded(3, weight=2), *[READ] * noise, PathFails(3), TimePasses(9), *[READ] * noise, PathReturns(3)]

    def fails(candidates: object) -> int | None:
        def one(story: list[Event]) -> bool:
            kinds = [type(event) for event in story]
            return kinds.count(RequestStarts) % 2 == noise % 2 and PathFails in kinds and PathReturns in kinds

        return next((at for at, story in enumerate(candidates) if one(story)), None)  # type: ignore[call-overload]

    left = shortened(events, fails)
    assert [type(event) for event in left if not isinstance(event, RequestStarts)] == [PathFails, PathReturns]
    assert len(left) <= 3


def test_paths_are_renumbered_and_made_plain() -> None:
    events = [PathAdded(4, weight=1), PathAdded(2, priority=2), PolicySet(4, (2,), (0, 5, 0, 6), ()), PathFails(2)]
    left = shortened(events, lambda candidates: next((at for at, one in enumerate(candidates) if len(one) > 3), None))
    assert left == [PathAdded(1), PathAdded(2), PolicySet(), PathFails(2)]


def test_tables_become_toml() -> None:
    tables = {
        "name": 'a "quoted" one',
        "array": {"portals": ["10.0.0.1"], "volumes": [{"name": "v", "access": [{"source": "10.0.0.0/8"}]}]},
        "steps": [{"do": "discover"}, {"do": "x", "weights": {"10.0.0.1": 3}, "background": True}],
    }
    assert tomllib.loads(toml_text(tables)) == tables
