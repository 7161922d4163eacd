"""A target worked by hand, opposite an `InitiatorConnection`: it reads what was sent and says what the test wants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from initiator_model.connection import InitiatorConnection
from initiator_model.connection_events import ConnectionEvent
from initiator_model.requests import Completion, ScsiRequest
from initiator_model.tasks import Task
from iscsi import scsi
from iscsi.framer import Framer
from iscsi.login_initiator import LoginDone
from iscsi.pdu import DataIn, Pdu, ScsiCommand, ScsiResponse, encode
from tests.support.parameters import parameters

P = TypeVar("P", bound=Pdu)

FIRST_CMD_SN = 100
FIRST_STAT_SN = 500


class FullFeatureTarget:
    """One connection and its peer. ``window`` commands fit into the target's queue at first.

    `events` are the connection's; `completions` hold what each submitted request ended with, in that order.
    """

    def __init__(self, *, window: int = 64, max_pending: int = 255, **changes: Any) -> None:
        params = parameters(**({"max_recv_data_segment_length": 65536, "initial_r2t": False} | changes))
        login = LoginDone(params, 1, FIRST_STAT_SN, FIRST_CMD_SN, FIRST_CMD_SN + window - 1)
        self.events: list[ConnectionEvent] = []
        self.completions: list[Completion] = []
        self.params = params
        self.connection = InitiatorConnection(
            login, cmd_sn=FIRST_CMD_SN, max_pending=max_pending, on_event=self.events.append
        )
        self.stat_sn = FIRST_STAT_SN
        self.exp_cmd_sn = FIRST_CMD_SN
        self.max_cmd_sn = FIRST_CMD_SN + window - 1
        self._framer = Framer(1 << 20)
        self._framer.header_digest, self._framer.data_digest = params.header_digest, params.data_digest

    # The initiator's user

    def submit(self, request: ScsiRequest) -> Task:
        task = Task(request, self.completions.append)
        self.connection.start(task)
        return task

    def read(self, blocks: int = 8, lba: int = 0) -> Task:
        return self.submit(ScsiRequest(scsi.read(lba, blocks), 0, blocks * 512, b""))

    def write(self, data: bytes, lba: int = 0) -> Task:
        return self.submit(ScsiRequest(scsi.write(lba, len(data) // 512), 0, 0, data))

    # The target

    def sent(self) -> list[Any]:
        """The PDUs the initiator has written since the last call."""
        pdus = self._framer.receive(b"".join(self.connection.take_output()))
        for pdu in pdus:
            if isinstance(pdu, ScsiCommand) and not pdu.immediate:
                self.exp_cmd_sn = pdu.cmd_sn + 1
        return list(pdus)

    def say(self, *pdus: Pdu) -> None:
        """Have PDUs arrive, all in one piece of TCP's."""
        digests = self.params.header_digest, self.params.data_digest
        self.connection.receive(b"".join(encode(pdu, *digests) for pdu in pdus))

    def numbered(self, pdu: P) -> P:
        """The PDU with the next StatSN, used up, and the target's window."""
        stat_sn, self.stat_sn = self.stat_sn, self.stat_sn + 1
        return replace(pdu, stat_sn=stat_sn, exp_cmd_sn=self.exp_cmd_sn, max_cmd_sn=self.max_cmd_sn)  # type: ignore[type-var]

    def data_in(self, command: ScsiCommand, data: bytes, **changes: Any) -> DataIn:
        """All of a read's data with its status, in one PDU."""
        return self.numbered(DataIn(itt=command.itt, data=data, has_status=True, **changes))

    def response(self, command: ScsiCommand, **changes: Any) -> ScsiResponse:
        """A SCSI Response, GOOD unless told otherwise."""
        return self.numbered(ScsiResponse(itt=command.itt, **changes))
