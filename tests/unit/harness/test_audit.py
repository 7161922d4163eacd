"""The last act of a run: everything that was written is read back, over whatever path there is by then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness import audit
from harness.audit import READ_BLOCKS, _pieces
from harness.host_site import HostSite
from harness.patience import longest_io_ns
from harness.result import ExitCode
from harness.sectors import stamped
from initiator_model.paths import Path
from initiator_model.requests import ScsiRequest
from initiator_model.session import IscsiSession
from iscsi.pieces import Pieces
from target.store import MemoryStore
from tests.support.runs import LOGINS, NICS, failed, run, timers_of, two_paths, verdicts, workload

WRITES = workload("writes", op="write", ios=50, iops=None)
KILL = {"do": "fault", "kind": "array_kill", "name": "kill"}


def test_adjacent_blocks_are_read_together_up_to_a_limit() -> None:
    assert _pieces([]) == []
    assert _pieces([(3, 3), (9, 1)]) == [(3, 3), (9, 1)]
    assert _pieces([(5, READ_BLOCKS + 2)]) == [(5, READ_BLOCKS), (5 + READ_BLOCKS, 2)]


def test_a_run_without_writes_has_nothing_to_read_back() -> None:
    result = run(two_paths(*LOGINS, workload(op="read", ios=10)))
    assert "paths agree" not in verdicts(result)


def test_what_was_written_is_judged() -> None:
    result = run(two_paths(*LOGINS, WRITES))
    assert verdicts(result)["paths agree"] == "pass"
    assert set(verdicts(result).values()) == {"pass"}


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A store that says yes to one write and forgets it."""
    seen: list[int] = []
    honest = MemoryStore.write

    def forgetful(self: MemoryStore, offset: int, data: bytes) -> None:
        seen.append(offset)
        if len(seen) != 50:
            honest(self, offset, data)

    monkeypatch.setattr(MemoryStore, "write", forgetful)
    return seen


def test_a_write_that_is_not_there_fails_on_correctness_with_its_block(dropped: list[int]) -> None:
    result = run(two_paths(*LOGINS, WRITES))
    why = failed(result, "lost writes")
    first = dropped[49] // 512
    assert f"in blocks {first} to {first + 7} was acknowledged and never reached the medium" in why
    assert "is not on the medium" in failed(result, "acknowledged writes")
    assert result.exit_code is ExitCode.CORRECTNESS


def test_paths_that_are_still_on_their_way_back_are_waited_for() -> None:
    """The array comes back with the last heal; the sessions, whose paths have failed by then, a little later."""
    result = run(two_paths(*LOGINS, WRITES, KILL, {"do": "wait", "duration": "5s"}))
    assert verdicts(result)["paths agree"] == "pass"
    assert set(verdicts(result).values()) == {"pass"}


def test_a_volume_that_nobody_can_read_any_more_is_a_liveness_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.faults.LinkDown._heal", lambda self: None)  # a cable that is never plugged in again
    cables = [{"do": "fault", "kind": "link_down", "nic": nic} for nic in NICS[:2]]
    gone = [{"do": "wait", "until": until, "volume": "logs", "within": "5s"} for until in ("path_lost", "no_paths")]
    tables = two_paths(*LOGINS, WRITES, *cables, *gone)
    result = run(tables)
    drain_s = longest_io_ns(timers_of(tables)) / 1e9
    assert failed(result, "audit") == (
        f"logs could not be read back within {drain_s:g} s of healing everything: no host has a path"
    )
    assert "192.168.76.105 → 192.168.77.1 is" in failed(result, "paths return")
    assert result.exit_code is ExitCode.LIVENESS


def test_a_read_that_keeps_failing_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = MemoryStore.gather

    def broken(self: MemoryStore, offset: int, length: int) -> bytes | Pieces:
        if length > 4096:  # as the audit reads over the paths
            raise OSError("the platter is scratched")
        return honest(self, offset, length)

    monkeypatch.setattr(MemoryStore, "gather", broken)
    monkeypatch.setattr(MemoryStore, "read", lambda store, offset, length: bytes(honest(store, offset, length)))
    sequential = workload("writes", op="write", ios=50, iops=None, pattern="sequential", region="1MiB")
    result = run(two_paths(*LOGINS, sequential))
    assert "128 blocks at 0 over 77030000: READ: CHECK_CONDITION 3/11/00" in failed(result, "audit")
    assert result.exit_code is ExitCode.LIVENESS


def test_a_volume_that_was_logged_out_is_not_read_back_and_that_is_no_failure() -> None:
    result = run(two_paths(*LOGINS, WRITES, {"do": "logout", "volume": "logs"}))
    assert result.verdict == "pass"
    assert "paths agree" not in verdicts(result)


def test_after_a_step_that_failed_the_content_is_judged_all_the_same(dropped: list[int]) -> None:
    wait = {"do": "wait", "until": "no_paths", "volume": "logs", "within": "1s"}
    result = run(two_paths(*LOGINS, WRITES, wait))
    assert [failure.check for failure in result.failures] == ["step wait", "lost writes", "acknowledged writes"]


def test_a_fault_that_was_left_standing_is_healed_before_the_audit() -> None:
    faults = [{"do": "fault", "kind": "blackhole", "nic": nic} for nic in NICS[:2]]
    result = run(two_paths(*LOGINS, WRITES, *faults))
    assert verdicts(result)["paths agree"] == "pass"
    assert set(verdicts(result).values()) == {"pass"}


def test_what_still_lands_while_a_path_is_read_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write of unknown outcome may: the read has seen the block before, the medium is looked at after."""
    honest = audit._read
    stores: list[MemoryStore] = []
    write = MemoryStore.write
    reads: list[int] = []

    def remembered(store: MemoryStore, offset: int, data: bytes) -> None:
        stores.append(store)
        write(store, offset, data)

    async def read(site: HostSite, path: Path, first: int, *rest: Any) -> bytes | None:
        data = await honest(site, path, first, *rest)
        if not reads:
            write(stores[0], first * 512, stamped(1, first, 1, 512))
        reads.append(first)
        return data

    monkeypatch.setattr(MemoryStore, "write", remembered)
    monkeypatch.setattr(audit, "_read", read)
    result = run(two_paths(*LOGINS, WRITES))
    assert verdicts(result)["paths agree"] == "pass"
    assert reads[:2] == [reads[0]] * 2, "it is read again"


def test_media_are_looked_at_though_nothing_drains(dropped: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = IscsiSession.submit

    def submit(session: IscsiSession, request: ScsiRequest, done: Any) -> None:
        if request.cdb[0] != 0x28:
            honest(session, request, done)

    monkeypatch.setattr(IscsiSession, "submit", submit)
    result = run(two_paths(*LOGINS, WRITES, workload("reads", op="read", ios=1, background=True)))
    assert "1 I/Os did not end" in failed(result, "drain")
    assert "never reached the medium" in failed(result, "lost writes")
