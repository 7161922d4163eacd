"""`mpiolab serve`: the array alone, on real TCP, for real initiators.

It binds to loopback unless told otherwise: the addresses of the file move into 127.0.0.0/8 (see `harness.loopback`).
With ``as_written`` the file's own addresses are used, which must then be configured on this machine, and anyone who
can reach them is subject to the volumes' access rules alone.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.array import group_config
from harness.load import validated
from harness.loopback import array_on_loopback
from harness.mistakes import Mistake, ScenarioError
from harness.scenario import Array
from harness.serving.allocator import keep_freed_memory
from harness.serving.array_file import Serving, load_serving
from harness.serving.daemon import Daemon, ServeError
from harness.serving.event_log import EventLog
from harness.serving.notify import Notifier
from harness.serving.polling_selector import best_selector
from harness.serving.settings import LoopName, Settings
from target.config import GroupConfig

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def example_array() -> Array:
    """The array of the walkthrough, open to everybody: what `mpiolab serve` without a file offers."""
    return Array.model_validate(
        {
            "kind": "equallogic",
            "name": "PS100",
            "group": "192.168.51.1/22",
            "portals": ["192.168.51.2", "192.168.51.3", "192.168.51.4"],
            "volumes": [{"name": "iscsi-test", "size": "1GiB", "access": [{"source": "0.0.0.0/0"}]}],
        }
    )


def serve(
    path: Path | None,
    *,
    as_written: bool,
    say: Callable[[str], None],
    options: Mapping[str, Any] | None = None,
    log: EventLog | None = None,
) -> None:
    """Serve the array of a file until SIGINT or SIGTERM. Raises ScenarioError or ServeError.

    ``options`` are settings of `[serve]` that the command line gives; they go before the file's.
    """
    serving = _serving(path)
    settings = _with_options(serving.settings, options or {})
    if log is None:
        log = EventLog(sys.stderr, settings.log, settings.log_level, time.monotonic)
    config = _config(serving, as_written)

    def reread() -> GroupConfig:
        if path is None:
            raise ServeError("there is no file to read again")
        try:
            return _config(_serving(path), as_written)
        except ScenarioError as error:
            raise ServeError(str(error)) from None

    async def main() -> None:
        daemon = Daemon(
            config,
            settings,
            log,
            say=say,
            reread=reread,
            notifier=Notifier(),
            random_bytes=secrets.token_bytes,
            wall_clock=time.time,
        )
        await daemon.run()

    keep_freed_memory()
    with asyncio.Runner(loop_factory=loop_factory(settings.loop)) as runner:
        runner.run(main())


def loop_factory(name: LoopName) -> LoopFactory:
    """The event loop of that name. Raises ServeError for uvloop where it is not installed."""
    if name == "asyncio":
        return _asyncio_loop
    try:
        import uvloop
    except ImportError:
        if name == "auto":
            return _asyncio_loop
        raise ServeError("loop = uvloop: it is not installed (pip install 'mpiolab[uvloop]')") from None
    factory: LoopFactory = uvloop.new_event_loop
    return factory


def _asyncio_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(best_selector())


def _serving(path: Path | None) -> Serving:
    return Serving(example_array()) if path is None else load_serving(path)


def _config(serving: Serving, as_written: bool) -> GroupConfig:
    array = serving.array if as_written else array_on_loopback(serving.array)
    return group_config(array, serving.limits)


def _with_options(settings: Settings, options: Mapping[str, Any]) -> Settings:
    given = {key: value for key, value in options.items() if value is not None}
    try:
        read = validated(Settings, {"metrics_open": settings.metrics_open} | given, "")
    except ScenarioError as error:
        raise ScenarioError([Mistake("", f"--{wrong.key}", wrong.message) for wrong in error.mistakes]) from None
    return settings.model_copy(update={name: getattr(read, name) for name in read.model_fields_set})
