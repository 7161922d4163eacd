"""Where logins begin and are sent to, over all connections of a run."""

from __future__ import annotations

from itertools import pairwise

import pytest

from harness.check.marks import Mark
from harness.check.wire.logins import HOPS_MAX
from tests.support.wire_talk import GROUP, OTHER, PORTAL, Bench, Talk

TEMPORARILY, PERMANENTLY = 0x0101, 0x0102
A, B = "10.0.1.5", "10.0.1.6"


class Story(Bench):
    """A line for each thing that happens to the logins of one host; connections are counted by their ports."""

    port = 1024

    def at(self, place: str, isid: int = 1, source: str = A, host: str = "host") -> Talk:
        """A connection that asks for a login there."""
        self.port += 1
        talk = Talk(self, host=host, at=place, port=self.port, isid=isid)
        talk.conversation.local = f"{source}:{self.port}"
        talk.ask_in()
        return talk

    def moved(self, place: str, to: str, status: int = TEMPORARILY, isid: int = 1, source: str = A) -> None:
        """A login that is redirected."""
        talk = self.at(place, isid, source)
        talk.answer_in(status, TargetAddress=f"{to}:3260,1")
        talk.conversation.closed()

    def let_in(self, place: str, isid: int = 1, source: str = A, host: str = "host") -> Talk:
        """A login that succeeds."""
        talk = self.at(place, isid, source, host)
        talk.answer_in()
        return talk

    def lost(self, talk: Talk) -> None:
        """Its connection is over."""
        talk.conversation.closed()


def story() -> Story:
    return Story()


def test_a_redirect_is_followed_and_the_next_login_begins_at_home() -> None:
    it = story()
    it.moved(GROUP, PORTAL)
    it.lost(it.let_in(PORTAL))
    it.moved(GROUP, OTHER)
    it.let_in(OTHER)
    assert it.found == []


def test_after_a_loss_nobody_begins_where_the_redirect_had_led() -> None:
    it = story()
    it.moved(GROUP, PORTAL)
    it.lost(it.let_in(PORTAL))
    it.let_in(PORTAL)
    assert it.found == ["logins: home"]


def test_a_permanent_move_is_the_new_home() -> None:
    it = story()
    it.moved(GROUP, PORTAL, PERMANENTLY)
    it.lost(it.let_in(PORTAL))
    it.let_in(PORTAL)
    assert it.found == []


def test_a_temporary_one_is_not() -> None:
    it = story()
    it.moved(GROUP, PORTAL)
    it.lost(it.let_in(PORTAL))
    it.moved(PORTAL, OTHER)
    assert it.found == ["logins: home"]


def test_a_redirect_out_of_the_group() -> None:
    it = story()
    it.moved(GROUP, "10.9.9.9")
    assert it.found == ["logins: group"]


def test_a_portal_may_send_a_login_back_to_the_group_address() -> None:
    it = story()
    it.moved(GROUP, PORTAL)
    it.moved(PORTAL, GROUP)
    it.moved(GROUP, OTHER)
    it.let_in(OTHER)
    assert it.found == []


def test_the_group_address_may_not_send_it_to_itself() -> None:
    it = story()
    it.moved(GROUP, GROUP)
    assert it.found == ["logins: group"]


def test_a_session_at_the_group_address() -> None:
    it = story()
    it.let_in(GROUP)
    assert it.found == ["logins: group address"]


def test_a_discovery_session_may_be_there() -> None:
    talk = story().at(GROUP)
    talk.ask_in(SessionType="Discovery")
    talk.answer_in()
    assert talk.bench.found == []


@pytest.mark.parametrize(("hops", "found"), [(HOPS_MAX, []), (HOPS_MAX + 1, ["logins: hops"])])
def test_so_many_redirects_in_a_row(hops: int, found: list[str]) -> None:
    it = story()
    places = [GROUP, *([PORTAL, OTHER] * hops)]
    for place, following in pairwise(places[: hops + 1]):
        it.moved(place, following)
    assert it.found == found


@pytest.mark.parametrize(("then", "found"), [(GROUP, []), (PORTAL, ["logins: home"])])
def test_a_redirect_that_led_nowhere_is_followed_by_a_login_at_home(then: str, found: list[str]) -> None:
    it = story()
    it.moved(GROUP, PORTAL)
    it.watch.logins.unreachable("host", f"{PORTAL}:3260", A)
    it.moved(then, OTHER)
    assert it.found == found
    assert it.hit(Mark.REDIRECT_LED_NOWHERE)


@pytest.mark.parametrize(("host", "source"), [("host", B), ("another", None)])
def test_what_one_path_or_host_does_not_reach_is_not_out_of_reach_for_another(host: str, source: str | None) -> None:
    it = story()
    it.moved(GROUP, PORTAL)
    it.watch.logins.unreachable(host, f"{PORTAL}:3260", source)
    it.let_in(PORTAL)
    assert it.found == []


def test_of_two_sessions_from_one_address_nobody_can_tell() -> None:
    it = story()
    it.moved(GROUP, PORTAL, isid=1)
    it.moved(GROUP, PORTAL, isid=2)
    it.watch.logins.unreachable("host", f"{PORTAL}:3260", A)
    it.let_in(PORTAL, isid=2)
    assert it.found == []


def test_two_sessions_that_live_at_a_time_have_two_isids() -> None:
    it = story()
    it.let_in(PORTAL)
    it.let_in(PORTAL)
    assert it.found == ["logins: ISID"]


def test_of_two_hosts_or_after_the_first_is_over_one_isid_will_do() -> None:
    it = story()
    first = it.let_in(PORTAL)
    it.let_in(PORTAL, host="another")
    it.lost(first)
    it.let_in(PORTAL)
    assert it.found == []
    assert it.hit(Mark.REINSTATEMENT)


def test_a_host_that_went_down_remembers_nothing() -> None:
    it = story()
    it.lost(it.let_in(PORTAL))
    it.watch.logins.forget_host("host")
    it.let_in(OTHER)
    assert it.found == []


def test_what_a_cable_made_of_a_login_is_not_known() -> None:
    it = story()
    talk = it.at(GROUP)
    it.watch.damaged(((A, it.port), (GROUP, 3260)))
    talk.answer_in(TEMPORARILY, TargetAddress=f"{PORTAL}:3260,1")
    talk.conversation.closed()
    it.let_in(PORTAL)
    it.let_in(GROUP, isid=2)
    assert it.found == ["logins: group address"], "the first goes unjudged, the second does not"


def test_a_redirect_while_a_portal_is_down_is_marked() -> None:
    it = story()
    it.watch.logins.portals_broken["down"] = None
    it.moved(GROUP, PORTAL)
    assert it.hit(Mark.REDIRECTED_WHILE_PORTAL_DOWN)
