"""The peers themselves, with nothing of ours between them: what later tests rely on holds on this machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.interop import support
from tests.interop.conftest import StartTgt
from tests.interop.support import Require, run, run_beside

pytestmark = pytest.mark.interop


def test_tgt_serves_its_disk_to_libiscsi(tgt: StartTgt, require: Require) -> None:
    server = tgt(size_bytes=8 << 20)
    listed = run(require("iscsi-ls"), f"iscsi://{server.portal}")
    assert listed.returncode == 0
    assert f"Target:{server.iqn} Portal:{server.portal},1" in listed.stdout
    capacity = run(require("iscsi-readcapacity16"), server.url)
    assert "Total size:8388608" in capacity.stdout


def test_libiscsi_follows_a_temporary_redirect_from_one_tgt_to_another(tgt: StartTgt, require: Require) -> None:
    """The same name stands for disks of two sizes, so the answer tells where it came from."""
    destination = tgt(address="127.0.0.3", size_bytes=8 << 20)
    group = tgt(address="127.0.0.2", size_bytes=4 << 20)
    group.redirect(destination.address, destination.port)
    answer = run(require("iscsi-readcapacity16"), group.url)
    assert "Total size:8388608" in answer.stdout


def test_libiscsi_does_not_follow_a_permanent_redirect(tgt: StartTgt, require: Require) -> None:
    destination = tgt(address="127.0.0.3")
    group = tgt(address="127.0.0.2")
    group.redirect(destination.address, destination.port, "Permanent")
    answer = run(require("iscsi-inq"), group.url)
    assert answer.returncode != 0
    assert "Target moved permanently(258)" in answer.stderr + answer.stdout


def test_a_program_can_run_beside_the_event_loop(tgt: StartTgt, require: Require) -> None:
    server = tgt()
    answer = asyncio.run(run_beside(require("iscsi-inq"), server.url))
    assert (answer.returncode, "Vendor:IET" in answer.stdout) == (0, True)


def test_a_tgtd_is_gone_once_closed(tgt: StartTgt) -> None:
    server = tgt()
    server.close()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"sleep 60 had not ended after 0.1 s"):
        run(Path("/bin/sleep"), "60", limit_s=0.1)
    with pytest.raises(pytest.fail.Exception, match=r"sleep 60 had not ended after 0.1 s"):
        asyncio.run(run_beside(Path("/bin/sleep"), "60", limit_s=0.1))


@pytest.mark.parametrize(
    ("all_required", "outcome"), [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)], ids=["skip", "failure"]
)
def test_a_missing_program_names_its_package(
    monkeypatch: pytest.MonkeyPatch, all_required: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setattr(support.shutil, "which", lambda *_, **__: None)
    monkeypatch.setenv("MPIOLAB_REQUIRE_PEERS", all_required)
    with pytest.raises(outcome, match=r"tgtd is not installed \(Debian package tgt\)"):
        support.require("tgtd")
