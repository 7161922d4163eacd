"""An array in memory and an initiator that talks to it in PDUs: what the tests of `target` are written with.

`make_group` builds a small array out of the library's own parts. `Peer` is one TCP connection to it without the TCP:
it logs in with `InitiatorLogin`, numbers its commands, and checks of everything it is sent that it can be decoded and
that StatSN runs without a gap.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from iscsi import scsi
from iscsi.chap import ChapCredentials
from iscsi.constants import RESERVED_TAG
from iscsi.framer import DamagedPdu, Framer
from iscsi.login_initiator import InitiatorLogin, LoginDone, LoginFailed, LoginRedirected
from iscsi.negotiation import OperationalKeys, SessionParameters
from iscsi.pdu import (
    R2T,
    DataIn,
    DataOut,
    LoginRequest,
    LoginResponse,
    NopIn,
    Pdu,
    ScsiCommand,
    ScsiResponse,
    decode,
    encode,
)
from iscsi.sense import Sense
from iscsi.serial import lt
from target.config import AccessRule, ArrayKind, GroupConfig, PortalConfig, VolumeConfig
from target.connection import TargetConnection
from target.decisions import Decision
from target.group import Group, Volume
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.lun_map import LunMap
from target.port_groups import PortGroups
from target.store import MemoryStore

GROUP_ADDRESS = "192.168.51.1"
PORTALS = ("192.168.51.2", "192.168.51.3", "192.168.51.4")
SOURCE = "192.168.50.105"
HOST = "iqn.1991-05.com.microsoft:w2k3"
OTHER_HOST = "iqn.1991-05.com.microsoft:w2k3-b"
ISID = bytes.fromhex("400001370000")
VOLUME = "iqn.2001-05.com.equallogic:0-8a0906-83bcb3401-16e0002fd0a46f3d-exchange-logs"
BLOCK = 512
OPEN = (AccessRule(),)
"""Anybody may use the volume."""

Outcome = LoginDone | LoginRedirected | LoginFailed


def isid(number: int) -> bytes:
    """The ISID of the host's session ``number``."""
    return ISID[:4] + number.to_bytes(2, "big")


def volume(iqn: str = VOLUME, **changes: Any) -> VolumeConfig:
    """A volume of 16 MiB that anybody may use."""
    arguments: dict[str, Any] = {"name": "exchange-logs", "iqn": iqn, "size_bytes": 16 << 20, "access": OPEN}
    return VolumeConfig(**(arguments | changes))


def config(*volumes: VolumeConfig, **changes: Any) -> GroupConfig:
    """A redirecting array of three portals, or of another shape with ``changes``."""
    portals = tuple(PortalConfig(f"eth{number}", address) for number, address in enumerate(PORTALS))
    arguments: dict[str, Any] = {"name": "ps100", "portals": portals, "volumes": volumes or (volume(),)}
    if changes.get("kind") is not ArrayKind.LISTED:
        arguments["group_address"] = GROUP_ADDRESS
    return GroupConfig(**(arguments | changes))


def make_group(
    *volumes: VolumeConfig, on_decision: Callable[[Decision], None] | None = None, luns: int = 1, **changes: Any
) -> Group:
    """The array of `config` at work, each volume with ``luns`` empty disks from LUN 0 on."""
    settings = config(*volumes, **changes)
    portals = tuple(portal.address for portal in settings.portals)
    groups = {
        each.iqn: None if settings.access is None else PortGroups(settings.access, portals, each.name)
        for each in settings.volumes
    }
    running = {
        each.iqn.lower(): Volume(
            each,
            LunMap(
                {
                    lun: LogicalUnit.over(
                        MemoryStore(each.size_bytes),
                        volume_identity("ps100", each.name),
                        thin=each.thin,
                        port_groups=groups[each.iqn],
                    )
                    for lun in range(luns)
                },
                port_groups=groups[each.iqn],
            ),
        )
        for each in settings.volumes
    }
    return Group(settings, running, on_decision)


def disk_bytes(group: Group, offset: int, length: int, iqn: str = VOLUME) -> bytes:
    """What lies on LUN 0 of a volume, read past everything."""
    running = group.volume(iqn)
    assert running is not None
    unit = running.luns.get(0)
    assert unit is not None
    return unit.disk.store.read(offset, length)


def fill_disk(group: Group, offset: int, data: bytes, iqn: str = VOLUME) -> None:
    """Put data on LUN 0 of a volume, past everything."""
    running = group.volume(iqn)
    assert running is not None
    unit = running.luns.get(0)
    assert unit is not None
    unit.disk.store.write(offset, data)


@dataclass
class Counters:
    """What the connections of one session count together: the next CmdSN, the last task tag."""

    cmd_sn: int = 100
    itt: int = 0x10


