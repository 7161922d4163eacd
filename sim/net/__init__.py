"""The simulated network: NICs, one switch, and TCP good enough to be broken in the ways that matter."""

from sim.net.host import Host, SocketRow
from sim.net.network import Network
from sim.net.nic import Nic
from sim.net.segment import Address, SegmentRecord, SynOptions
from sim.net.tcp_profiles import LINUX, PROFILES, WINDOWS_2003, WINDOWS_2012, TcpProfile

__all__ = [
    "LINUX",
    "PROFILES",
    "WINDOWS_2003",
    "WINDOWS_2012",
    "Address",
    "Host",
    "Network",
    "Nic",
    "SegmentRecord",
    "SocketRow",
    "SynOptions",
    "TcpProfile",
]
