"""The log of a served array: its two forms, its levels, and the budget that keeps a storm from filling a disk."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import pytest

from harness.serving.event_log import BURST, PER_S, EventLog


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_text_form_is_time_level_and_sentence(stream: io.StringIO, clock: Clock) -> None:
    EventLog(stream, "text", "info", clock).event("login.refused", "somebody is refused", {"source": "127.0.0.1"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info    somebody is refused\n", stream.getvalue())


def test_the_json_form_is_one_object_a_line_with_every_field(stream: io.StringIO, clock: Clock) -> None:
    log = EventLog(stream, "json", "info", clock)
    log.event("login.refused", "somebody is refused", {"source": "127.0.0.1", "connection": 7}, level="warning")
    ((event),) = events(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(event.pop("time")))
    assert event == {
        "level": "warning",
        "event": "login.refused",
        "message": "somebody is refused",
        "source": "127.0.0.1",
        "connection": 7,
    }


def test_what_is_below_the_level_is_not_written_and_the_level_can_change(stream: io.StringIO, clock: Clock) -> None:
    log = EventLog(stream, "json", "warning", clock)
    log.event("a", "quiet", level="info")
    log.event("a", "loud", level="error")
    log.level = "debug"
    assert log.level == "debug"
    log.event("a", "details", level="debug")
    assert [event["message"] for event in events(stream)] == ["loud", "details"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_comes_from_the_wire_forges_no_line_and_drives_no_terminal(
    stream: io.StringIO, clock: Clock, form: str
) -> None:
    log = EventLog(stream, "json" if form == "json" else "text", "info", clock)
    evil = "iqn.x\n2026-01-01T00:00:00.000Z info    forged\x1b[2J\u2028\u202e"
    log.event("login", f"{evil} asks", {"initiator": evil})
    (line,) = stream.getvalue().splitlines()
    assert not any(letter in line for letter in "\x1b\u2028\u202e")


def test_a_percent_sign_is_a_percent_sign(stream: io.StringIO, clock: Clock) -> None:
    EventLog(stream, "text", "info", clock).event("a", "100 %s %d")
    assert stream.getvalue().endswith(" 100 %s %d\n")


def test_long_texts_are_cut(stream: io.StringIO, clock: Clock) -> None:
    EventLog(stream, "json", "info", clock).event("a", "x" * 100_000, {"why": "y" * 100_000})
    assert len(stream.getvalue()) < 5000


def test_a_storm_is_counted_not_written(stream: io.StringIO, clock: Clock) -> None:
    log = EventLog(stream, "json", "info", clock)
    for number in range(BURST + 1000):
        log.event("login", f"login {number}")
    log.event("ctl", "another kind has a budget of its own")
    assert len(events(stream)) == BURST + 1
    log.tell_suppressed()
    assert len(events(stream)) == BURST + 1, "no budget, no summary"
    clock.now += 1 / PER_S
    log.tell_suppressed()
    assert events(stream)[-1]["event"] == "log.suppressed"
    assert (events(stream)[-1]["of"], events(stream)[-1]["count"]) == ("login", 1000)


def test_the_next_event_of_its_kind_says_what_was_left_out_before(stream: io.StringIO, clock: Clock) -> None:
    log = EventLog(stream, "json", "info", clock)
    for _ in range(BURST + 3):
        log.event("login", "one of many")
    clock.now += 10
    log.event("login", "later")
    assert [event["message"] for event in events(stream)[-2:]] == [
        "3 events login were not written: too many at once",
        "later",
    ]


def test_a_storm_that_does_not_end_is_written_at_a_bounded_rate(stream: io.StringIO, clock: Clock) -> None:
    log = EventLog(stream, "json", "info", clock)
    for _ in range(100_000):
        clock.now += 0.001
        log.event("login", "again")
        log.tell_suppressed()
    assert len(events(stream)) <= 2 * (BURST + 100 * PER_S + 1)


def test_the_journal_gets_the_level_its_own_way(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        EventLog(stream, "text", "info", clock).event("a", "refused", level="warning")
    assert (tmp_path / "journal").read_text() == "<4>refused\n"
