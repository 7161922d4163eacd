"""A served array from its start to its end: listeners, control socket, log, signals, an orderly goodbye.

SIGTERM and SIGINT stop it: nobody new is let in, everybody who is logged in is asked to log out (async event 1) and
given `stop_within`, then what is left is closed and the volumes are flushed. A second signal ends the waiting. SIGHUP
reads access rules and secrets anew.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.array import build_group
from harness.serving.control_server import ControlServer
from harness.serving.desk import Desk, decision_data
from harness.serving.event_log import EventLog
from harness.serving.file_limit import make_room
from harness.serving.metrics_http import MetricsServer
from harness.serving.notify import Notifier
from harness.serving.rates import Meter
from harness.serving.settings import LogLevel, Settings
from harness.serving.socket_place import SocketError, claim, default_path
from iscsi.constants import LoginStatus
from target.block_file import FileRefused
from target.config import GroupConfig, VolumeConfig
from target.decisions import Decision, Kind
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
        self._tallies: dict[str, dict[str, int]] = {}
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
        server.on_end = lambda ended: self._ended(meter, ended)
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
            return build_group(self._config, files=True, offload=off_loop(loop), on_decision=self._decided)
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
        metrics = MetricsServer(address, port, ArrayMetrics(desk.report, lambda: self._tallies).text, CONTENT_TYPE)
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

    def _decided(self, decision: Decision) -> None:
        refused = decision.kind is Kind.LOGIN and decision.portal is None
        name = "login.refused" if refused else decision.kind.value
        fields = {key: value for key, value in decision_data(decision).items() if value not in ("", None, 0)}
        del fields["kind"]
        self._tally("mpiolab_decisions", decision.kind.value)
        if decision.kind is Kind.LOGIN:
            self._tally("mpiolab_logins", decision.answer)
        self._log.event(name, decision.words, fields, level="warning" if refused else "info")

    def _ended(self, meter: Meter, ended: Ended) -> None:
        meter.ended(ended)
        session = ended.session
        fields: dict[str, object] = {"connection": ended.number, "source": ended.source, "local": ended.local}
        if session is not None:
            fields["session"] = session.tsih
            fields["initiator"] = session.identity.initiator_name
            fields["target"] = session.identity.target_name
        name, level = _end_of(ended)
        self._tally("mpiolab_connections_ended", "login" if session is None else "full feature")
        self._log.event(name, ended.words, fields | {"reason": ended.why}, level=level)

    def _tally(self, metric: str, value: str) -> None:
        counts = self._tallies.setdefault(metric, {})
        counts[value] = counts.get(value, 0) + 1

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
            before = (_without_access(self._config), _without_access(_as_grown(self._config, group)))
            if _without_access(config) not in before:
                raise ServeError("only access rules and secrets can change while the array is served")
        except ServeError as error:
            self._log.event("reload.refused", f"SIGHUP: {error}; everything stays as it was", level="error")
            return
        for volume in config.volumes:
            group.volumes[volume.iqn.lower()].config = volume
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


def _end_of(ended: Ended) -> tuple[str, LogLevel]:
    """What a connection's end is called, and how loud it is: a redirect is an end, too, and told by its decision."""
    if ended.session is not None:
        return "connection.ended", "info"
    if ended.why.endswith(LoginStatus.MOVED_TEMPORARILY.words):
        return "login.redirected", "debug"
    return "login.ended", "warning" if ended.why.startswith("login ended with") else "info"


def _logged_in(server: ArrayServer) -> int:
    return sum(protocol.session is not None for protocol in server.connections())


async def _close(server: ArrayServer) -> None:
    """Break what is left, and let the loop tell the ends of it."""
    server.close()
    for _ in range(_ROUNDS_TO_END):
        if not server.connections():
            return
        await asyncio.sleep(0)


def _without_access(config: GroupConfig) -> GroupConfig:
    return replace(config, volumes=tuple(replace(volume, access=()) for volume in config.volumes))


def _as_grown(config: GroupConfig, group: Group) -> GroupConfig:
    """The configuration with the sizes the volumes have by now."""

    def size(volume: VolumeConfig, lun: int, before: int) -> int:
        unit = group.volumes[volume.iqn.lower()].luns.get(lun)
        return before if unit is None else unit.disk.blocks * unit.disk.block_size

    return replace(
        config,
        volumes=tuple(
            replace(
                volume,
                size_bytes=size(volume, 0, volume.size_bytes),
                more_luns=tuple(
                    replace(lun, size_bytes=size(volume, lun.number, lun.size_bytes)) for lun in volume.more_luns
                ),
            )
            for volume in config.volumes
        ),
    )


def greeting(config: GroupConfig) -> list[str]:
    """What a person needs to log in."""
    front = config.group_address or config.portals[0].address
    lines = [f"{config.name}: discover at {front}:{config.port}"]
    if config.group_address is not None:
        portals = ", ".join(portal.address for portal in config.portals)
        lines.append(f"logins are redirected to {portals} ({config.placement})")
    for volume in config.volumes:
        for lun in volume.luns:
            address = f"iscsi://{front}:{config.port}/{volume.iqn}/{lun.number}"
            lines.append(f"  {address}   {volume.name}, {lun.size_bytes} bytes")
    return lines
