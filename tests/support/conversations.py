"""Conversations for properties: an initiator that mostly keeps the rules, so that it gets somewhere, and then does not.

A `Step` says what to do in general terms; `Talker` makes PDUs of it that fit the session at that moment: the CmdSN that
is due, an R2T that is open, a tag in use. One step in twenty or so is any PDU at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from hypothesis import strategies as st

from iscsi import scsi, serial
from iscsi.constants import RESERVED_TAG
from iscsi.lun import encode_lun
from iscsi.pdu import (
    R2T,
    DataOut,
    LogoutRequest,
    NopOut,
    Pdu,
    ScsiCommand,
    SnackRequest,
    TextRequest,
    TextResponse,
    TmfRequest,
)
from iscsi.transfer import DataOutPlan, data_out_run
from target.group import Group
from tests.support.array import BLOCK, PORTALS, VOLUME, Peer, isid
from tests.support.pdus import pdus


class Act(Enum):
    """What a step does."""

    READ = auto()
    WRITE = auto()
    CDB = auto()
    DATA = auto()
    HALF_THE_DATA = auto()
    NOP = auto()
    SKIP_A_NUMBER = auto()
    FILL_A_GAP = auto()
    ABORT = auto()
    MANAGE = auto()
    TEXT = auto()
    SNACK = auto()
    LOGOUT = auto()
    ANY_PDU = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One act; the numbers choose among what the act leaves open."""

    act: Act
    number: int = 0
    other: int = 0
    immediate: bool = False
    pdu: Pdu | None = None


_USUAL = (Act.READ, Act.WRITE, Act.WRITE, Act.DATA, Act.DATA, Act.CDB, Act.HALF_THE_DATA, Act.NOP)
_SOMETIMES = (Act.SKIP_A_NUMBER, Act.FILL_A_GAP, Act.FILL_A_GAP, Act.ABORT, Act.MANAGE, Act.TEXT, Act.TEXT, Act.SNACK)


def steps(*, rude: bool = True) -> st.SearchStrategy[Step]:
    """Any step; without ``rude`` ones that keep the rules."""
    acts = st.sampled_from(_USUAL * 3 + _SOMETIMES)
    kept = st.builds(Step, acts, st.integers(0, 255), st.integers(0, 255), st.sampled_from((False, False, False, True)))
    if not rude:
        return kept.filter(lambda step: step.act is not Act.TEXT or (step.number % 6 < 4 and step.other % 4 < 3))
    broken = st.builds(lambda pdu: Step(Act.ANY_PDU, pdu=pdu), pdus(max_data=600)) | st.builds(
        Step, st.just(Act.LOGOUT), st.integers(0, 4), st.integers(0, 1)
    )
    return st.integers(0, 19).flatmap(lambda dice: broken if dice == 13 else kept)


