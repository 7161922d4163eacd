"""One session over several connections that come and go, at ErrorRecoveryLevel 2.

The host sends over whichever connection; what is on its way is lost with it, and so is what it has not heard. It then
reinstates the connection or has it removed for recovery on another one, and reassigns what it has no answer to; what
the array never received it sends again. Whatever happens in whatever order: commands are delivered in CmdSN order, run
once, and are answered once in the end; the window is never deeper than agreed on and never moves back.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from iscsi import serial
from iscsi.constants import LogoutReason, LogoutResult, TmfFunction, TmfResult
from iscsi.login_initiator import LoginDone
from iscsi.pdu import (
    R2T,
    DataIn,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    ScsiCommand,
    ScsiResponse,
    TmfRequest,
    TmfResponse,
)
from iscsi.transfer import data_out_run
from target.config import Limits
from target.states import SessionState
from target.tasks import TaskSet
from tests.support.array import BLOCK, PORTALS, VOLUME, Counters, Peer, fill_disk, make_group

DEPTH = 6
CIDS = (0, 1, 2)
LIMITS = Limits(command_window=DEPTH, output_high_bytes=2048, max_burst_length=2 * BLOCK, first_burst_length=BLOCK)
SECTORS = 4
"""Blocks of each command; each has its own."""


@dataclass
class Sent:
    """A command of the host's: where it was sent last, what has come of it."""

    pdu: ScsiCommand
    cid: int
    data: dict[int, bytes] = field(default_factory=dict)
    answers: int = 0


