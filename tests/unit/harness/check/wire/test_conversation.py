"""The rules of one connection, a row each: what is said, and which check finds which rule broken, if any."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.check.marks import Mark
from iscsi import pdu as p
from tests.support.wire_talk import DEPTH, MEDIUM_ERROR, NO_TAG, UNIT_ATTENTION, Talk, tagged

Say = Callable[[Talk], object]


def both(*parts: Say) -> Say:
    """One after the other."""
    return lambda talk: [part(talk) for part in parts]


def read(itt: int = 1, edtl: int = 512, **fields: int) -> Say:
    return lambda talk: talk.read(itt, edtl, **fields)


def came(itt: int = 1, length: int = 512, **fields: int) -> Say:
    return lambda talk: talk.data_in(itt, length, **fields)


def piece(offset: int, length: int, number: int, **fields: int) -> Say:
    more = {"has_status": False, "final": False, "buffer_offset": offset, "data_sn": number} | fields
    return lambda talk: talk.data_in(1, length, **more)


def write(edtl: int = 512, immediate: int = 0, **fields: object) -> Say:
    return lambda talk: talk.write(1, edtl, bytes(immediate), **fields)


def r2t(length: int, offset: int = 0, **fields: int) -> Say:
    return lambda talk: talk.r2t(1, length, offset, **fields)


def out(length: int, **fields: object) -> Say:
    return lambda talk: talk.data_out(1, length, **fields)


def good(itt: int = 1, **fields: object) -> Say:
    return lambda talk: talk.response(itt, **fields)


def ask(kind: type[p.Pdu], **fields: object) -> Say:
    return lambda talk: talk.request(kind, **fields)


def hear(kind: type[p.Pdu], **fields: object) -> Say:
    return lambda talk: talk.answer(kind, **fields)


UNSOLICITED = {"InitialR2T": "No"}
KEPT: dict[str, tuple[Say, dict[str, str]]] = {
    "a read in one piece": (both(read(), came()), {}),
    "a read in several": (
        both(
            read(edtl=3072),
            piece(0, 1024, 0),
            piece(1024, 1024, 1, final=True),
            came(1, 1024, buffer_offset=2048, data_sn=2),
        ),
        {},
    ),
    "a read whose status comes by itself": (
        both(read(), piece(0, 512, 0, final=True), good(exp_data_sn=1)),
        {},
    ),
    "a short read with its residual": (both(read(edtl=1024), came(underflow=True, residual=512)), {}),
    "a write with its data": (both(write(1024, 1024), good()), {}),
    "a write that is asked for in two bursts": (
        both(
            write(3072, 1024),
            r2t(1024, 1024, r2t_sn=0),
            out(1024, buffer_offset=1024),
            r2t(1024, 2048, r2t_sn=1),
            out(512, buffer_offset=2048, final=False),
            out(512, buffer_offset=2560, data_sn=1),
            good(),
        ),
        {},
    ),
    "unsolicited data, where that was agreed": (
        both(write(1024, 512, final=False), out(512, ttt=NO_TAG, buffer_offset=512), good()),
        UNSOLICITED,
    ),
    "a write that fails before its data is asked for": (
        both(write(2048, 512), good(status=2, data=MEDIUM_ERROR)),
        {},
    ),
    "a ping of the host's": (both(ask(p.NopOut, itt=5), hear(p.NopIn, itt=5)), {}),
    "a ping of the array's": (both(hear(p.NopIn, counts=False, ttt=9), ask(p.NopOut, ttt=9)), {}),
    "task tags in turn": (both(read(), came(), read(), came()), {}),
    "digests": (both(read(), came(), write(512, 512), good()), {"HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}),
    "an immediate command": (both(read(immediate=True), came()), {}),
    "a rejected request": (
        both(ask(p.NopOut, itt=5), lambda talk: talk.answer(p.Reject, reason=4, data=p.encode(p.NopOut(itt=5)))),
        {},
    ),
    "an abort of a task that is there no more": (both(read(), lambda talk: talk.abort(1, response=1), read()), {}),
    "data on its way for a task that was aborted": (
        both(write(1024), r2t(1024), lambda talk: talk.abort(1), out(1024)),
        {},
    ),
    "a logout": (both(ask(p.LogoutRequest, itt=5), hear(p.LogoutResponse, itt=5)), {}),
}

BROKEN: dict[str, tuple[Say, str, dict[str, str]]] = {
    "a command leaves a number out": (lambda talk: talk.read(1, cmd_sn=talk.cmd_sn + 1), "sequence: CmdSN", {}),
    "a command beyond the window": (
        both(hear(p.NopIn, counts=False, max_cmd_sn=10), *[read(itt) for itt in (1, 2, 3, 4, 5)]),
        "sequence: command window",
        {},
    ),
    "a larger window than the array takes": (
        lambda talk: talk.answer(p.NopIn, counts=False, max_cmd_sn=talk.cmd_sn + DEPTH),
        "sequence: command window",
        {},
    ),
    "a larger window than the array takes, with an answer": (
        lambda talk: (talk.read(1), talk.data_in(1, max_cmd_sn=talk.cmd_sn + DEPTH)),
        "sequence: command window",
        {},
    ),
    "MaxCmdSN below ExpCmdSN - 1": (hear(p.NopIn, counts=False, max_cmd_sn=2), "sequence: command window", {}),
    "ExpCmdSN beyond what was sent": (hear(p.NopIn, counts=False, exp_cmd_sn=13, max_cmd_sn=16), "sequence: CmdSN", {}),
    "ExpCmdSN goes back": (hear(p.NopIn, counts=False, exp_cmd_sn=9, max_cmd_sn=12), "sequence: CmdSN", {}),
    "a status before its command is acknowledged": (
        both(read(), came(exp_cmd_sn=11, max_cmd_sn=14)),
        "answers: early answer",
        {},
    ),
    "StatSN leaves a number out": (
        lambda talk: (talk.read(1), talk.data_in(1, stat_sn=talk.stat_sn + 1)),
        "sequence: StatSN",
        {},
    ),
    "the host acknowledges what was never sent": (
        lambda talk: talk.read(1, exp_stat_sn=talk.stat_sn + 1),
        "sequence: ExpStatSN",
        {},
    ),
    "a tag twice at a time": (both(read(), read()), "sequence: task tag", {}),
    "a tag for a command and a ping": (both(read(), ask(p.NopOut, itt=1)), "sequence: task tag", {}),
    "a ping without a tag that is not immediate": (ask(p.NopOut, immediate=False), "sequence: task tag", {}),
    "an answer to a ping that never was": (ask(p.NopOut, ttt=9), "sequence: ping", {}),
    "Data-In out of number": (both(read(), came(data_sn=1)), "sequence: DataSN", {}),
    "Data-In out of place": (both(read(edtl=1024), piece(512, 512, 0)), "sequence: data offset", {}),
    "more than was asked for": (both(read(), came(1, 1024)), "sequence: data offset", {}),
    "a read that ends without the F bit": (both(read(), piece(0, 512, 0)), "sequence: final bit", {}),
    "status without the F bit": (
        both(read(edtl=1024), piece(0, 512, 0, has_status=True, underflow=True, residual=512)),
        "sequence: final bit",
        {},
    ),
    "a burst of Data-In that does not end": (
        both(read(edtl=4096), piece(0, 1024, 0), piece(1024, 1024, 1), piece(2048, 1024, 2)),
        "sequence: burst length",
        {},
    ),
    "a Data-In that is longer than the host takes": (
        both(read(edtl=2048), came(1, 2048)),
        "sequence: segment length",
        {},
    ),
    "a response that counts Data-In wrongly": (
        both(read(), piece(0, 512, 0, final=True), good(exp_data_sn=2)),
        "sequence: DataSN",
        {},
    ),
    "immediate data against the agreement": (
        both(write(512, 512), good()),
        "sequence: immediate data",
        {"ImmediateData": "No"},
    ),
    "more immediate data than FirstBurstLength": (
        both(write(1024, 1024), good()),
        "sequence: burst length",
        {"FirstBurstLength": "512"},
    ),
    "more immediate data than the write is long": (
        both(write(512, 1024), good(overflow=True)),
        "sequence: burst length",
        {},
    ),
    "more immediate data than the array takes in one PDU": (
        both(write(1024, 1024), good()),
        "sequence: segment length",
        {"MaxRecvDataSegmentLength": "512"},
    ),
    "unsolicited data against the agreement": (write(1024, 512, final=False), "sequence: unsolicited data", {}),
    "unsolicited data out of place": (
        both(write(1024, final=False), out(512, ttt=NO_TAG, buffer_offset=512, final=False)),
        "sequence: data offset",
        UNSOLICITED,
    ),
    "unsolicited data out of number": (
        both(write(1024, final=False), out(1024, ttt=NO_TAG, data_sn=1)),
        "sequence: DataSN",
        UNSOLICITED,
    ),
    "unsolicited data that ends too early": (
        both(write(1024, final=False), out(512, ttt=NO_TAG)),
        "sequence: final bit",
        UNSOLICITED,
    ),
    "an R2T out of number": (both(write(1024), r2t(1024, r2t_sn=1)), "sequence: R2T", {}),
    "an R2T out of place": (both(write(1024), r2t(512, 512)), "sequence: R2T", {}),
    "an R2T for more than there is": (both(write(512), r2t(1024)), "sequence: R2T", {}),
    "an R2T for nothing": (both(write(512), r2t(0)), "sequence: R2T", {}),
    "an R2T for a longer burst than was agreed": (both(write(4096), r2t(4096)), "sequence: burst length", {}),
    "more R2Ts than was agreed": (
        both(write(2048), r2t(1024), r2t(1024, 1024, r2t_sn=1, ttt=8)),
        "sequence: R2T",
        {},
    ),
    "data that nobody asked for": (both(write(1024), out(1024)), "sequence: R2T", {}),
    "Data-Out out of number": (both(write(1024), r2t(1024), out(1024, data_sn=1)), "sequence: DataSN", {}),
    "Data-Out out of place": (
        both(write(1024), r2t(1024), out(512, buffer_offset=512)),
        "sequence: data offset",
        {},
    ),
    "a burst that ends too early": (both(write(1024), r2t(1024), out(512)), "sequence: data offset", {}),
    "a burst that ends without the F bit": (
        both(write(1024), r2t(1024), out(1024, final=False)),
        "sequence: final bit",
        {},
    ),
    "a command after the logout": (both(ask(p.LogoutRequest, itt=5), read()), "sequence: logout", {}),
    "GOOD and not all data": (both(read(edtl=1024), came()), "answers: data and residual", {}),
    "a residual that is not right": (
        both(read(edtl=1024), came(underflow=True, residual=256)),
        "answers: data and residual",
        {},
    ),
    "short and over at a time": (
        both(read(edtl=1024), came(underflow=True, overflow=True, residual=512)),
        "answers: data and residual",
        {},
    ),
    "GOOD before the data has come": (both(write(1024), good()), "answers: data and residual", {}),
    "CHECK CONDITION without sense": (both(read(), good(status=2)), "answers: sense data", {}),
    "a response to nothing": (good(), "answers: stray answer", {}),
    "a second response": (both(write(512, 512), good(), good()), "answers: stray answer", {}),
    "Data-In for nothing": (came(), "answers: stray answer", {}),
    "an R2T for nothing at all": (r2t(512), "answers: stray answer", {}),
    "a NOP-In for nothing": (hear(p.NopIn, itt=5), "answers: stray answer", {}),
    "a response to another kind of request": (
        both(ask(p.NopOut, itt=5), hear(p.TextResponse, itt=5)),
        "answers: stray answer",
        {},
    ),
    "a response to an aborted task": (
        both(read(), lambda talk: talk.abort(1), good()),
        "answers: aborted task",
        {},
    ),
    "a response to a task of a unit that was reset": (
        both(read(), lambda talk: talk.reset(), good()),
        "answers: aborted task",
        {},
    ),
}


def told(say: Say, keys: dict[str, str]) -> Talk:
    talk = Talk().log_in(**keys)
    say(talk)
    return talk


@pytest.mark.parametrize("name", KEPT)
def test_what_keeps_the_rules(name: str) -> None:
    say, keys = KEPT[name]
    assert told(say, keys).bench.found == []


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_rule_is_found(name: str) -> None:
    say, rule, keys = BROKEN[name]
    assert told(say, keys).bench.found[:1] == [rule]


def test_numbers_wrap() -> None:
    talk = Talk()
    talk.cmd_sn = 0xFFFFFFFE
    talk.stat_sn = 0xFFFFFFFD
    talk.log_in()
    for _ in range(4):
        talk.read(1)
        talk.data_in(1)
    assert talk.bench.found == []
    assert talk.bench.hit(Mark.CMD_SN_WRAPPED)
    talk.read(1, cmd_sn=talk.cmd_sn - 1)
    assert talk.bench.found == ["sequence: CmdSN"]


@pytest.mark.parametrize("part", ["header", "data"])
def test_a_digest_that_is_wrong_is_found(part: str) -> None:
    talk = Talk().log_in(HeaderDigest="CRC32C", DataDigest="CRC32C")
    talk.read(1)
    whole = bytearray(p.encode(p.ScsiCommand(itt=2, cmd_sn=talk.cmd_sn, write=True, edtl=4, data=b"data"), True, True))
    whole[48 if part == "header" else 56] ^= 1  # of the digest itself
    talk.conversation.sent(bytes(whole))
    assert talk.bench.found == ["sequence: digest"]


def test_nobody_listens_to_a_connection_whose_bytes_a_cable_changes() -> None:
    talk = Talk().log_in()
    talk.bench.watch.damaged((("10.0.0.2", 3260), ("10.0.1.5", 1024)))
    talk.response(77)
    assert talk.bench.found == []
    assert talk.bench.watch.turned_away == 1


# -- unit attentions ---------------------------------------------------------------------------------------------------


def served(talk: Talk, lun: int = 0, cdb: int = 0x28) -> list[str]:
    """What is found when a command of its own is served."""
    talk.command(9, cdb=cdb, lun=lun)
    talk.response(9)
    return talk.bench.found


FORGOTTEN = ["unit attentions: forgotten"]


@pytest.mark.parametrize(("cdb", "found"), [(0x28, FORGOTTEN), (0x12, []), (0xA0, []), (0x03, [])])
def test_a_new_nexus_first_command_meets_an_attention_unless_it_is_exempt(cdb: int, found: list[str]) -> None:
    assert served(Talk().log_in(attention=False), cdb=cdb) == found


def test_request_sense_may_have_taken_the_attention() -> None:
    talk = Talk().log_in(attention=False)
    assert served(talk, cdb=0x03) == served(talk) == []


def test_a_discovery_session_has_no_unit() -> None:
    assert served(Talk().log_in(attention=False, SessionType="Discovery")) == []


def test_each_unit_owes_its_own() -> None:
    assert served(Talk().log_in(), lun=1 << 48) == FORGOTTEN


def two() -> tuple[Talk, Talk]:
    one = Talk().log_in()
    return one, Talk(one.bench, port=1025, isid=2).log_in()


def test_a_reset_is_told_to_the_other_nexus() -> None:
    one, other = two()
    one.reset()
    assert served(one) == []
    assert served(other) == FORGOTTEN


def test_a_reset_of_one_unit_owes_nothing_at_another() -> None:
    one, other = two()
    one.reset(lun=1 << 48)
    assert served(other) == []


def test_a_reset_of_the_target_is_one_of_every_unit() -> None:
    one, other = two()
    one.reset(lun=1 << 48, function=6)
    assert served(other) == FORGOTTEN


def test_an_attention_may_come_before_the_answer_to_the_reset_that_it_tells_of() -> None:
    """The answer takes the slower path."""
    one, other = two()
    one.request(p.TmfRequest, function=5, itt=91)
    other.read(9)
    other.response(9, status=2, data=UNIT_ATTENTION)
    one.answer(p.TmfResponse, itt=91)
    assert served(other) == []


# -- copies of logical writes ------------------------------------------------------------------------------------------


def test_a_write_that_is_acknowledged_and_not_stored() -> None:
    talk = Talk().log_in()
    talk.write(1, 512, tagged(5))
    talk.response(1)
    assert talk.bench.found == ["acknowledged writes: stored"]


def test_a_write_is_known_by_its_first_data_whoever_asked_for_it() -> None:
    talk = Talk().log_in()
    talk.bench.landed.append(5)
    talk.write(1, 1024)
    talk.r2t(1, 1024)
    talk.data_out(1, 1024, data=tagged(5, 2))
    talk.response(1)
    [copy] = talk.bench.watch.copies[5]
    assert copy.good
    assert talk.bench.found == []


def test_a_reset_by_another_nexus_ends_what_has_arrived() -> None:
    one, other = two()
    other.write(1, 512, tagged(1))
    other.answer(p.NopIn, counts=False)
    other.write(2, 512, tagged(2))  # on its way, as far as is known
    one.reset()
    for itt in range(3, 6):  # the first has no answer (TAS=0), and the array has its place back
        other.read(itt)
    assert one.bench.found == []
    ends = [copies[0].ended_by for copies in one.bench.watch.copies.values()]
    assert ends == ["the logical unit was reset", ""]


@pytest.mark.parametrize("response", [0, 1])
def test_an_answered_abort_ends_the_copy(response: int) -> None:
    talk = Talk().log_in()
    talk.write(1, 512, tagged(5))
    talk.abort(1, response)
    assert talk.bench.watch.copies[5][0].ended_by == "its abort was answered"


def test_a_session_that_is_reinstated_ends_the_copies_of_the_old_one() -> None:
    old = Talk().log_in()
    old.write(1, 512, tagged(5))
    old.conversation.closed()
    Talk(old.bench, port=1025).log_in()
    assert old.bench.watch.copies[5][0].ended_by == "its session was reinstated"
    assert old.bench.hit(Mark.REINSTATEMENT)
