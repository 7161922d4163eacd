"""Which hosts miss a path: who ended and came back under the same name, under another one, or not at all."""

from __future__ import annotations

from target import absences
from target.absences import AWAY_S, Absences, PathName, Presence

HOST, VOLUME = "iqn.1991-05.com.microsoft:w2k3", "iqn.2001-05.com.equallogic:logs"
PAIR = (HOST, VOLUME)
HERE, THERE = "192.168.50.105", "192.168.50.125"
SECOND = 1_000_000_000


def path(number: int) -> PathName:
    return (HOST, VOLUME, bytes((number,)))


def present(number: int, source: str = HERE, since_s: int = 0, fresh: bool = True) -> Presence:
    return Presence(path(number), source, since_s * SECOND, fresh)


def test_a_path_that_ended_is_missed_until_it_is_back() -> None:
    away = Absences()
    away.left(path(1), HERE, 10 * SECOND)
    assert away.missing([present(2, THERE)], 11 * SECOND) == [PAIR]
    assert away.missing([present(2, THERE, fresh=False), present(1, since_s=12)], 13 * SECOND) == []
    assert len(away) == 0


def test_a_new_connection_from_its_address_stands_for_it() -> None:
    away = Absences()
    away.left(path(1), HERE, 10 * SECOND)
    assert away.missing([present(9, since_s=12)], 13 * SECOND) == []


def test_not_so_one_from_elsewhere_or_from_before_or_seen_before() -> None:
    for other in (present(9, THERE, 12), present(9, HERE, 9), present(9, HERE, 12, fresh=False)):
        away = Absences()
        away.left(path(1), HERE, 10 * SECOND)
        assert away.missing([other], 13 * SECOND) == [PAIR]


def test_one_that_comes_back_under_its_own_name_stands_for_no_other() -> None:
    away = Absences()
    for number in (1, 2):
        away.left(path(number), HERE, 10 * SECOND)
    assert away.missing([present(2, since_s=12)], 13 * SECOND) == [PAIR]


def test_whoever_does_not_come_back_is_given_up_in_time() -> None:
    away = Absences()
    away.left(path(1), HERE, 0)
    assert away.missing([], round(AWAY_S * SECOND)) == [PAIR]
    assert away.missing([], round(AWAY_S * SECOND) + 1) == []


def test_the_memory_is_bounded() -> None:
    away = Absences()
    for number in range(absences.MAX_AWAY + 1):
        away.left((HOST, VOLUME, number.to_bytes(6, "big")), HERE, 0)
    assert len(away) == absences.MAX_AWAY