class Session(RuleBasedStateMachine):
    """See the module's text."""

    @initialize(wishes=st.fixed_dictionaries({"initial_r2t": st.booleans(), "immediate_data": st.booleans()}))
    def log_in(self, wishes: dict[str, Any]) -> None:
        self.group = make_group(limits=LIMITS)
        self.wishes = wishes | {"max_connections": 3, "error_recovery_level": 2, "max_recv_data_segment_length": 512}
        self.counters = Counters(cmd_sn=0xFFFFFFF0)
        self.peers: dict[int, Peer] = {}
        self.flying: dict[int, deque[Pdu]] = {cid: deque() for cid in CIDS}
        self.r2ts: list[tuple[int, R2T]] = []
        self.sent: dict[int, Sent] = {}
        self.lost: list[int] = []
        self.tsih = 0
        self.delivered: list[int] = []
        self.executed: list[int] = []
        self.connect(0)
        (self.session,) = self.group.sessions.all()
        self.max_cmd_sn = self.session.window.max_cmd_sn
        self.watch()
        self.peers[0].ready()

    def watch(self) -> None:
        """Write down what is delivered and what runs."""
        assert self.session.tasks is not None
        machine, self.honest, luns = self, TaskSet.start, self.session.tasks.luns

        def start(tasks: TaskSet, command: ScsiCommand, connection: Any) -> None:
            if tasks is machine.session.tasks:
                machine.delivered.append(command.cmd_sn)
            machine.honest(tasks, command, connection)

        class Watched:
            def execute(self, lun: int, cdb: bytes, data_out: bytes, nexus: Any) -> Any:
                machine.executed.append(int.from_bytes(cdb[2:6], "big") if cdb[0] else -1)
                return luns.execute(lun, cdb, data_out, nexus)

            def __getattr__(self, name: str) -> Any:
                return getattr(luns, name)

        TaskSet.start = start  # type: ignore[method-assign]
        self.session.tasks.luns = Watched()  # type: ignore[assignment]

    def teardown(self) -> None:
        if not hasattr(self, "honest"):
            return
        try:
            self.settle()
        finally:
            TaskSet.start = self.honest  # type: ignore[method-assign]

    # -- the host --------------------------------------------------------------------------------------------------

    def connect(self, cid: int) -> None:
        peer = Peer(self.group, PORTALS[cid], counters=self.counters)
        assert isinstance(peer.login(VOLUME, tsih=self.tsih, cid=cid, **self.wishes), LoginDone)
        self.peers[cid], self.tsih = peer, peer.tsih
        self.flying[cid].clear()
        self.lost = [each for each in self.lost if each != cid]

    def alive(self, choice: int) -> int:
        """One of the living connections."""
        return sorted(self.peers)[choice % len(self.peers)]

    def hear(self, cid: int) -> list[Pdu]:
        """Take in what the array says; what is no answer to a command is returned."""
        peer, others = self.peers[cid], []
        while True:
            for pdu in peer.hear():
                self.note_window(pdu)
                if isinstance(pdu, R2T):
                    self.r2ts.append((cid, pdu))
                elif isinstance(pdu, DataIn | ScsiResponse):
                    self.note_answer(cid, pdu)
                elif not isinstance(pdu, NopIn):
                    others.append(pdu)
            if not peer.connection.choked:
                return others
            peer.connection.resume()

    def note_window(self, pdu: Any) -> None:
        if serial.lt(self.max_cmd_sn, pdu.max_cmd_sn):
            self.max_cmd_sn = pdu.max_cmd_sn

    def note_answer(self, cid: int, pdu: DataIn | ScsiResponse) -> None:
        sent = self.sent.get(pdu.itt)
        assert sent is not None, "an answer to nothing"
        assert sent.cid == cid, "an answer on another connection than the command's"
        if isinstance(pdu, DataIn):
            sent.data[pdu.buffer_offset] = bytes(pdu.data)
        if isinstance(pdu, ScsiResponse) or pdu.has_status:
            sent.answers += 1
            assert sent.answers == 1, "answered twice"
            assert pdu.status == 0

    def reassign(self, cid: int, gone: int) -> None:
        """Take over, on a connection, what another one left unanswered."""
        peer = self.peers[cid]
        for itt, sent in self.sent.items():
            if sent.cid != gone or sent.answers:
                continue
            request = TmfRequest(
                immediate=True,
                function=TmfFunction.TASK_REASSIGN,
                itt=peer.next_itt(),
                cmd_sn=self.counters.cmd_sn,
                exp_stat_sn=peer.exp_stat_sn or 0,
                referenced_task_tag=itt,
            )
            sent.cid, sent.data = cid, {}
            peer.connection.receive(peer.bytes_of(request), 0)
            (response,) = self.hear(cid)
            assert isinstance(response, TmfResponse)
            if response.response == TmfResult.TASK_DOES_NOT_EXIST:
                self.flying[cid].append(sent.pdu)
            else:
                assert response.response == TmfResult.FUNCTION_COMPLETE

    # -- what may happen -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.peers and serial.le(self.counters.cmd_sn, self.max_cmd_sn))
    @rule(choice=st.integers(0, 2), write=st.booleans())
    def send_a_command(self, choice: int, write: bool) -> None:
        cid = self.alive(choice)
        peer = self.peers[cid]
        number = len(self.sent) + 1
        lba, exp_stat_sn = number * SECTORS, peer.exp_stat_sn or 0
        if write:
            immediate = bytes((number % 256,)) * BLOCK if self.wishes["immediate_data"] else b""
            pdu = peer.write_command(lba, SECTORS, exp_stat_sn=exp_stat_sn, data=immediate)
        else:
            fill_disk(self.group, lba * BLOCK, bytes((number % 256,)) * (SECTORS * BLOCK))
            pdu = peer.read_command(lba, SECTORS, exp_stat_sn=exp_stat_sn)
        self.sent[pdu.itt] = Sent(pdu, cid)
        self.flying[cid].append(pdu)

    @precondition(lambda self: any(self.flying[cid] for cid in self.peers))
    @rule(choice=st.integers(0, 2))
    def it_arrives(self, choice: int) -> None:
        busy = [cid for cid in sorted(self.peers) if self.flying[cid]]
        cid = busy[choice % len(busy)]
        peer = self.peers[cid]
        if not peer.connection.choked:  # else the driver does not read
            peer.connection.receive(peer.bytes_of(self.flying[cid].popleft()), 0)

    @precondition(lambda self: self.peers)
    @rule(choice=st.integers(0, 2))
    def the_host_hears(self, choice: int) -> None:
        assert self.hear(self.alive(choice)) == []

    @precondition(lambda self: self.r2ts)
    @rule(choice=st.integers(0, 7))
    def the_host_answers_an_r2t(self, choice: int) -> None:
        cid, r2t = self.r2ts.pop(choice % len(self.r2ts))
        params = self.peers[cid].params
        assert params is not None
        fill = bytes((len(self.sent) % 256,))
        self.flying[cid].extend(
            data_out_run(
                fill * (SECTORS * BLOCK),
                r2t.buffer_offset,
                r2t.desired_length,
                params=params,
                lun=r2t.lun,
                itt=r2t.itt,
                ttt=r2t.ttt,
                exp_stat_sn=self.peers[cid].exp_stat_sn or 0,
            )
        )

    @precondition(lambda self: self.peers)
    @rule(choice=st.integers(0, 2))
    def a_connection_is_lost(self, choice: int) -> None:
        cid = self.alive(choice)
        self.peers.pop(cid).hang_up()
        self.flying[cid].clear()
        self.r2ts = [(each, r2t) for each, r2t in self.r2ts if each != cid]
        self.lost.append(cid)
        assert (self.session.state is SessionState.FAILED) is (not self.peers)

    @precondition(lambda self: self.lost)
    @rule(choice=st.integers(0, 2))
    def it_is_reinstated(self, choice: int) -> None:
        cid = self.lost[choice % len(self.lost)]
        self.connect(cid)
        self.reassign(cid, cid)

    @precondition(lambda self: self.lost and self.peers)
    @rule(choice=st.integers(0, 2), through=st.integers(0, 2))
    def it_is_removed_and_another_takes_over(self, choice: int, through: int) -> None:
        gone, cid = self.lost.pop(choice % len(self.lost)), self.alive(through)
        peer = self.peers[cid]
        self.hear(cid)
        reason = LogoutReason.REMOVE_FOR_RECOVERY
        logout = LogoutRequest(
            reason=reason, itt=peer.next_itt(), cid=gone, immediate=True, cmd_sn=self.counters.cmd_sn
        )
        peer.connection.receive(peer.bytes_of(logout), 0)
        (response,) = self.hear(cid)
        assert isinstance(response, LogoutResponse)
        assert response.response == LogoutResult.CLOSED
        self.reassign(cid, gone)

    @precondition(lambda self: len(self.peers) + len(self.lost) < len(CIDS))
    @rule()
    def a_connection_is_added(self) -> None:
        self.connect(next(cid for cid in CIDS if cid not in self.peers and cid not in self.lost))

    # -- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def the_window_is_in_order(self) -> None:
        if not hasattr(self, "session"):
            return
        window, tasks = self.session.window, self.session.tasks
        assert tasks is not None
        assert serial.distance(window.exp_cmd_sn, serial.add(window.max_cmd_sn, 1)) <= DEPTH
        assert window.in_use == tasks.waiting
        assert serial.le(self.max_cmd_sn, window.max_cmd_sn), "what was told once holds"
        assert serial.le(window.exp_cmd_sn, self.counters.cmd_sn)

    @invariant()
    def commands_are_delivered_in_order_and_run_once(self) -> None:
        if not hasattr(self, "session"):
            return
        assert all(serial.lt(one, two) for one, two in zip(self.delivered, self.delivered[1:], strict=False))
        ran = [lba for lba in self.executed if lba >= 0]
        assert len(ran) == len(set(ran))

    @invariant()
    def the_output_held_is_bounded(self) -> None:
        for peer in getattr(self, "peers", {}).values():
            assert peer.connection.output_bytes < LIMITS.output_high_bytes + 2 * SECTORS * BLOCK

    def settle(self) -> None:
        """The network is mended and the host patient: everything is answered."""
        for cid in list(self.lost):
            self.connect(cid)
            self.reassign(cid, cid)
        for turn in itertools.count():
            assert turn < 1000, "the array asks without end"
            for cid in self.peers:
                self.hear(cid)
            if self.r2ts:
                self.the_host_answers_an_r2t(0)
            elif any(self.flying[cid] for cid in self.peers):
                self.it_arrives(0)
            elif not any(peer.connection.output_bytes for peer in self.peers.values()):
                break  # what one connection set free on another has been heard, too
        for sent in self.sent.values():
            assert sent.answers == 1, f"no answer to {sent.pdu}"
            lba = int.from_bytes(sent.pdu.cdb[2:6], "big")
            if sent.pdu.read:
                fill = bytes((lba // SECTORS % 256,))
                assert b"".join(data for _, data in sorted(sent.data.items())) == fill * (SECTORS * BLOCK)
            assert self.executed.count(lba) == 1
        window = self.session.window
        assert (window.in_use, window.exp_cmd_sn) == (0, self.counters.cmd_sn)
        assert not window.held
        peer = next(iter(self.peers.values()))
        (echo,) = peer.send(NopOut(itt=peer.next_itt(), cmd_sn=self.counters.cmd_sn))
        assert isinstance(echo, NopIn)


TestSession = Session.TestCase
TestSession.settings = settings(deadline=None, max_examples=100, stateful_step_count=60)
