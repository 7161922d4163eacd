"""Flushes in threads of a stock loop: the loop goes on, hears how each ended, and a slow medium delays nobody else."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path
from typing import Any

from iscsi import scsi
from iscsi.pdu import ScsiCommand, ScsiResponse
from target.block_file import OsFile, open_volume
from target.file_store import FileStore
from target.off_loop import off_loop
from tests.support.array import VOLUME
from tests.support.array_on_tcp import BLOCKS, TcpPeer, block_data, serving


def how_it_ends(job: Any) -> tuple[OSError | None, list[dict[str, Any]]]:
    """What ``done`` hears of a job, and what the loop is told of exceptions."""

    async def main() -> tuple[OSError | None, list[dict[str, Any]]]:
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[OSError | None] = loop.create_future()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        off_loop(loop)(job, heard.set_result)
        error = await heard
        await asyncio.sleep(0)
        return error, told

    return asyncio.run(main())


def test_a_job_runs_in_another_thread_and_its_end_is_heard_in_the_loop_s() -> None:
    ran: list[threading.Thread] = []
    assert how_it_ends(lambda: ran.append(threading.current_thread())) == (None, [])
    assert ran != [threading.main_thread()]


def test_its_error_is_heard() -> None:
    failure = OSError(errno.EIO, "Input/output error")

    def job() -> None:
        raise failure

    assert how_it_ends(job) == (failure, [])


def test_an_error_of_ours_is_no_success_and_is_not_hidden() -> None:
    def job() -> None:
        raise ZeroDivisionError("planted")

    error, (told,) = how_it_ends(job)
    assert error is not None
    assert (error.errno, error.strerror) == (errno.EIO, "the flush broke: ZeroDivisionError('planted')")
    assert isinstance(told["exception"], ZeroDivisionError)


def test_waiting_for_a_job_returns_when_it_has_ended() -> None:
    async def main() -> None:
        going, ended = threading.Event(), []

        def job() -> None:
            going.wait()
            ended.append(True)

        wait = off_loop(asyncio.get_running_loop())(job, lambda error: None)
        asyncio.get_running_loop().call_soon(going.set)
        await asyncio.sleep(0)
        wait()
        assert ended == [True]

    asyncio.run(main())


class SlowFile(OsFile):
    """A file whose syncs take until ``ready``."""

    __slots__ = ("begun", "ready")

    def sync(self) -> None:
        self.begun.set()
        assert self.ready.wait(20)
        super().sync()


def test_a_flush_that_takes_long_delays_nobody_else_and_is_answered_when_it_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving() as served:
            opened = open_volume(tmp_path / "volume", 1 << 20)
            file = SlowFile(opened._fd, tmp_path / "volume")
            file.begun, file.ready = threading.Event(), threading.Event()
            volume = served.server.group.volume(VOLUME)
            assert volume is not None
            (unit,) = volume.luns.units()
            unit.disk.store = FileStore(file, off_loop(asyncio.get_running_loop()))
            unit.disk.store.write(0, b"".join(map(block_data, range(BLOCKS))))

            one, two = await served.session(1), await served.session(2)
            sync = synchronize(one)
            await one.send(sync)
            while not file.begun.is_set():
                await asyncio.sleep(0)
            for lba in range(8):
                assert await two.read(lba, 1) == block_data(lba)
                assert await one.read(lba, 1) == block_data(lba), "the read was answered before the flush"
            file.ready.set()
            answer = await one.hear()
            assert isinstance(answer, ScsiResponse)
            assert (answer.itt, answer.status) == (sync.itt, 0)
            unit.disk.store.close()

    asyncio.run(main())


def test_the_array_can_be_closed_while_a_flush_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving() as served:
            opened = open_volume(tmp_path / "volume", 1 << 20)
            file = SlowFile(opened._fd, tmp_path / "volume")
            file.begun, file.ready = threading.Event(), threading.Event()
            volume = served.server.group.volume(VOLUME)
            assert volume is not None
            (unit,) = volume.luns.units()
            unit.disk.store = FileStore(file, off_loop(asyncio.get_running_loop()))
            peer = await served.session()
            await peer.send(synchronize(peer))
            await peer.send(synchronize(peer))
            while not file.begun.is_set():
                await asyncio.sleep(0)
            served.server.close()
            asyncio.get_running_loop().call_soon(file.ready.set)
            await asyncio.sleep(0)
            unit.close()
            assert await peer.hears_the_end() == []

    asyncio.run(main())


def synchronize(peer: TcpPeer) -> ScsiCommand:
    peer.itt += 1
    command = ScsiCommand(itt=peer.itt, cmd_sn=peer.cmd_sn, cdb=scsi.synchronize_cache().ljust(16, b"\0"))
    peer.cmd_sn += 1
    return command
