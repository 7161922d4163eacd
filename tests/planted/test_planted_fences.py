"""Mistakes one makes in fencing, planted one at a time: each brings the ghost back, or costs a write, and is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.load import load_scenario, scenario_from
from harness.narration import QuietNarrator
from harness.result import Result
from harness.run import run_scenario
from harness.scenario import Scenario
from initiator_model.fence_line import FenceLine
from initiator_model.fencing import DiskFence
from initiator_model.host_records import HostSession
from initiator_model.live_connection import LiveConnection
from initiator_model.logical_io import LogicalIo
from initiator_model.losses import Loss
from initiator_model.lu_probe import LogicalUnitFacts
from initiator_model.path_claims import PathClaims
from initiator_model.paths import Path as DiskPath
from initiator_model.registrations import Registrations
from initiator_model.requests import Completion
from initiator_model.scsi_calls import Submit
from initiator_model.session import IscsiSession
from iscsi.scsi import PersistentOut
from tests.support.runs import LOGINS, NICS, SHORT_TIMERS, Tables, failed, run, two_paths, workload

Plant = Callable[[pytest.MonkeyPatch], None]


def told(scenario: Scenario) -> Result:
    return run_scenario(scenario, seed=scenario.seed, net="sim", pcap=None, narrator=QuietNarrator())


def a_fence_that_holds_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tried(fence: DiskFence, loss: Loss, through: DiskPath) -> Completion | None:
        return None

    monkeypatch.setattr(DiskFence, "_tried", tried)


def a_session_that_forgets_what_it_has_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = IscsiSession._new_loss

    def new_loss(session: IscsiSession, live: LiveConnection, *, seen: bool) -> Loss:
        loss = honest(session, live, seen=seen)
        loss.end()
        return loss

    monkeypatch.setattr(IscsiSession, "_new_loss", new_loss)


def a_line_that_lets_writes_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(line: FenceLine, io: LogicalIo, path: DiskPath) -> bool:
        return False

    monkeypatch.setattr(FenceLine, "stops", stops)


@pytest.mark.parametrize("rule", ["lun_reset", "preempt"])
@pytest.mark.parametrize(
    "plant",
    [
        a_fence_that_holds_before_it_is_made,
        a_session_that_forgets_what_it_has_sent,
        a_line_that_lets_writes_pass,
    ],
    ids=lambda plant: plant.__name__,
)
def test_the_ghost_is_back(plant: Plant, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    result = told(load_scenario(Path(f"scenarios/ghost_write_{rule}.toml")))
    assert "write 1 landed again, over write 2" in failed(result, "ghost writes")


def test_a_key_without_a_reservation_keeps_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is at the array is aborted; what is on its way to it is executed when it arrives."""

    async def register(keys: Registrations, submit: Submit, isid: bytes, lun: int) -> None:
        await keys._out(submit, lun, PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY, 0, keys.key(isid))

    monkeypatch.setattr(Registrations, "register", register)
    slow = {"do": "fault", "kind": "rate", "nic": NICS[0], "rate": "200Kbit", "at": "688ms"}
    nop = {"enable_nop_out": True, "nop_out_interval": "300ms", "nop_out_timeout": "200ms"}
    policy = {"do": "set_policy", "volume": "logs", "policy": "round-robin"}
    work = workload(background=True, block="64KiB", region="64KiB")
    steps = [*LOGINS, policy, work, slow, {"do": "wait", "duration": "10ms", "at": "6s"}]
    tables = two_paths(*steps, timers=SHORT_TIMERS | nop | {"pdo_remove_period": "60s"})
    tables["hosts"][0] |= {"profile": "msdsm-2008", "fencing": "preempt-and-abort"}
    assert "landed again" in failed(run(tables), "ghost writes")


def there_and_back() -> Tables:
    """A path is lost under writes, preempted, and used again: then its writes must be admitted."""
    cable = {"do": "fault", "kind": "link_down", "nic": NICS[0], "name": "cable", "at": "300ms"}
    steps = [
        *LOGINS,
        {"do": "set_policy", "volume": "logs", "policy": "round-robin"},
        {"do": "fault", "kind": "late", "name": "queue", "op": "write", "count": 1},
        workload(background=True, op="write"),
        cable,
        {"do": "wait", "until": "path_lost", "volume": "logs"},
        {"do": "heal", "name": "cable"},
        {"do": "heal", "name": "queue"},
        {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2},
        {"do": "wait", "duration": "500ms"},
        {"do": "expect", "that": [{"check": "io", "failed": 0}]},
    ]
    tables = two_paths(*steps, timers=SHORT_TIMERS | {"pdo_remove_period": "60s"})
    tables["hosts"][0]["fencing"] = "preempt-and-abort"
    return tables


def test_a_path_that_comes_back_is_used() -> None:
    result = run(scenario_from(there_and_back()))
    assert not result.failures, [f"{failure.check}: {failure.why}" for failure in result.failures]
    assert len(result.failovers) == 1


def test_a_path_that_comes_back_without_its_key_fails_its_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def readmit(
        claims: PathClaims, owner: HostSession, units: list[LogicalUnitFacts], submit: Submit | None = None
    ) -> str | None:
        return None

    monkeypatch.setattr(PathClaims, "readmit", readmit)
    result = run(scenario_from(there_and_back()))
    assert "RESERVATION_CONFLICT" in failed(result, "io")
