"""One SCSI command on its way through a connection, and what the target's last word about it amounts to.

A `Task` outlives connections: when the session loses one, the tasks it had sent and those still waiting go to the
session in the order they came, and are sent again on the next connection with new tags and numbers. Residuals are
judged here (RFC 7143 11.4.5): a target that moved fewer bytes than it says is a broken target, not a short read.
"""

from __future__ import annotations

from collections.abc import Callable

from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from iscsi.constants import RESERVED_TAG, ScsiServiceResponse, ScsiStatus
from iscsi.errors import RemoteProtocolError
from iscsi.pdu import DataIn, ScsiResponse
from iscsi.transfer import ReadBuffer

__all__ = ["Done", "Task", "completion_of_data_in", "completion_of_response"]

Done = Callable[[Completion], None]


class Task:
    """A request, whom to tell, and where it stands on the present connection.

    ``itt`` and ``cmd_sn`` mean something while ``sent``. ``since_s`` is the loop time at which the present attempt
    began; ``aborting`` is set while a task management function that covers it is due an answer. ``losses`` counts the
    connections that were lost under it; ``astray`` is True while the target may still have it from the last of them.
    """

    __slots__ = (
        "aborting",
        "astray",
        "cmd_sn",
        "done",
        "itt",
        "losses",
        "r2t_sn",
        "reader",
        "request",
        "sent",
        "since_s",
    )

    def __init__(self, request: ScsiRequest, done: Done) -> None:
        self.request = request
        self.done = done
        self.itt = RESERVED_TAG
        self.cmd_sn = 0
        self.r2t_sn = 0
        self.reader: ReadBuffer | None = None
        self.sent = False
        self.aborting = False
        self.since_s = 0.0
        self.losses = 0
        self.astray = False

    def reset(self) -> None:
        """Forget the connection that was lost; the next one starts the command from its first byte."""
        self.losses += self.sent
        self.astray = self.astray or self.sent
        self.itt = RESERVED_TAG
        self.r2t_sn = 0
        self.reader = None
        self.sent = self.aborting = False


def completion_of_data_in(task: Task, pdu: DataIn) -> Completion:
    """The completion in a Data-In PDU that carries status (phase collapse).

    Raises:
        RemoteProtocolError: the bytes that came and the residual do not add up.
    """
    return _judged(task, pdu, b"")


def completion_of_response(task: Task, pdu: ScsiResponse) -> Completion:
    """The completion in a SCSI Response PDU, with its sense data unwrapped.

    Raises:
        RemoteProtocolError: sense data shorter than it says, missing Data-In, or a residual that does not add up.
    """
    if pdu.response != ScsiServiceResponse.COMPLETED:
        return Completion(CompletionKind.ABORTED)
    received = task.reader.data_sn if task.reader is not None else 0
    if task.request.read_length and pdu.exp_data_sn > received:
        raise RemoteProtocolError(f"SCSI Response counts {pdu.exp_data_sn} Data-In PDUs; {received} have come")
    sense = b""
    if pdu.data:
        length = int.from_bytes(pdu.data[:2], "big")
        sense = pdu.data[2 : 2 + length]
        if len(pdu.data) < 2 or len(sense) < length:
            raise RemoteProtocolError(f"sense data of {length} bytes is announced in {len(pdu.data)} bytes of data")
    return _judged(task, pdu, sense)


def _judged(task: Task, pdu: ScsiResponse | DataIn, sense: bytes) -> Completion:
    request = task.request
    reader = task.reader
    data = reader.content() if reader is not None else b""
    expected = request.read_length or len(request.data_out)
    if pdu.overflow:
        # A command that wanted to move more than was asked for: what has come may be part of something else.
        return Completion(CompletionKind.DATA_OVERRUN, pdu.status, sense, data, -pdu.residual)
    if pdu.underflow and pdu.residual > expected:
        raise RemoteProtocolError(f"a residual of {pdu.residual} bytes, of only {expected} that were asked for")
    residual = pdu.residual if pdu.underflow else 0
    if pdu.status == ScsiStatus.GOOD and request.read_length and len(data) != expected - residual:
        raise RemoteProtocolError(
            f"status GOOD with {len(data)} of {expected} bytes read and a residual of {residual}: they must add up"
        )
    return Completion(CompletionKind.COMPLETED, pdu.status, sense, data, residual)
