"""The I_T nexus: one initiator port talking to one target port.

Everything a logical unit keeps per peer (unit attentions, reservations, registrations) hangs on it. Two iSCSI sessions
of one host carry different ISIDs, so they are two initiator ports and two nexuses: that is what makes them two paths.

Source: SAM-5 4.6; RFC 7143 4.4.2 for the port names.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Nexus:
    """A nexus by its port names, and what VPD page 83h says about the target port.

    ``initiator_port``: ``<iqn>,i,0x<ISID>``; ``target_port``: ``<iqn>,t,0x<TPGT>``; ``relative_port``: 1 to 65535.
    The names alone make the nexus: a session that comes back through another portal of the group is still the same.
    The hash is kept, because a nexus is a dictionary key in the path of every command.
    """

    initiator_port: str
    target_port: str
    relative_port: int
    tpgt: int
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.initiator_port, self.target_port)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Nexus):
            return NotImplemented
        return self.initiator_port == other.initiator_port and self.target_port == other.target_port


def initiator_port_name(iqn: str, isid: bytes) -> str:
    """The SCSI port name of an initiator session."""
    return f"{iqn},i,0x{isid.hex()}"


def target_port_name(iqn: str, tpgt: int) -> str:
    """The SCSI port name of a target portal group."""
    return f"{iqn},t,0x{tpgt:04x}"
