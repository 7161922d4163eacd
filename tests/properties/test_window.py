"""The command window against a model that counts without wrapping, and the two ends against each other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from iscsi.serial import add, distance, le
from iscsi.window import CommandNumbering, CommandWindow

WRAP = 1 << 32
first_numbers = st.integers(0, WRAP - 1) | st.integers(WRAP - 12, WRAP - 1) | st.just(0)


def accept(window: CommandWindow[int], cmd_sn: int, item: int) -> list[int]:
    """A command arrives; what has become deliverable."""
    if window.take_next(cmd_sn):
        return [item]
    window.hold(cmd_sn, item)
    return drained(window)


def drained(window: CommandWindow[int]) -> list[int]:
    """Everything that can be delivered now."""
    delivered = []
    while (item := window.first_held()) is not None:
        window.deliver()
        delivered.append(item)
    return delivered


class CommandWindowModel(RuleBasedStateMachine):
    """Commands are numbered here 0, 1, 2, … from the session's first; only `number` knows about 2^32.

    ``next_up`` is the first not yet counted as received, ``waiting`` what arrived ahead of it (None: aborted),
    ``running`` how many were delivered and have not ended.
    """

    @initialize(first=first_numbers, depth=st.integers(1, 6))
    def open(self, first: int, depth: int) -> None:
        self.first, self.depth = first, depth
        self.window: CommandWindow[int] = CommandWindow(first, depth)
        self.next_up = 0
        self.running = 0
        self.waiting: dict[int, int | None] = {}
        self.last_max_cmd_sn = self.window.max_cmd_sn

    def number(self, index: int) -> int:
        return (self.first + index) % WRAP

    @property
    def end(self) -> int:
        """One past the last command the target has promised to take."""
        return self.next_up + self.depth - self.running

    def deliverable(self) -> list[int]:
        delivered = []
        while self.next_up in self.waiting:
            item = self.waiting.pop(self.next_up)
            self.next_up += 1
            if item is not None:
                self.running += 1
                delivered.append(item)
        return delivered

    @rule(ahead=st.integers(-8, 14))
    def a_command_arrives(self, ahead: int) -> None:
        index = self.next_up + ahead
        if self.next_up <= index < self.end and index not in self.waiting:
            self.waiting[index] = index
        assert accept(self.window, self.number(index), index) == self.deliverable()

    @rule(ahead=st.integers(1 << 20, WRAP - (1 << 20)))
    def a_stray_number_arrives(self, ahead: int) -> None:
        assert accept(self.window, self.number(self.next_up + ahead), -1) == []

    @rule(ahead=st.integers(-2, 8))
    def a_command_is_aborted_before_it_ran(self, ahead: int) -> None:
        index = self.next_up + ahead
        if self.next_up <= index < self.end:
            self.waiting[index] = None
        self.window.skip(self.number(index))
        assert drained(self.window) == self.deliverable()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def commands_end(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, self.running))
        self.running -= count
        self.window.release(count)

    @invariant()
    def the_window_is_the_models(self) -> None:
        if not hasattr(self, "window"):
            return
        window = self.window
        assert window.exp_cmd_sn == self.number(self.next_up)
        assert window.max_cmd_sn == self.number(self.end - 1)
        assert window.in_use == self.running
        assert 0 <= distance(window.exp_cmd_sn, add(window.max_cmd_sn, 1)) <= self.depth, "never negative, never deeper"
        assert le(self.last_max_cmd_sn, window.max_cmd_sn), "MaxCmdSN never moves back"
        self.last_max_cmd_sn = window.max_cmd_sn


TestCommandWindow = CommandWindowModel.TestCase
TestCommandWindow.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)


@settings(deadline=None, max_examples=150)
@given(
    first=first_numbers,
    depth=st.integers(1, 8),
    steps=st.lists(st.sampled_from(("send", "arrive", "finish", "tell")), max_size=80),
    data=st.data(),
)
def test_the_two_ends_agree(first: int, depth: int, steps: list[str], data: st.DataObject) -> None:
    """An initiator that sends only what it may never has a command ignored, in whatever order the commands arrive."""
    target: CommandWindow[int] = CommandWindow(first, depth)
    initiator = CommandNumbering(first, target.exp_cmd_sn, target.max_cmd_sn)
    flying: list[tuple[int, int]] = []
    sent, delivered, running = 0, [], 0
    for step in steps:
        if step == "send" and initiator.may_send:
            flying.append((initiator.take(), sent))
            sent += 1
        elif step == "arrive" and flying:
            cmd_sn, index = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            assert target.contains(cmd_sn)
            now = accept(target, cmd_sn, index)
            delivered += now
            running += len(now)
        elif step == "finish" and running:
            target.release()
            running -= 1
        elif step == "tell":
            initiator.update(target.exp_cmd_sn, target.max_cmd_sn)
            assert (initiator.exp_cmd_sn, initiator.max_cmd_sn) == (target.exp_cmd_sn, target.max_cmd_sn)
        assert sent - len(delivered) + running <= depth
    while flying:
        delivered += accept(target, *flying.pop())
    assert delivered == list(range(sent))


@settings(deadline=None, max_examples=150)
@given(first=first_numbers, news=st.lists(st.tuples(st.integers(-20, 40), st.integers(-3, 20)), max_size=20))
def test_news_in_any_order_leaves_the_newest(first: int, news: list[tuple[int, int]]) -> None:
    """Values only rise, each for itself; a pair with MaxCmdSN below ExpCmdSN - 1 says nothing, nor does one that
    acknowledges more than the 20 commands that were sent."""
    numbering = CommandNumbering(add(first, 20), first, add(first, -1))
    sound = [(exp, exp + room - 1) for exp, room in news if room >= 0 and exp <= 20]
    for exp, room in news:
        numbering.update(add(first, exp), add(first, exp + room - 1))
    assert numbering.exp_cmd_sn == add(first, max([0, *(exp for exp, _ in sound)]))
    assert numbering.max_cmd_sn == add(first, max([-1, *(top for _, top in sound)]))