class Talker(Peer):
    """A peer that acts out steps. It checks the command window of every answer, beside what `Peer` checks."""

    def __init__(self, group: Group, local: str = PORTALS[0]) -> None:
        super().__init__(group, local)
        self.open_r2ts: list[R2T] = []
        self.missing: list[int] = []
        self.tags: list[int] = [0x777]
        self.text_tag = RESERVED_TAG
        self.depth = group.config.limits.command_window

    def enter(self, number: int = 1, *, discovery: bool = False, **wishes: Any) -> Talker:
        """Log in as the host's session ``number``; return the talker."""
        self.login(None if discovery else VOLUME, isid=isid(number), **wishes)
        if not discovery:
            for lun in (0, 1):
                self.send(self.command(scsi.test_unit_ready(), lun=encode_lun(lun)))
        return self

    def act(self, step: Step) -> list[Pdu]:
        """Do one step; what the array says to it."""
        return self.send(*self.pdus_for(step))

    def hear(self) -> list[Pdu]:
        """As `Peer.hear`, and remember what the array asks for."""
        answers = super().hear()
        for answer in answers:
            if isinstance(answer, R2T):
                self.open_r2ts.append(answer)
            elif isinstance(answer, TextResponse):
                self.text_tag = answer.ttt
        return answers

    def pdus_for(self, step: Step) -> list[Pdu]:
        """The PDUs of a step; none when there is nothing it could mean now."""
        if step.pdu is not None:
            return [step.pdu]
        if not step.immediate and serial.lt(self.max_cmd_sn, self.cmd_sn):
            step = replace(step, act=Act.FILL_A_GAP if self.missing else Act.DATA)  # the window is closed
        numbered: dict[str, Any] = {"itt": self.next_itt(), "immediate": step.immediate}
        match step.act:
            case Act.READ:
                edtl = (step.other * 97) % 9000
                return [self._note(self.read_command(step.number * 200, step.other % 20, edtl=edtl, **numbered))]
            case Act.WRITE:
                return self._write(step, numbered)
            case Act.CDB:
                cdb = bytes((step.number, step.other % 4, 0, 0, 0, 0, 0, 0, step.other % 8)) + bytes(7)
                return [self._note(self.command(cdb, read=step.other % 2 == 0, edtl=step.other * 4, **numbered))]
            case Act.DATA | Act.HALF_THE_DATA if self.open_r2ts:
                return self._data(self.open_r2ts.pop(step.number % len(self.open_r2ts)), step.act is Act.DATA)
            case Act.SKIP_A_NUMBER:
                self.missing.append(self.take_cmd_sn())
                return []
            case Act.FILL_A_GAP if self.missing:
                missing = self.missing.pop(step.number % len(self.missing))
                return [NopOut(itt=numbered["itt"], immediate=False, cmd_sn=missing)]
            case Act.ABORT:
                tag = self.tags[-1 - step.number % min(len(self.tags), 8)]
                cmd_sn = self.missing[0] if self.missing else serial.add(self.cmd_sn, -1 - step.other % 4)
                return [self._management(1, 0, numbered, referenced_task_tag=tag, ref_cmd_sn=cmd_sn)]
            case Act.MANAGE:
                return [self._management(step.number % 14, step.other % 3, numbered)]
            case Act.TEXT:
                text = (b"", b"SendTargets=\0", b"SendTargets=All\0", b"X-a=1\0", b"SendTar", b"gets=\0")
                final, cont = ((True, False), (True, False), (False, False), (False, True))[step.other % 4]
                data = text[step.number % len(text)]
                tag = RESERVED_TAG if self.missing else self.text_tag
                return [TextRequest(final=final, cont=cont, ttt=tag, data=data, **self._number(numbered))]
            case Act.SNACK:
                return [SnackRequest(type=step.number % 4, itt=self.tags[-1])]
            case Act.LOGOUT:
                return [LogoutRequest(reason=step.number, cid=step.other, **self._number(numbered))]
            case Act.DATA | Act.HALF_THE_DATA | Act.FILL_A_GAP:
                return []
            case _:
                return [NopOut(data=bytes(step.other), **self._number(numbered))]

    def _write(self, step: Step, numbered: dict[str, Any]) -> list[Pdu]:
        """WRITE(10) of up to 9 blocks; every fourth leaves its unsolicited data out, so that the task waits on."""
        assert self.params is not None
        data = bytes((step.number,)) * (BLOCK * (1 + step.other % 9))
        plan = DataOutPlan.of(len(data), self.params)
        command = self.write_command(
            step.number, len(data) // BLOCK, final=plan.final, data=data[: plan.immediate], **numbered
        )
        run = data_out_run(
            data,
            plan.immediate,
            plan.unsolicited,
            params=self.params,
            lun=0,
            itt=command.itt,
            ttt=RESERVED_TAG,
            exp_stat_sn=0,
        )
        return [self._note(command), *(() if step.number % 4 == 3 else run)]

    def _data(self, r2t: R2T, whole: bool) -> list[Pdu]:
        """The Data-Out PDUs an R2T asks for; of half the data there is no end, so the task waits on."""
        assert self.params is not None
        end = r2t.buffer_offset + r2t.desired_length
        run = list(
            data_out_run(
                bytes(end),
                r2t.buffer_offset,
                r2t.desired_length,
                params=self.params,
                lun=r2t.lun,
                itt=r2t.itt,
                ttt=r2t.ttt,
                exp_stat_sn=0,
            )
        )
        parts: list[DataOut] = run if whole else run[: len(run) // 2]
        return list(parts)

    def _management(self, function: int, lun: int, numbered: dict[str, Any], **changes: Any) -> TmfRequest:
        return TmfRequest(function=function, lun=encode_lun(lun), **self._number(numbered), **changes)

    def _number(self, numbered: dict[str, Any]) -> dict[str, Any]:
        return numbered | {"cmd_sn": self.cmd_sn if numbered["immediate"] else self.take_cmd_sn()}

    def _note(self, command: ScsiCommand) -> ScsiCommand:
        self.tags.append(command.itt)
        return replace(command, lun=encode_lun(command.itt % 2))

    def _check_numbers(self, pdu: Pdu) -> None:
        before = self.exp_cmd_sn, self.max_cmd_sn
        super()._check_numbers(pdu)
        if self.params is not None:
            assert not serial.lt(self.exp_cmd_sn, before[0]), "ExpCmdSN went back"
            assert not serial.lt(self.max_cmd_sn, before[1]), "MaxCmdSN went back"
        assert not serial.lt(self.max_cmd_sn, serial.add(self.exp_cmd_sn, -1)), "the window is negative"
        assert serial.distance(self.exp_cmd_sn, serial.add(self.max_cmd_sn, 1)) <= self.depth
