"""Sessions in PDUs: what tests of the wire's oracles say, as bytes of a codec that the oracles do not use.

A `Bench` is the array's side of things: clock, marks, oracles. A `Talk` is one connection of a host; it logs in, and
then says what a test wants said. Each number that is not given is the one that is due.
"""

from __future__ import annotations

from typing import Any

from harness.check.findings import Findings
from harness.check.history import Ticks
from harness.check.marks import Mark, Marks
from harness.check.wire.logins import Logins
from harness.check.wire.watch import WireWatch
from harness.sectors import stamped
from iscsi import pdu as p
from iscsi.pdu import Pdu, encode

GROUP, PORTAL, OTHER = "10.0.0.1", "10.0.0.2", "10.0.0.3"
DEPTH = 4
"""Commands the array takes at a time."""
MASK = 0xFFFFFFFF
UNIT_ATTENTION = bytes.fromhex("0012" + "70000600000000" + "0a" + "00000000" + "2900" + "00000000")
MEDIUM_ERROR = bytes.fromhex("0012" + "70000300000000" + "0a" + "00000000" + "1100" + "00000000")
NO_TAG = 0xFFFFFFFF


class Bench:
    """The oracles of the wire, with ``landed`` as what has reached the medium."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.ticks = Ticks(lambda: self.now_ns)
        self.marks = Marks()
        self.landed: list[int] = []
        self.watch = WireWatch(self.ticks, self.marks, DEPTH, self._logins, lambda writer: writer in self.landed)

    def _logins(self, findings: Findings) -> Logins:
        return Logins(findings, self.marks, [PORTAL, OTHER], [], GROUP)

    @property
    def found(self) -> list[str]:
        """The rules that were found broken, as "check: rule", without what was shown too much."""
        all_found = (self.watch.sequence, self.watch.answers, self.watch.attentions, self.watch.early)
        return [
            f"{findings.check}: {shown.partition(':')[0]}"
            for findings in (*all_found, self.watch.login_findings)
            for shown in findings.shown
        ]

    def hit(self, mark: Mark) -> bool:
        """Whether a mark was set."""
        return mark.value in self.marks.names()


class Talk:
    """One connection of ``host`` to ``at``."""

    def __init__(
        self, bench: Bench | None = None, *, host: str = "host", at: str = PORTAL, port: int = 1024, isid: int = 1
    ) -> None:
        self.bench = Bench() if bench is None else bench
        self.conversation = self.bench.watch.opened(host, f"10.0.1.5:{port}", f"{at}:3260")
        self.host, self.isid = host, isid.to_bytes(6)
        self.cmd_sn, self.stat_sn = 10, 100
        self.digests = {"header_digest": False, "data_digest": False}

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def say(self, pdu: Pdu) -> None:
        """The host sends it."""
        self.conversation.sent(encode(pdu, **self.digests))

    def hear(self, pdu: Pdu) -> None:
        """The host reads it."""
        self.conversation.received(encode(pdu, **self.digests))

    # -- logging in ----------------------------------------------------------------------------------------------------

    def ask_in(self, target: str = "disk", **keys: str) -> None:
        """The login request."""
        names = {"InitiatorName": self.host, "TargetName": target} | keys
        text = b"".join(f"{key}={value}\0".encode() for key, value in names.items())
        self.say(p.LoginRequest(transit=True, csg=1, nsg=3, isid=self.isid, cmd_sn=self.cmd_sn, data=text))

    def answer_in(self, status: int = 0, **keys: str) -> None:
        """The login response."""
        text = b"".join(f"{key}={value}\0".encode() for key, value in keys.items())
        self.hear(self._numbered(p.LoginResponse, transit=not status, csg=1, nsg=3, status=status, data=text))

    def log_in(self, target: str = "disk", attention: bool = True, **keys: str) -> Talk:
        """Both, and the unit attention that a new nexus meets."""
        keys = {"FirstBurstLength": "1024", "MaxBurstLength": "2048", "MaxRecvDataSegmentLength": "1024"} | keys
        self.ask_in(target, **keys)
        self.answer_in(**{"InitialR2T": "Yes", "ImmediateData": "Yes"} | keys)
        self.digests = {f"{part}_digest": keys.get(f"{part.title()}Digest") == "CRC32C" for part in ("header", "data")}
        if attention:
            self.command(0, cdb=0)
            self.response(0, status=2, data=UNIT_ATTENTION)
        return self

    # -- full feature phase --------------------------------------------------------------------------------------------

    def command(self, itt: int, *, cdb: int = 0x28, lun: int = 0, **fields: Any) -> None:
        """A SCSI command; it reads unless it writes."""
        fields = {"itt": itt, "lun": lun, "cdb": bytes((cdb,)).ljust(16, b"\0"), "cmd_sn": self.cmd_sn} | fields
        fields.setdefault("exp_stat_sn", self.stat_sn)
        if not fields.get("immediate"):
            self.cmd_sn = fields["cmd_sn"] + 1 & MASK
        self.say(p.ScsiCommand(**fields))

    def read(self, itt: int, edtl: int = 512, **fields: Any) -> None:
        """READ(10)."""
        self.command(itt, read=True, edtl=edtl, **fields)

    def write(self, itt: int, edtl: int = 512, data: bytes = b"", **fields: Any) -> None:
        """WRITE(10), with so much immediate data."""
        self.command(itt, cdb=0x2A, write=True, edtl=edtl, data=data, **fields)

    def data_in(self, itt: int, length: int = 512, **fields: Any) -> None:
        """Data-In, with status unless that is not wanted."""
        fields = {"has_status": True} | fields
        self.hear(self._numbered(p.DataIn, counts=fields["has_status"], itt=itt, data=bytes(length), **fields))

    def response(self, itt: int, **fields: Any) -> None:
        """A SCSI response."""
        self.hear(self._numbered(p.ScsiResponse, itt=itt, **fields))

    def r2t(self, itt: int, length: int, offset: int = 0, **fields: Any) -> None:
        """An R2T, with tag 7 unless there is another one."""
        fields = {"ttt": 7} | fields
        more = {"itt": itt, "desired_length": length, "buffer_offset": offset}
        self.hear(self._numbered(p.R2T, counts=False, **more, **fields))

    def data_out(self, itt: int, length: int, **fields: Any) -> None:
        """Data-Out for the R2T with tag 7, the last one of its burst."""
        self.say(p.DataOut(**{"itt": itt, "ttt": 7, "data": bytes(length)} | fields))

    def request(self, kind: type[Pdu], **fields: Any) -> None:
        """A request that is no command, immediate."""
        self.say(kind(**{"cmd_sn": self.cmd_sn, "exp_stat_sn": self.stat_sn, "immediate": True} | fields))

    def answer(self, kind: type[Pdu], counts: bool = True, **fields: Any) -> None:
        """An answer to one."""
        self.hear(self._numbered(kind, counts=counts, **fields))

    def abort(self, tag: int, response: int = 0) -> None:
        """ABORT TASK, and its answer."""
        self.request(p.TmfRequest, function=1, itt=90, referenced_task_tag=tag)
        self.answer(p.TmfResponse, itt=90, response=response)

    def reset(self, lun: int = 0, function: int = 5) -> None:
        """LOGICAL UNIT RESET, and its answer."""
        self.request(p.TmfRequest, function=function, itt=91, lun=lun)
        self.answer(p.TmfResponse, itt=91)

    def _numbered(self, kind: type[Pdu], counts: bool = True, **fields: Any) -> Pdu:
        stat_sn = fields.get("stat_sn", self.stat_sn)
        if counts:
            self.stat_sn = stat_sn + 1 & MASK
        numbers = {"stat_sn": stat_sn, "exp_cmd_sn": self.cmd_sn, "max_cmd_sn": self.cmd_sn + DEPTH - 1 & MASK}
        if kind is p.DataIn and not counts:
            numbers["stat_sn"] = 0
        return kind(**numbers | fields)


def tagged(writer: int, blocks: int = 1) -> bytes:
    """What logical write ``writer`` puts into the first blocks of a volume."""
    return stamped(writer, 0, blocks, 512)