class Peer:
    """One initiator connection, from ``source`` to the array's address ``local``."""

    def __init__(
        self,
        group: Group,
        local: str = PORTALS[0],
        source: str = SOURCE,
        *,
        now_ns: int = 0,
        counters: Counters | None = None,
        random_bytes: Callable[[int], bytes] | None = None,
    ) -> None:
        self.now_ns = now_ns
        self.connection = TargetConnection(
            group, local, source, now_ns=now_ns, random_bytes=random_bytes or random.Random("array").randbytes
        )
        self.abandoned = False
        self.connection.on_abandon = self._on_abandon
        self.login_responses: list[LoginResponse] = []
        self.params: SessionParameters | None = None
        self.tsih = 0
        self.isid = ISID
        self.counters = counters or Counters()
        self.exp_stat_sn: int | None = None
        self.exp_cmd_sn = 100
        self.max_cmd_sn = 99
        self._framer = Framer(1 << 24)

    @property
    def cmd_sn(self) -> int:
        """The CmdSN of the next non-immediate PDU, on whichever connection of the session."""
        return self.counters.cmd_sn

    @cmd_sn.setter
    def cmd_sn(self, cmd_sn: int) -> None:
        self.counters.cmd_sn = cmd_sn

    # -- bytes and PDUs --------------------------------------------------------------------------------------------

    def send(self, *pdus: Pdu) -> list[Pdu]:
        """Send PDUs in one stretch of bytes; return everything the array says to it."""
        return self.send_bytes(b"".join(self.bytes_of(pdu) for pdu in pdus))

    def bytes_of(self, pdu: Pdu) -> bytes:
        """A PDU as it goes on the wire here, with the digests that were agreed on."""
        return encode(pdu, self._framer.header_digest, self._framer.data_digest)

    def send_bytes(self, data: bytes) -> list[Pdu]:
        """Send bytes; return everything the array says to them."""
        self.connection.receive(data, self.now_ns)
        answers = self.hear()
        while self.connection.choked and not self.connection.closing:
            self.connection.resume()
            answers += self.hear()
        return answers

    def hear(self) -> list[Pdu]:
        """What the array has to say at the moment."""
        answers: list[Pdu] = []
        for answer in self._framer.receive(b"".join(self.connection.take_output())):
            assert not isinstance(answer, DamagedPdu), "a digest of the array's is wrong"
            self._check_numbers(answer)
            answers.append(answer)
        return answers

    def pass_time(self, seconds: float) -> list[Pdu]:
        """Let time pass; the connection's deadlines fire when they are due. Return what the array says meanwhile."""
        end_ns = self.now_ns + round(seconds * 1e9)
        answers: list[Pdu] = []
        while (deadline := self.connection.deadline_ns) is not None and deadline <= end_ns:
            self.now_ns = deadline
            self.connection.tick(deadline)
            answers += self.hear()
        self.now_ns = end_ns
        self.connection.group.tick(end_ns)
        return answers

    def hang_up(self) -> None:
        """TCP is gone."""
        self.connection.lost(self.now_ns)

    def _on_abandon(self) -> None:
        self.abandoned = True

    def _check_numbers(self, pdu: Pdu) -> None:
        if isinstance(pdu, LoginResponse) and pdu.status:
            return
        numbers: Any = pdu
        consumes = isinstance(pdu, DataIn) and pdu.has_status
        consumes |= not isinstance(pdu, DataIn | R2T | NopIn)
        consumes |= isinstance(pdu, NopIn) and pdu.itt != RESERVED_TAG
        shows = consumes or isinstance(pdu, R2T | NopIn)
        recovering = self.params is not None and self.params.error_recovery_level > 0
        if recovering and shows and self.exp_stat_sn is not None and lt(numbers.stat_sn, self.exp_stat_sn):
            return  # a replica
        if shows and self.exp_stat_sn is not None:
            assert numbers.stat_sn == self.exp_stat_sn, f"{pdu} where StatSN {self.exp_stat_sn} is due"
        if consumes:
            self.exp_stat_sn = (numbers.stat_sn + 1) & 0xFFFFFFFF
        self.exp_cmd_sn, self.max_cmd_sn = numbers.exp_cmd_sn, numbers.max_cmd_sn

    # -- login -----------------------------------------------------------------------------------------------------

    def login(
        self,
        target: str | None = VOLUME,
        *,
        name: str = HOST,
        isid: bytes = ISID,
        tsih: int = 0,
        cid: int = 0,
        chap: ChapCredentials | None = None,
        mutual_chap: ChapCredentials | None = None,
        **wishes: Any,
    ) -> Outcome:
        """Log in (``target`` None: for discovery), asking for ``wishes``; return how it went."""
        self.isid = isid
        login = InitiatorLogin(
            initiator_name=name,
            target_name=target,
            isid=isid,
            tsih=tsih,
            cid=cid,
            itt=1,
            cmd_sn=self.cmd_sn,
            wishes=OperationalKeys(**wishes),
            chap=chap,
            mutual_chap=mutual_chap,
            random_bytes=random.Random("host").randbytes,
        )
        requests: list[LoginRequest] = login.start()
        while requests:
            answers = self.send(*requests)
            requests = []
            for answer in answers:
                assert isinstance(answer, LoginResponse)
                self.login_responses.append(answer)
                requests += login.receive(answer)
        outcome = login.outcome
        assert outcome is not None, f"the login was dropped: {self.connection.why_closed}"
        if isinstance(outcome, LoginDone):
            self.params, self.tsih = outcome.params, outcome.tsih
            self._framer.header_digest = outcome.params.header_digest
            self._framer.data_digest = outcome.params.data_digest
        return outcome

    # -- commands --------------------------------------------------------------------------------------------------

    def next_itt(self) -> int:
        """A task tag not used before."""
        self.counters.itt += 1
        return self.counters.itt

    def take_cmd_sn(self) -> int:
        """The CmdSN of the next non-immediate PDU."""
        number, self.cmd_sn = self.cmd_sn, (self.cmd_sn + 1) & 0xFFFFFFFF
        return number

    def command(self, cdb: bytes, **changes: Any) -> ScsiCommand:
        """A SCSI command with the next task tag, and the next CmdSN unless it is immediate."""
        cmd_sn = self.cmd_sn if changes.get("immediate") else self.take_cmd_sn()
        return replace(ScsiCommand(itt=self.next_itt(), cmd_sn=cmd_sn, cdb=cdb.ljust(16, b"\0")), **changes)

    def read_command(self, lba: int, blocks: int, **changes: Any) -> ScsiCommand:
        """READ(10) of whole blocks."""
        return self.command(scsi.read(lba, blocks, width=10), read=True, **({"edtl": blocks * BLOCK} | changes))

    def write_command(self, lba: int, blocks: int, **changes: Any) -> ScsiCommand:
        """WRITE(10) of whole blocks; ``data`` is the immediate part."""
        return self.command(scsi.write(lba, blocks, width=10), write=True, **({"edtl": blocks * BLOCK} | changes))

    def ready(self) -> None:
        """Clear the unit attention that greets a new nexus."""
        (answer,) = self.send(self.command(scsi.test_unit_ready()))
        assert isinstance(answer, ScsiResponse)

    def test_unit_ready(self) -> Sense | None:
        """What TEST UNIT READY says: None when all is well."""
        (answer,) = self.send(self.command(scsi.test_unit_ready()))
        return sense_of(answer)

    def answer_r2t(self, r2t: R2T, data: bytes) -> list[Pdu]:
        """Give the array the stretch of ``data`` it asks for, in PDUs of the size it takes; return its answer."""
        assert self.params is not None
        limit = self.params.peer_max_recv_data_segment_length
        end = r2t.buffer_offset + r2t.desired_length
        parts = []
        for number, start in enumerate(range(r2t.buffer_offset, end, limit)):
            stop = min(start + limit, end)
            parts.append(
                DataOut(
                    final=stop == end,
                    lun=r2t.lun,
                    itt=r2t.itt,
                    ttt=r2t.ttt,
                    data_sn=number,
                    buffer_offset=start,
                    data=data[start:stop],
                )
            )
        return self.send(*parts)


