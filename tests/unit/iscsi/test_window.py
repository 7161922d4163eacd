"""Command and status numbering at both ends, example by example (RFC 7143 4.2.2)."""

from __future__ import annotations

import pytest

from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.window import CommandNumbering, CommandWindow, StatusNumbering

TOP = 0xFFFFFFFF


def accept(window: CommandWindow[str], cmd_sn: int, item: str) -> list[str]:
    """A command arrives; what has become deliverable."""
    if window.take_next(cmd_sn):
        return [item]
    window.hold(cmd_sn, item)
    return drained(window)


def skip(window: CommandWindow[str], cmd_sn: int) -> list[str]:
    """A CmdSN counts as received; what has become deliverable."""
    window.skip(cmd_sn)
    return drained(window)


def drained(window: CommandWindow[str]) -> list[str]:
    """Everything that can be delivered now."""
    delivered = []
    while (item := window.first_held()) is not None:
        window.deliver()
        delivered.append(item)
    return delivered


def bounds(window: CommandWindow[str]) -> tuple[int, int]:
    return window.exp_cmd_sn, window.max_cmd_sn


class TestCommandWindow:
    def test_opens_with_room_for_its_depth(self) -> None:
        assert bounds(CommandWindow(10, 4)) == (10, 13)

    def test_delivers_in_order_and_closes_when_full(self) -> None:
        window = CommandWindow[str](10, 2)
        assert accept(window, 10, "a") == ["a"]
        assert accept(window, 11, "b") == ["b"]
        assert bounds(window) == (12, 11)  # MaxCmdSN = ExpCmdSN - 1: closed
        assert accept(window, 12, "c") == []
        window.release()
        assert bounds(window) == (12, 12)
        assert accept(window, 12, "c") == ["c"]

    def test_what_comes_early_waits_for_its_predecessor(self) -> None:
        window = CommandWindow[str](10, 4)
        assert accept(window, 12, "c") == []
        assert accept(window, 11, "b") == []
        assert bounds(window) == (10, 13)
        assert accept(window, 10, "a") == ["a", "b", "c"]
        assert bounds(window) == (13, 13)

    @pytest.mark.parametrize("cmd_sn", [9, 14, 10 + (1 << 31), 0])
    def test_outside_the_window_is_silently_ignored(self, cmd_sn: int) -> None:
        window = CommandWindow[str](10, 4)
        assert not window.contains(cmd_sn)
        assert accept(window, cmd_sn, "stray") == []
        assert bounds(window) == (10, 13)
        assert window.in_use == 0

    def test_a_duplicate_is_silently_ignored_delivered_or_waiting(self) -> None:
        window = CommandWindow[str](10, 4)
        assert accept(window, 10, "a") == ["a"]
        assert accept(window, 10, "a again") == []
        assert accept(window, 12, "c") == []
        assert accept(window, 12, "c again") == []
        assert accept(window, 11, "b") == ["b", "c"]

    def test_goes_over_the_wrap(self) -> None:
        window = CommandWindow[str](TOP - 1, 4)
        assert bounds(window) == (TOP - 1, 1)
        assert accept(window, 0, "c") == []
        assert accept(window, TOP - 1, "a") == ["a"]
        assert accept(window, TOP, "b") == ["b", "c"]
        assert bounds(window) == (1, 1)

    def test_commands_end_in_any_number_but_not_more_than_were_delivered(self) -> None:
        window = CommandWindow[str](10, 4)
        accept(window, 10, "a")
        accept(window, 11, "b")
        with pytest.raises(LocalProtocolError, match="3 commands cannot be released: 2 are in use"):
            window.release(3)
        window.release(2)
        assert bounds(window) == (12, 15)

    @pytest.mark.parametrize("depth", [0, -1, 1 << 31])
    def test_a_depth_that_serial_numbers_cannot_express(self, depth: int) -> None:
        with pytest.raises(LocalProtocolError, match=f"not {depth}"):
            CommandWindow(0, depth)

    def test_nothing_is_delivered_that_is_not_there(self) -> None:
        window = CommandWindow[str](10, 4)
        window.hold(11, "b")
        assert window.first_held() is None
        with pytest.raises(LocalProtocolError, match="no command with CmdSN 10 is held"):
            window.deliver()

    def test_what_is_held_comes_before_the_next(self) -> None:
        """A connection that may not take its command yet holds up those of the others."""
        window = CommandWindow[str](10, 4)
        window.hold(11, "b")
        window.hold(10, "a")
        assert not window.take_next(10)
        assert window.first_held() == "a"
        assert accept(window, 12, "c") == ["a", "b", "c"]

    def test_what_is_forgotten_may_be_sent_again(self) -> None:
        """Commands of a connection that is gone, held for a predecessor, never arrived (RFC 7143 11.14)."""
        window = CommandWindow[str](10, 4)
        window.hold(11, "b")
        window.hold(12, "c")
        window.skip(13)
        window.forget(lambda item: item == "b")
        assert accept(window, 10, "a") == ["a"]
        assert accept(window, 11, "b again") == ["b again", "c"]
        assert bounds(window) == (14, 14)


