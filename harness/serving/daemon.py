"""A served array from its start to its end: listeners, control socket, log, signals, an orderly goodbye.

SIGTERM and SIGINT stop it: nobody new is let in, everybody who is logged in is asked to log out (async event 1) and
given `stop_within`, then what is left is closed and the volumes are flushed. A second signal ends the waiting. SIGHUP
reads access rules and secrets anew.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from harness.array import build_group
from harness.serving.control_server import ControlServer
from harness.serving.desk import Desk
from harness.serving.event_log import EventLog
from harness.serving.file_limit import make_room
from harness.serving.greeting import greeting
from harness.serving.happenings import Happenings
from harness.serving.metrics_http import MetricsServer
from harness.serving.notify import Notifier
from harness.serving.rates import Meter
from harness.serving.reload import take_over
from harness.serving.settings import Settings
from harness.serving.socket_place import SocketError, claim, default_path
from target.block_file import FileRefused
from target.config import GroupConfig
from target.group import Group
from target.off_loop import off_loop
from target.operations import Operations
from target.server import ArrayServer, Ended


class ServeError(Exception):
    """The array cannot be served; the message names the address, file or socket."""


class Daemon:
    """Serves one array until it is told to stop.

    ``say`` takes lines for whoever started it, ``reread`` gives the configuration anew (it raises ServeError for one
    that cannot be used), ``notifier`` speaks to systemd, and ``wall_clock`` gives the seconds since 1970.
    """

    def __init__(
        self,
        config: GroupConfig,
        settings: Settings,
        log: EventLog,
        *,
        say: Callable[[str], None],
        reread: Callable[[], GroupConfig],
        notifier: Notifier,
        random_bytes: Callable[[int], bytes],
        wall_clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._settings = settings
        self._log = log
        self._say = say
        self._reread = reread
        self._notifier = notifier
        self._random_bytes = random_bytes
        self._wall_clock = wall_clock
        self._happenings = Happenings(log)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """From the first listener to the last flush. Raises ServeError when it cannot start."""
        loop = asyncio.get_running_loop()
        if complaint := make_room(self._config.limits.max_connections):
            self._log.event("files.few", complaint, level="warning")
        group = self._open_volumes(loop)
        server = ArrayServer(group, self._random_bytes)
        meter = Meter(server, self._log.tell_suppressed)
        operations = Operations(server)
        desk = Desk(server, operations, meter, self._log, self._wall_clock)
        server.on_end = _both(meter.ended, self._happenings.ended)
        control: ControlServer | None = None
        metrics: MetricsServer | None = None
        try:
            control = await self._open_control(desk)
            metrics = await self._open_metrics(desk)
            await self._listen(server)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._on_stop, number)
            loop.add_signal_handler(signal.SIGHUP, self._on_reload, group)
            meter.start()
            operations.start()
            desk.state = "serving"
            self._greet()
            await self._stop.wait()
            desk.state = "stopping"
            if control is not None:
                control.interrupt("the array is stopping")
            await self._say_goodbye(server, operations)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)
            operations.stop()
            meter.stop()
            await _close(server)
            for door in (control, metrics):
                if door is not None:
                    door.close()
            self._close_volumes(group)
        self._log.event("stopped", "stopped")

    # -- the beginning ---------------------------------------------------------------------------------------------

    def _open_volumes(self, loop: asyncio.AbstractEventLoop) -> Group:
        try:
            return build_group(self._config, files=True, offload=off_loop(loop), on_decision=self._happenings.decided)
        except FileRefused as error:
            raise ServeError(str(error)) from None

    async def _open_control(self, desk: Desk) -> ControlServer | None:
        """The control socket. One that was asked for has to be had; without the one by default the array serves on."""
        asked = self._settings.socket
        config = self._config
        name = config.name if config.port == _USUAL_PORT else f"{config.name}-{config.port}"
        path = default_path(name) if asked is None else Path(asked)
        try:
            control = ControlServer(claim(path), desk.handle)
        except SocketError as error:
            if asked is not None:
                raise ServeError(f"control socket {error}") from None
            self._log.event("control.none", f"no control socket: {error}", {"socket": str(path)}, level="warning")
            return None
        await control.start()
        self._log.event("control.open", f"control socket {path}", {"socket": str(path)}, level="debug")
        return control

    async def _open_metrics(self, desk: Desk) -> MetricsServer | None:
        if self._settings.metrics is None:
            return None
        address, port = self._settings.metrics
        try:
            from harness.serving.metrics import CONTENT_TYPE, ArrayMetrics
        except ImportError:
            raise ServeError("metrics: prometheus_client is not installed (pip install 'mpiolab[metrics]')") from None
        metrics = MetricsServer(
            address, port, ArrayMetrics(desk.report, lambda: self._happenings.tallies).text, CONTENT_TYPE
        )
        try:
            await metrics.start()
        except OSError as error:
            raise ServeError(f"metrics: cannot listen at {address}:{port}: {error.strerror or error}") from None
        self._log.event("metrics.open", f"metrics at http://{address}:{port}/metrics", level="debug")
        return metrics

    async def _listen(self, server: ArrayServer) -> None:
        for address in self._config.addresses:
            try:
                await server.listen(address)
            except OSError as error:
                reason = error.strerror or str(error)
                raise ServeError(f"cannot listen at {address}:{self._config.port}: {reason}") from None

    def _greet(self) -> None:
        front = self._config.group_address or self._config.portals[0].address
        where = f"{self._config.name} at {front}:{self._config.port}"
        self._log.event(
            "serving",
            f"serving {where}",
            {
                "array": self._config.name,
                "addresses": list(self._config.addresses),
                "port": self._config.port,
                "volumes": [volume.iqn for volume in self._config.volumes],
            },
        )
        if self._settings.log == "text":
            for line in greeting(self._config):
                self._say(line)
        self._tell_systemd("READY=1", f"STATUS=Serving {where}")

    # -- what happens meanwhile ------------------------------------------------------------------------------------

    def _on_stop(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._stop.is_set():
            self._log.event("stopping", f"{name} again: not waiting for anybody", {"signal": name})
            self._hurry.set()
        else:
            self._log.event("stopping", f"{name}: asking everybody to log out", {"signal": name})
            self._stop.set()

    def _on_reload(self, group: Group) -> None:
        """Take over new access rules and secrets; anything else that has changed takes a restart."""
        try:
            config = self._reread()
            if not take_over(group, self._config, config):
                raise ServeError("only access rules and secrets can change while the array is served")
        except ServeError as error:
            self._log.event("reload.refused", f"SIGHUP: {error}; everything stays as it was", level="error")
            return
        self._config = config
        self._log.event("reload", "SIGHUP: access rules and secrets are read; they hold for logins from now on")

    # -- the end ---------------------------------------------------------------------------------------------------

    async def _say_goodbye(self, server: ArrayServer, operations: Operations) -> None:
        """Let nobody in, and have those who are in log out; whoever has not logged in is owed nothing."""
        self._tell_systemd("STOPPING=1", "STATUS=Waiting for initiators to log out")
        operations.stop()
        server.stop_listening()
        within_s = self._settings.stop_within_ns / 1e9
        for protocol in server.connections():
            if protocol.session is None:
                protocol.drop()
            else:
                protocol.request_logout(max(1, round(within_s)))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while _logged_in(server) and loop.time() < deadline and not self._hurry.is_set():
            await asyncio.sleep(_POLL_S)
        left = _logged_in(server)
        if left:
            words = f"not logged out in time, and closed: {left} connection{'s' if left > 1 else ''}"
            self._log.event("stopping.left", words, {"connections": left}, level="warning")

    def _close_volumes(self, group: Group) -> None:
        for name, volume in group.volumes.items():
            for unit in volume.luns.units():
                try:
                    unit.close()
                except OSError as error:
                    words = f"{name}: what was not synchronized may be lost: {error.strerror}"
                    self._log.event("volume.lost", words, {"target": name}, level="error")

    def _tell_systemd(self, *states: str) -> None:
        if complaint := self._notifier.tell(*states):
            self._log.event("systemd", complaint, level="warning")


_POLL_S = 0.02
_USUAL_PORT = 3260
_ROUNDS_TO_END = 100


def _both(first: Callable[[Ended], None], second: Callable[[Ended], None]) -> Callable[[Ended], None]:
    def hear(ended: Ended) -> None:
        first(ended)
        second(ended)

    return hear


def _logged_in(server: ArrayServer) -> int:
    return sum(protocol.session is not None for protocol in server.connections())


async def _close(server: ArrayServer) -> None:
    """Break what is left, and let the loop tell the ends of it."""
    server.close()
    for _ in range(_ROUNDS_TO_END):
        if not server.connections():
            return
        await asyncio.sleep(0)