def logged_in(group: Group, local: str = PORTALS[0], **login: Any) -> Peer:
    """A peer with a normal session, its first unit attention cleared. ``login``: arguments of `Peer.login`."""
    peer = Peer(group, local)
    outcome = peer.login(**login)
    assert isinstance(outcome, LoginDone), outcome
    peer.ready()
    return peer


def joining(leader: Peer, local: str = PORTALS[1], source: str = SOURCE) -> Peer:
    """A peer that counts with ``leader`` and has not logged in yet."""
    return Peer(leader.connection.group, local, source, now_ns=leader.now_ns, counters=leader.counters)


def joined(leader: Peer, cid: int, local: str = PORTALS[1], **login: Any) -> Peer:
    """A further connection of the leader's session, or a new one in the place of that with the same CID."""
    peer = joining(leader, local)
    outcome = peer.login(**({"isid": leader.isid, "tsih": leader.tsih, "cid": cid} | login))
    assert isinstance(outcome, LoginDone), outcome
    return peer


def discovering(group: Group, local: str = GROUP_ADDRESS, **login: Any) -> Peer:
    """A peer with a discovery session."""
    peer = Peer(group, local)
    outcome = peer.login(None, **login)
    assert isinstance(outcome, LoginDone), outcome
    return peer


def sense_of(answer: Pdu) -> Sense | None:
    """The sense a SCSI Response carries, None when it carries none."""
    assert isinstance(answer, ScsiResponse), answer
    return Sense.decode(answer.data[2:]) if answer.data else None


def read_data(answers: list[Pdu]) -> bytes:
    """The data of a read's Data-In PDUs, which must come in order."""
    data = b""
    for answer in answers:
        if isinstance(answer, DataIn):
            assert answer.buffer_offset == len(data)
            data += answer.data
    return data


def rejected_header(answer: Pdu) -> Pdu:
    """The PDU whose header a Reject gives back."""
    return decode(answer.data[:48], answer.data[48:])