class TestSkipping:
    """ABORT TASK for a command that never came: its CmdSN counts as received, or the session would stand still."""

    def test_the_next_command_comes_through(self) -> None:
        window = CommandWindow[str](10, 4)
        assert accept(window, 11, "b") == []
        assert skip(window, 10) == ["b"]
        assert bounds(window) == (12, 14)
        assert window.in_use == 1

    def test_a_number_behind_another_gap_is_remembered(self) -> None:
        window = CommandWindow[str](10, 4)
        assert skip(window, 11) == []
        assert accept(window, 12, "c") == []
        assert accept(window, 10, "a") == ["a", "c"]

    def test_a_command_aborted_while_it_waits_is_not_delivered_and_leaves_no_hole(self) -> None:
        window = CommandWindow[str](10, 4)
        assert accept(window, 11, "b") == []
        assert accept(window, 12, "c") == []
        assert skip(window, 11) == []
        assert accept(window, 11, "b again") == []
        assert accept(window, 10, "a") == ["a", "c"]

    def test_outside_the_window_nothing_happens(self) -> None:
        window = CommandWindow[str](10, 2)
        assert skip(window, 9) == skip(window, 12) == []
        assert bounds(window) == (10, 11)


class TestCommandNumbering:
    def test_numbers_rise_until_the_window_is_closed(self) -> None:
        numbering = CommandNumbering(cmd_sn=TOP, exp_cmd_sn=TOP, max_cmd_sn=0)
        assert [numbering.take(), numbering.take()] == [TOP, 0]
        assert not numbering.may_send
        with pytest.raises(LocalProtocolError, match="window is closed: CmdSN 1, MaxCmdSN 0"):
            numbering.take()
        assert numbering.cmd_sn == 1

    def test_the_target_opens_it_again(self) -> None:
        numbering = CommandNumbering(cmd_sn=5, exp_cmd_sn=5, max_cmd_sn=4)
        assert not numbering.may_send
        numbering.update(5, 6)
        assert numbering.may_send

    @pytest.mark.parametrize(
        ("ahead", "may"), [(-2, False), (-1, False), (0, True), (1, True), ((1 << 31) - 1, True), (1 << 31, False)]
    )
    def test_max_cmd_sn_itself_may_still_be_sent(self, ahead: int, may: bool) -> None:
        """``ahead`` is how far MaxCmdSN lies above CmdSN; half way round it is above and below at once."""
        assert CommandNumbering(cmd_sn=7, exp_cmd_sn=7, max_cmd_sn=(7 + ahead) % (1 << 32)).may_send is may

    @pytest.mark.parametrize(
        ("exp_cmd_sn", "max_cmd_sn", "after", "why"),
        [
            (12, 22, (12, 22), "both rise"),
            (10, 25, (10, 25), "one rises"),
            (8, 18, (10, 20), "an old PDU overtaken by a newer one"),
            (12, 18, (12, 20), "each value for itself"),
            (24, 22, (10, 20), "MaxCmdSN below ExpCmdSN - 1: both ignored"),
            (21, 20, (21, 20), "MaxCmdSN = ExpCmdSN - 1: a closed window, and legal"),
            (22, 40, (10, 20), "an ExpCmdSN that acknowledges what was never sent: both ignored"),
            (1 << 31, (1 << 31) + 10, (10, 20), "the same from far ahead"),
        ],
    )
    def test_learning_the_window(self, exp_cmd_sn: int, max_cmd_sn: int, after: tuple[int, int], why: str) -> None:
        numbering = CommandNumbering(cmd_sn=21, exp_cmd_sn=10, max_cmd_sn=20)
        numbering.update(exp_cmd_sn, max_cmd_sn)
        assert (numbering.exp_cmd_sn, numbering.max_cmd_sn) == after, why

    @pytest.mark.parametrize("cmd_sn", [1000, 0x90000000], ids=["0 is behind", "0 is ahead"])
    def test_a_pdu_without_numbers_changes_nothing(self, cmd_sn: int) -> None:
        """An early tgt sent R2Ts with both numbers 0 (tgt a0f9bb5); to half of all CmdSNs 0 is ahead."""
        numbering = CommandNumbering(cmd_sn=cmd_sn, exp_cmd_sn=cmd_sn - 4, max_cmd_sn=cmd_sn - 1)
        numbering.update(0, 0)
        assert (numbering.exp_cmd_sn, numbering.max_cmd_sn) == (cmd_sn - 4, cmd_sn - 1)
        assert not numbering.may_send


class TestStatusNumbering:
    def test_each_status_counts_once_over_the_wrap(self) -> None:
        numbering = StatusNumbering(TOP)
        numbering.advance(TOP)
        numbering.advance(0)
        assert numbering.exp_stat_sn == 1

    @pytest.mark.parametrize("stat_sn", [4, 6, 5 + (1 << 31)], ids=["a repeat", "a gap", "far away"])
    def test_anything_else_is_the_targets_fault(self, stat_sn: int) -> None:
        numbering = StatusNumbering(5)
        with pytest.raises(RemoteProtocolError, match=f"StatSN {stat_sn} arrived where 5 was expected"):
            numbering.advance(stat_sn)
        assert numbering.exp_stat_sn == 5
