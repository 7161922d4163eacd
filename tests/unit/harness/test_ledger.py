"""The ledger: what a read may return, said by examples of what it may not."""

from __future__ import annotations

import pytest

from harness.ledger import NEVER_WRITTEN, Ledger, stamped, writer_of

BLOCK = 512


def write(ledger: Ledger, number: int, lba: int = 0, blocks: int = 1, ok: bool = True) -> None:
    """A write that begins and ends with nothing else going on meanwhile."""
    ledger.write_begins(number, lba, blocks)
    ledger.write_ends(number, lba, blocks, ok)


def holds(ledger: Ledger, number: int, lba: int = 0) -> str:
    """What the ledger says at the end to a block that holds the value of write ``number``; "" when it may."""
    data = bytes(BLOCK) if number == NEVER_WRITTEN else stamped(number, lba, 1, BLOCK)
    return "; ".join(str(finding) for finding in ledger.judge_final(lba, data))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(BLOCK)


def test_a_stamp_names_its_writer_and_its_address() -> None:
    data = stamped(7, lba=100, blocks=2, block_size=4096)

    assert len(data) == 2 * 4096
    assert writer_of(data[:4096], 100) == writer_of(data[4096:], 101) == 7
    assert writer_of(bytes(BLOCK), 100) == NEVER_WRITTEN


def test_the_last_acknowledged_write_is_what_stands_there(ledger: Ledger) -> None:
    write(ledger, 1)
    write(ledger, 2)

    assert holds(ledger, 2) == ""
    assert holds(ledger, 1) == "block 0 holds the value of write 1; allowed: 2"  # stale, or a ghost


def test_a_write_that_was_acknowledged_and_is_not_there_is_lost(ledger: Ledger) -> None:
    write(ledger, 1)

    assert holds(ledger, NEVER_WRITTEN) == "block 0 holds zeros, as if never written; allowed: 1"


def test_a_torn_block_is_content_no_write_ever_wrote(ledger: Ledger) -> None:
    write(ledger, 1, blocks=2)
    data = stamped(1, 0, 2, BLOCK)
    torn = data[: BLOCK + 100] + b"\xff" * (BLOCK - 100)

    (finding,) = ledger.judge_final(0, torn)

    assert str(finding) == "block 1 holds content no write ever wrote; allowed: 1"


def test_a_misplaced_block_is_found_at_both_places(ledger: Ledger) -> None:
    write(ledger, 1, lba=5)

    assert "no write ever wrote" in str(*ledger.judge_final(6, stamped(1, 5, 1, BLOCK)))
    assert "as if never written" in holds(ledger, NEVER_WRITTEN, lba=5)


def test_a_block_nobody_wrote_must_be_zeros(ledger: Ledger) -> None:
    write(ledger, 1, lba=5)

    assert holds(ledger, NEVER_WRITTEN, lba=9) == ""
    assert holds(ledger, 1, lba=9) == "block 9 holds the value of write 1; allowed: 0"


def test_two_writes_that_overlapped_may_stand_in_either_order(ledger: Ledger) -> None:
    ledger.write_begins(1, 0, 1)
    ledger.write_begins(2, 0, 1)
    ledger.write_ends(2, 0, 1, ok=True)
    ledger.write_ends(1, 0, 1, ok=True)

    assert holds(ledger, 1) == holds(ledger, 2) == ""
    assert holds(ledger, NEVER_WRITTEN) != ""


def test_a_third_write_after_both_settles_it(ledger: Ledger) -> None:
    ledger.write_begins(1, 0, 1)
    ledger.write_begins(2, 0, 1)
    ledger.write_ends(1, 0, 1, ok=True)
    ledger.write_ends(2, 0, 1, ok=True)
    write(ledger, 3)

    assert holds(ledger, 3) == ""
    assert holds(ledger, 1) != ""
    assert holds(ledger, 2) != ""


@pytest.mark.parametrize("found", [NEVER_WRITTEN, 1])
def test_a_write_that_failed_may_have_happened_or_not(ledger: Ledger, found: int) -> None:
    write(ledger, 1, ok=False)

    assert holds(ledger, found) == ""


def test_a_failed_write_makes_nothing_before_it_impossible(ledger: Ledger) -> None:
    write(ledger, 1)
    write(ledger, 2, ok=False)

    assert holds(ledger, 1) == holds(ledger, 2) == ""


def test_a_read_that_began_before_the_write_was_acknowledged_may_return_the_old_value(ledger: Ledger) -> None:
    write(ledger, 1)
    ledger.write_begins(2, 0, 1)
    ledger.read_begins(3)
    ledger.write_ends(2, 0, 1, ok=True)

    assert ledger.read_ends(3, 0, stamped(1, 0, 1, BLOCK)) is None


def test_a_read_that_began_after_it_may_not(ledger: Ledger) -> None:
    write(ledger, 1)
    write(ledger, 2)
    ledger.read_begins(3)

    assert str(ledger.read_ends(3, 0, stamped(1, 0, 1, BLOCK))) == "block 0 holds the value of write 1; allowed: 2"


def test_a_read_sees_a_write_that_is_still_open_or_not(ledger: Ledger) -> None:
    write(ledger, 1)
    ledger.write_begins(2, 0, 1)
    for number, seen in ((3, 1), (4, 2)):
        ledger.read_begins(number)
        assert ledger.read_ends(number, 0, stamped(seen, 0, 1, BLOCK)) is None


def test_a_failed_read_says_nothing(ledger: Ledger) -> None:
    write(ledger, 1)
    ledger.read_begins(2)

    assert ledger.read_ends(2, 0, None) is None


def test_a_read_names_its_first_wrong_block(ledger: Ledger) -> None:
    write(ledger, 1, blocks=3)
    ledger.read_begins(2)

    finding = ledger.read_ends(2, 0, stamped(1, 0, 1, BLOCK) + bytes(2 * BLOCK))

    assert finding is not None
    assert finding.lba == 1


def test_a_long_read_keeps_the_old_value_allowed_through_many_writes(ledger: Ledger) -> None:
    """What one slow read may still return is not forgotten while later writes come and go."""
    write(ledger, 1)
    ledger.read_begins(2)
    for number in range(3, 10):
        write(ledger, number)

    assert ledger.read_ends(2, 0, stamped(1, 0, 1, BLOCK)) is None
    assert holds(ledger, 1) != ""


def test_blocks_written_are_listed_in_order_however_they_were_written(ledger: Ledger) -> None:
    write(ledger, 1, lba=7)
    write(ledger, 2, lba=3, blocks=2, ok=False)

    assert ledger.blocks_written == [3, 4, 7]
