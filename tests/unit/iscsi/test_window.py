"""Command and status numbering at both ends, example by example (RFC 7143 4.2.2)."""

from __future__ import annotations

import pytest

from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.window import CommandNumbering, CommandWindow, StatusNumbering

TOP = 0xFFFFFFFF


def bounds(window: CommandWindow[str]) -> tuple[int, int]:
    return window.exp_cmd_sn, window.max_cmd_sn


class TestCommandWindow:
    def test_opens_with_room_for_its_depth(self) -> None:
        assert bounds(CommandWindow(10, 4)) == (10, 13)

    def test_delivers_in_order_and_closes_when_full(self) -> None:
        window = CommandWindow[str](10, 2)
        assert window.accept(10, "a") == ["a"]
        assert window.accept(11, "b") == ["b"]
        assert bounds(window) == (12, 11)  # MaxCmdSN = ExpCmdSN - 1: closed
        assert window.accept(12, "c") == []
        window.release()
        assert bounds(window) == (12, 12)
        assert window.accept(12, "c") == ["c"]

    def test_what_comes_early_waits_for_its_predecessor(self) -> None:
        window = CommandWindow[str](10, 4)
        assert window.accept(12, "c") == []
        assert window.accept(11, "b") == []
        assert bounds(window) == (10, 13)
        assert window.accept(10, "a") == ["a", "b", "c"]
        assert bounds(window) == (13, 13)

    @pytest.mark.parametrize("cmd_sn", [9, 14, 10 + (1 << 31), 0])
    def test_outside_the_window_is_silently_ignored(self, cmd_sn: int) -> None:
        window = CommandWindow[str](10, 4)
        assert not window.contains(cmd_sn)
        assert window.accept(cmd_sn, "stray") == []
        assert bounds(window) == (10, 13)
        assert window.in_use == 0

    def test_a_duplicate_is_silently_ignored_delivered_or_waiting(self) -> None:
        window = CommandWindow[str](10, 4)
        assert window.accept(10, "a") == ["a"]
        assert window.accept(10, "a again") == []
        assert window.accept(12, "c") == []
        assert window.accept(12, "c again") == []
        assert window.accept(11, "b") == ["b", "c"]

    def test_goes_over_the_wrap(self) -> None:
        window = CommandWindow[str](TOP - 1, 4)
        assert bounds(window) == (TOP - 1, 1)
        assert window.accept(0, "c") == []
        assert window.accept(TOP - 1, "a") == ["a"]
        assert window.accept(TOP, "b") == ["b", "c"]
        assert bounds(window) == (1, 1)

    def test_commands_end_in_any_number_but_not_more_than_were_delivered(self) -> None:
        window = CommandWindow[str](10, 4)
        window.accept(10, "a")
        window.accept(11, "b")
        with pytest.raises(LocalProtocolError, match="3 commands cannot be released: 2 are in use"):
            window.release(3)
        window.release(2)
        assert bounds(window) == (12, 15)

    @pytest.mark.parametrize("depth", [0, -1, 1 << 31])
    def test_a_depth_that_serial_numbers_cannot_express(self, depth: int) -> None:
        with pytest.raises(LocalProtocolError, match=f"not {depth}"):
            CommandWindow(0, depth)


class TestSkipping:
    """ABORT TASK for a command that never came: its CmdSN counts as received, or the session would stand still."""

    def test_the_next_command_comes_through(self) -> None:
        window = CommandWindow[str](10, 4)
        assert window.accept(11, "b") == []
        assert window.skip(10) == ["b"]
        assert bounds(window) == (12, 14)
        assert window.in_use == 1

    def test_a_number_behind_another_gap_is_remembered(self) -> None:
        window = CommandWindow[str](10, 4)
        assert window.skip(11) == []
        assert window.accept(12, "c") == []
        assert window.accept(10, "a") == ["a", "c"]

    def test_a_command_aborted_while_it_waits_is_not_delivered_and_leaves_no_hole(self) -> None:
        window = CommandWindow[str](10, 4)
        assert window.accept(11, "b") == []
        assert window.accept(12, "c") == []
        assert window.skip(11) == []
        assert window.accept(11, "b again") == []
        assert window.accept(10, "a") == ["a", "c"]

    def test_outside_the_window_nothing_happens(self) -> None:
        window = CommandWindow[str](10, 2)
        assert window.skip(9) == window.skip(12) == []
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
            (22, 21, (22, 21), "MaxCmdSN = ExpCmdSN - 1: a closed window, and legal"),
        ],
    )
    def test_learning_the_window(self, exp_cmd_sn: int, max_cmd_sn: int, after: tuple[int, int], why: str) -> None:
        numbering = CommandNumbering(cmd_sn=10, exp_cmd_sn=10, max_cmd_sn=20)
        numbering.update(exp_cmd_sn, max_cmd_sn)
        assert (numbering.exp_cmd_sn, numbering.max_cmd_sn) == after, why


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
