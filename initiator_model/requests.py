"""What passes between the disk and a session: a SCSI request down, one completion up.

Windows has the same seam between the MPIO disk and the port driver: an SRB goes down, and it comes back with an SRB
status, a SCSI status when the device answered, and sense data when it complained. The names of `CompletionKind` are
those of the NT and SRB status codes the DSM looks at (see `errors`), because what a path failure *is* to MPIO
is decided by exactly these names.

Both classes are plain slotted classes and not frozen dataclasses: one of each is built for every I/O, and a frozen
dataclass costs three times as much to build. Nobody changes them after they are built.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol

from initiator_model.losses import Loss

__all__ = ["Completion", "CompletionKind", "Io", "IoRequest", "Operation", "ScsiRequest"]


class Operation(Enum):
    """What the application asked for."""

    READ = "read"
    WRITE = "write"
    FLUSH = "flush"


class IoRequest(Protocol):
    """What a policy may know of a request before it chooses a path for it."""

    @property
    def operation(self) -> Operation: ...
    @property
    def lba(self) -> int:
        """The first block; 0 for a flush."""
        ...

    @property
    def blocks(self) -> int: ...
    @property
    def size_bytes(self) -> int:
        """The data it moves, either way."""
        ...


class Io(NamedTuple):
    """An `IoRequest` by itself, for whoever asks a policy without a disk."""

    operation: Operation = Operation.READ
    lba: int = 0
    blocks: int = 8
    size_bytes: int = 4096


class CompletionKind(Enum):
    """How a request ended. Only `COMPLETED` carries a SCSI status; every other kind means the device did not say."""

    COMPLETED = "completed"
    DEVICE_NOT_CONNECTED = "STATUS_DEVICE_NOT_CONNECTED"  # the session stayed lost longer than LinkDownTime
    DEVICE_DOES_NOT_EXIST = "STATUS_DEVICE_DOES_NOT_EXIST"
    NO_SUCH_DEVICE = "STATUS_NO_SUCH_DEVICE"
    DELETE_PENDING = "STATUS_DELETE_PENDING"  # the session was logged out under the request
    SELECTION_TIMEOUT = "SRB_STATUS_SELECTION_TIMEOUT"
    INVALID_LUN = "SRB_STATUS_INVALID_LUN"
    INVALID_TARGET_ID = "SRB_STATUS_INVALID_TARGET_ID"
    INVALID_PATH_ID = "SRB_STATUS_INVALID_PATH_ID"
    NO_DEVICE = "SRB_STATUS_NO_DEVICE"
    NO_HBA = "SRB_STATUS_NO_HBA"
    TIMED_OUT = "STATUS_IO_TIMEOUT"  # the SRB's own time was up
    BUS_RESET = "SRB_STATUS_BUS_RESET"  # a reset swept the request away
    ABORTED = "SRB_STATUS_ABORTED"
    DATA_OVERRUN = "STATUS_BUFFER_OVERFLOW"  # the data does not fit what was asked: a torn transfer
    BUSY = "STATUS_DEVICE_BUSY"  # refused before it was sent (the session's queue is full)


class ScsiRequest:
    """One SCSI command on its way to any path.

    `cdb` is the command block as bytes, `lun` the plain LUN number, `read_length` the bytes expected back (0 for none),
    `data_out` the bytes to send (empty for none). A retry sends the same object again.
    """

    __slots__ = ("cdb", "data_out", "lun", "read_length")

    def __init__(self, cdb: bytes, lun: int, read_length: int, data_out: bytes) -> None:
        self.cdb = cdb
        self.lun = lun
        self.read_length = read_length
        self.data_out = data_out

    def __repr__(self) -> str:
        return (
            f"ScsiRequest(cdb={self.cdb.hex()}, lun={self.lun}, read_length={self.read_length}, "
            f"data_out={len(self.data_out)} bytes)"
        )


class Completion:
    """How one attempt at a request ended.

    `status` and `sense` mean something only when `kind` is `COMPLETED`. `data` is what was read. `residual` is bytes:
    positive when fewer were moved than the request asked for. `loss` is the connection on which the request was sent
    and lost, if the target may still execute it.
    """

    __slots__ = ("data", "kind", "loss", "residual", "sense", "status")

    def __init__(
        self,
        kind: CompletionKind,
        status: int = 0,
        sense: bytes = b"",
        data: bytes = b"",
        residual: int = 0,
        loss: Loss | None = None,
    ) -> None:
        self.kind = kind
        self.status = status
        self.sense = sense
        self.data = data
        self.residual = residual
        self.loss = loss

    def __repr__(self) -> str:
        return (
            f"Completion({self.kind.name}, status={self.status:#04x}, sense={self.sense.hex() or '-'}, "
            f"data={len(self.data)} bytes, residual={self.residual})"
        )
