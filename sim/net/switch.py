"""The switch: which NIC answers for which address, and how long forwarding takes.

One switch carries the whole storage network, as in an isolated VLAN. It stores and forwards frame by frame at a fixed
latency, queues without limit in front of a busy port (flow control is on), and knows the owner of each address at once:
address resolution costs nothing and is never stale. That it may fail is the hosts' affair (`TcpProfile.neighbour_ns`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.env import Environment

if TYPE_CHECKING:
    from sim.net.nic import Nic

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"


class Switch:
    """`ports` maps each address to the NIC that answers for it now."""

    def __init__(self, env: Environment, latency_ns: int) -> None:
        if latency_ns < 0:
            raise ValueError(f"the switch cannot forward {-latency_ns} ns before it receives")
        self.env = env
        self.latency_ns = latency_ns
        self.ports: dict[str, Nic] = {}
        self._last_macs: dict[str, str] = {}

    def attach(self, ip: str, nic: Nic) -> None:
        """Let `nic` answer for `ip`. Raises ValueError when another does."""
        if ip in self.ports:
            raise ValueError(f"{nic.label}: address {ip} belongs to {self.ports[ip].label}")
        self.ports[ip] = nic
        self._last_macs[ip] = nic.mac

    def detach(self, ip: str) -> None:
        """Let no one answer for `ip`."""
        del self.ports[ip]

    def mac_of(self, ip: str) -> str:
        """The MAC that last answered for `ip`, the broadcast one if none ever did: for captures."""
        return self._last_macs.get(ip, BROADCAST_MAC)
