"""`LoopbackArray`: the array on real TCP for the time of a test, in a thread with an event loop of its own.

It is the array of `mpiolab serve`, at addresses of 127.0.0.0/8 that stay distinct as in `harness.loopback`, on a port
that is free at all of them. Being in a thread it serves any initiator: asyncio on any loop, blocking sockets, another
process. Every method here may be called from any other thread; none waits longer than `PATIENCE_S`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import secrets
import socket
import threading
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from harness import references
from harness.array import group_config, target_name
from harness.array_site import ArraySite
from harness.fault_step import Fault
from harness.fields import Table
from harness.lab.machines import ARRAY
from harness.load import scenario_from, validated
from harness.loopback import array_on_loopback
from harness.mistakes import Mistake, ScenarioError
from harness.scenario import Array
from harness.tcp_world import fault_of_array
from target.operations import FailoverManner
from target.server import ArrayProtocol

__all__ = ["Connected", "LoopbackArray"]

T = TypeVar("T")

PATIENCE_S: Final = 10.0
PORTS_TRIED: Final = 10
MAX_LOG: Final = 1_000
_POLL_S: Final = 0.01
_ROUNDS: Final = 10
"""Of the loop: accepting a connection and telling its protocol takes three."""


class _ArrayAlone(Table):
    array: Array


@dataclass(frozen=True, slots=True)
class Connected:
    """A session's connection as the array sees it; addresses are "ip:port" and an address of the array."""

    initiator: str
    target: str
    source: str
    portal: str


