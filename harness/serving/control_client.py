"""The other end of the control socket: what `mpiolab status` and `mpiolab ctl` ask with."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.serving.control_wire import MAX_ANSWER_BYTES, Answer, Refusal, Request, WireError, decode_answer

PATIENCE_S = 30.0
"""How long an array may take to answer; a command that takes longer by itself says so."""


class ControlError(Exception):
    """The array did not do it; the message says why."""


class ControlClient:
    """One connection to an array's control socket; see `connected`."""

    def __init__(self, connection: socket.socket, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._arrived = bytearray()

    def ask(self, request: Request, *, takes_s: float = 0.0) -> Answer:
        """Send a request and wait for its answer, ``takes_s`` longer than usual. Raises ControlError."""
        try:
            self._connection.settimeout(PATIENCE_S + takes_s)
            self._connection.sendall(request.encode())
            answer = decode_answer(self._line())
        except TimeoutError:
            raise ControlError(f"{self._path}: the array has not answered for {PATIENCE_S + takes_s:g} s") from None
        except (OSError, WireError) as error:
            raise ControlError(f"{self._path}: {_why(error)}") from None
        if isinstance(answer, Refusal):
            raise ControlError(answer.error)
        return answer

    def _line(self) -> bytes:
        while b"\n" not in self._arrived:
            received = self._connection.recv(1 << 16)
            if not received:
                raise WireError("the array hung up")
            self._arrived += received
            if len(self._arrived) > MAX_ANSWER_BYTES:
                raise WireError("the answer does not end")
        line, _, rest = self._arrived.partition(b"\n")
        self._arrived = bytearray(rest)
        return bytes(line)


@contextmanager
def connected(path: Path) -> Iterator[ControlClient]:
    """A connection to the array whose socket lies there. Raises ControlError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise ControlError(f"{path}: no array is served there") from None
        except OSError as error:
            raise ControlError(f"{path}: {_why(error)}") from None
        yield ControlClient(connection, path)


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
