"""The fence: what a simulated loop must not do, each refusal naming itself.

Threads, file descriptors, signals, name lookups, pipes and child processes live on the wall clock; one of them inside a
run and the run no longer replays. The abstract loop would raise a bare NotImplementedError; here each method says what
was tried and why it cannot be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class SimFence(RuntimeError):
    """Code under simulation reached for the world outside.

    `operation` is the loop method that was called, `world` what it would have touched.
    """

    def __init__(self, operation: str, world: str) -> None:
        super().__init__(f"{operation}: {world} cannot be simulated; only the simulated network and clock can be used")
        self.operation = operation
        self.world = world


def _fenced(operation: str, world: str) -> Callable[..., Any]:
    def refuse(self: asyncio.AbstractEventLoop, *args: object, **kwargs: object) -> Any:
        raise SimFence(operation, world)

    refuse.__name__ = operation
    refuse.__doc__ = f"Always raises SimFence: {world} cannot be simulated."
    return refuse


_THREADS = "a thread"
_FILES = "a file descriptor"
_SOCKETS = "an operating-system socket"
_SIGNALS = "a signal"
_NAMES = "a name lookup"
_PIPES = "a pipe"
_PROCESSES = "a child process"
_TLS = "TLS"
_DATAGRAMS = "a datagram endpoint"
_UNIX = "a Unix-domain socket"
_FACTORY = "another kind of task"


# The ignored ones are generic in their callback's arguments, which no assignment can be.
class FencedLoop(asyncio.AbstractEventLoop):
    """An event loop whose every method that leaves the simulation raises SimFence."""

    call_soon_threadsafe = _fenced("call_soon_threadsafe", _THREADS)  # type: ignore[assignment]
    run_in_executor = _fenced("run_in_executor", _THREADS)  # type: ignore[assignment]
    set_default_executor = _fenced("set_default_executor", _THREADS)

    add_reader = _fenced("add_reader", _FILES)  # type: ignore[assignment]
    remove_reader = _fenced("remove_reader", _FILES)
    add_writer = _fenced("add_writer", _FILES)  # type: ignore[assignment]
    remove_writer = _fenced("remove_writer", _FILES)

    sock_recv = _fenced("sock_recv", _SOCKETS)
    sock_recv_into = _fenced("sock_recv_into", _SOCKETS)
    sock_recvfrom = _fenced("sock_recvfrom", _SOCKETS)
    sock_recvfrom_into = _fenced("sock_recvfrom_into", _SOCKETS)
    sock_sendall = _fenced("sock_sendall", _SOCKETS)
    sock_sendto = _fenced("sock_sendto", _SOCKETS)
    sock_connect = _fenced("sock_connect", _SOCKETS)
    sock_accept = _fenced("sock_accept", _SOCKETS)
    sock_sendfile = _fenced("sock_sendfile", _SOCKETS)
    sendfile = _fenced("sendfile", _FILES)
    connect_accepted_socket = _fenced("connect_accepted_socket", _SOCKETS)

    add_signal_handler = _fenced("add_signal_handler", _SIGNALS)  # type: ignore[assignment]
    remove_signal_handler = _fenced("remove_signal_handler", _SIGNALS)

    getaddrinfo = _fenced("getaddrinfo", _NAMES)
    getnameinfo = _fenced("getnameinfo", _NAMES)

    connect_read_pipe = _fenced("connect_read_pipe", _PIPES)
    connect_write_pipe = _fenced("connect_write_pipe", _PIPES)
    subprocess_shell = _fenced("subprocess_shell", _PROCESSES)
    subprocess_exec = _fenced("subprocess_exec", _PROCESSES)

    start_tls = _fenced("start_tls", _TLS)
    create_datagram_endpoint = _fenced("create_datagram_endpoint", _DATAGRAMS)
    create_unix_connection = _fenced("create_unix_connection", _UNIX)
    create_unix_server = _fenced("create_unix_server", _UNIX)
    set_task_factory = _fenced("set_task_factory", _FACTORY)