class LoopbackArray:
    """Made of the tables of an `[array]`; `start` it, then `stop` it."""

    def __init__(self, tables: Mapping[str, Any] = ARRAY) -> None:
        """Raises ScenarioError with all the mistakes of the tables."""
        whole = {"array": dict(tables)}
        self._model = array_on_loopback(validated(_ArrayAlone, whole, "", references.check(whole)).array)
        self._loop = asyncio.SelectorEventLoop()
        self._thread: threading.Thread | None = None
        self._complaints: list[str] = []
        self._log: deque[str] = deque(maxlen=MAX_LOG)
        self._site: ArraySite

    # -- its life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Serve. Raises OSError when no port is free at all addresses."""
        self._loop.set_exception_handler(self._complain)
        self._thread = threading.Thread(target=self._loop.run_forever, name="iscsi array", daemon=True)
        self._thread.start()
        try:
            for attempt in range(1, PORTS_TRIED + 1):
                self._model = self._model.model_copy(update={"port": _free_port(self._model.discovery_ip)})
                config = group_config(self._model)
                self._site = ArraySite(
                    config,
                    secrets.token_bytes,
                    lambda decision: self._log.append(decision.words),
                    self._log.append,
                )
                try:
                    self._ask(self._site.start())
                except OSError:
                    if attempt == PORTS_TRIED:
                        raise
                else:
                    return
        except BaseException:
            self._end_thread()
            raise

    def stop(self) -> None:
        """Break what is connected and end the thread. Raises AssertionError for errors that nobody else was told of."""
        try:
            self._ask(self._closed())
        finally:
            self._end_thread()
        if self._complaints:
            raise AssertionError("in the array's thread: " + "; ".join(self._complaints))

    async def _closed(self) -> None:
        server = self._site.server
        self._site.close()
        while server is not None and server.connections():
            await asyncio.sleep(_POLL_S)

    def _end_thread(self) -> None:
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the array's thread has not ended within {PATIENCE_S:g} s")
        self._loop.close()

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._complaints.append(f"{context['message']}: {error!r}" if error is not None else context["message"])

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done in the array's thread, when what was there before it has been dealt with."""
        waiting = asyncio.run_coroutine_threadsafe(_settled(work), self._loop)
        try:
            return waiting.result(PATIENCE_S)
        except concurrent.futures.TimeoutError:
            waiting.cancel()
            raise TimeoutError(f"the array's thread did not answer within {PATIENCE_S:g} s") from None

    # -- where everything is ---------------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """Where to discover and log in: the group address, or the first portal of an array without one."""
        return self._model.discovery_ip, self._model.port

    @property
    def portals(self) -> tuple[str, ...]:
        """The addresses of the interfaces; the port is the same at all of them."""
        return self._model.portals

    @property
    def targets(self) -> dict[str, str]:
        """The target name of each volume."""
        return {volume.name: target_name(self._model, volume) for volume in self._model.volumes}

    def url(self, volume: str) -> str:
        """The volume's LUN 0 as libiscsi's tools and QEMU want it: iscsi://address:port/target/0."""
        ip, port = self.address
        return f"iscsi://{ip}:{port}/{self.targets[volume]}/0"

    # -- what it sees ----------------------------------------------------------------------------------------------

    def read_medium(self, volume: str, lba: int, blocks: int = 1) -> bytes:
        """What stands on the medium of a volume, below everything that serves it."""
        size = self._model.volume(volume).block_size

        async def read() -> bytes:
            return self._site.medium(volume, lba * size, blocks * size)

        return self._ask(read())

    def connections(self) -> tuple[Connected, ...]:
        """Those that are logged in to a target, in the order they came."""

        async def look() -> tuple[Connected, ...]:
            return tuple(
                Connected(
                    protocol.session.identity.initiator_name,
                    protocol.session.identity.target_name,
                    f"{protocol.source}:{protocol.source_port}",
                    protocol.local,
                )
                for protocol in self._protocols()
                if protocol.session is not None and protocol.session.identity.target_name is not None
            )

        return self._ask(look())

    @property
    def log(self) -> tuple[str, ...]:
        """What it decided about logins and of itself, and why connections ended: the last 1,000 lines."""
        return tuple(self._log)

    # -- breaking things -------------------------------------------------------------------------------------------

    @contextmanager
    def fault(self, kind: str, **place: Any) -> Iterator[None]:
        """While the body runs something is broken, by the words of scenario files: ``fault("portal_down", portal=…)``.

        Kinds: portal_down, array_kill, and those of the array itself, such as silent, busy or medium_error. Raises
        ScenarioError for another kind, or a place it has not.
        """
        fault = fault_of_array(self._site, self._fault_step(kind, place))
        if fault is None:
            raise ScenarioError([Mistake("", "kind", f'a fault of kind "{kind}" has no meaning on real TCP')])
        self._ask(fault.apply())
        try:
            yield
        finally:
            self._ask(fault.heal())

    def drop_connections(self, portal: str | None = None) -> int:
        """End the connections at one portal, or all, at once and without a logout; how many there were."""

        async def drop() -> int:
            chosen = [one for one in self._protocols() if portal in (None, one.local)]
            for protocol in chosen:
                self._site.operations.drop(protocol.number, FailoverManner.RST)
            return len(chosen)

        return self._ask(drop())

    def _protocols(self) -> list[ArrayProtocol]:
        return [] if self._site.server is None else self._site.server.connections()

    def _fault_step(self, kind: str, place: dict[str, Any]) -> Fault:
        """The step a scenario with this array would have. Raises ScenarioError."""
        nic = {"name": "nic", "address": "127.0.255.250/8"}
        scenario = scenario_from(
            {
                "name": "loopback",
                "network": {"subnet": "127.0.0.0/8"},
                "array": self._model.tables(),
                "hosts": [{"name": "host", "iqn": "iqn.2003-01.org.example:host", "nics": [nic]}],
                "steps": [{"do": "fault", "kind": kind, **place}],
            }
        )
        step = scenario.steps[0]
        assert isinstance(step, Fault)
        return step


async def _settled(work: Coroutine[Any, Any, T]) -> T:
    """Let the loop take in what had come before, then do it.

    A connection that a loop has accepted, and whose listener it closes before there is a transport, is lost and leaks.
    """
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
    return await work


def _free_port(address: str) -> int:
    """A port that is free at this address now. Raises OSError where this machine has no such address."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            why = f"{address} cannot be had on this machine; Linux has all of 127.0.0.0/8: {error.strerror}"
            raise OSError(error.errno, why) from None
        port: int = probe.getsockname()[1]
    return port
