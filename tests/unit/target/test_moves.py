"""The notes that bring a moved connection to where it was asked to go."""

from __future__ import annotations

from iscsi.login_gate import LoginIdentity
from target import moves
from target.moves import Moves, Note
from tests.support.array import HOST, OTHER_HOST, PORTALS, SOURCE, VOLUME, isid

WHO = LoginIdentity(HOST, VOLUME, False, isid(1), 0, 0)
NOTE = Note(SOURCE, PORTALS[0], PORTALS[1], "because", expires_ns=100)


def test_the_next_login_of_the_same_initiator_target_and_isid_finds_the_note() -> None:
    notes = Moves()
    notes.write(WHO, NOTE)
    assert notes.of(WHO, 99) == NOTE
    for other in (
        LoginIdentity(OTHER_HOST, VOLUME, False, isid(1), 0, 0),
        LoginIdentity(HOST, VOLUME, False, isid(2), 0, 0),
    ):
        assert notes.of(other, 99) is None


def test_a_note_is_good_until_its_time_is_over_or_the_login_is_complete() -> None:
    notes = Moves()
    notes.write(WHO, NOTE)
    assert notes.of(WHO, 100) is None
    assert len(notes) == 0
    notes.write(WHO, NOTE)
    notes.done(WHO)
    assert notes.of(WHO, 0) is None


def test_a_second_note_replaces_the_first() -> None:
    notes = Moves()
    notes.write(WHO, NOTE)
    notes.write(WHO, Note(SOURCE, PORTALS[1], None, "drained", 100))
    found = notes.of(WHO, 0)
    assert found is not None
    assert found.origin == PORTALS[1]
    assert len(notes) == 1


def test_the_oldest_note_goes_when_there_are_too_many() -> None:
    notes = Moves()
    for number in range(moves.MAX_NOTES + 1):
        notes.write(LoginIdentity(f"{HOST}-{number}", VOLUME, False, isid(1), 0, 0), NOTE)
    assert len(notes) == moves.MAX_NOTES
    assert notes.of(LoginIdentity(f"{HOST}-0", VOLUME, False, isid(1), 0, 0), 0) is None
    assert notes.of(LoginIdentity(f"{HOST}-1", VOLUME, False, isid(1), 0, 0), 0) == NOTE


# -- initiators that take a new ISID for every login -------------------------------------------------------------------

SAME_HOST = LoginIdentity(HOST, VOLUME, False, isid(2), 0, 0)


def test_a_login_from_the_same_address_claims_the_note_of_a_session_that_lives_no_more() -> None:
    notes = Moves()
    notes.write(WHO, NOTE)
    assert notes.claim(SAME_HOST, SOURCE, 0, lambda isid: True) is None
    assert notes.claim(SAME_HOST, "192.168.50.125", 0, lambda isid: False) is None
    assert notes.claim(SAME_HOST, SOURCE, 100, lambda isid: False) is None
    notes.write(WHO, NOTE)
    assert notes.claim(SAME_HOST, SOURCE, 0, lambda isid: False) == NOTE
    assert notes.of(SAME_HOST, 0) == NOTE
    assert notes.of(WHO, 0) is None


def test_its_own_note_comes_first() -> None:
    notes, own = Moves(), Note(SOURCE, PORTALS[1], PORTALS[2], "own", 100)
    notes.write(WHO, NOTE)
    notes.write(SAME_HOST, own)
    assert notes.claim(SAME_HOST, SOURCE, 0, lambda isid: False) == own
    assert notes.of(WHO, 0) == NOTE
