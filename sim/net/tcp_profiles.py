"""How operating systems set the knobs of TCP: one table, no code.

Sources: Microsoft's "TCP/IP Implementation Details" for Windows Server 2003 (TcpMaxDataRetransmissions,
TcpMaxConnectRetransmissions, TcpTimedWaitDelay, MaxUserPort, window scaling and timestamps off unless Tcp1323Opts is
set, SACK on); `Get-NetTCPSetting` of Windows Server 2012; Linux `Documentation/networking/ip-sysctl.rst` (tcp_retries2,
tcp_syn_retries, tcp_synack_retries, tcp_fin_timeout, ip_local_port_range).

Congestion control: Windows Server 2003 repeats after two duplicate acknowledgements (TcpMaxDupAcks, default 2, in the
registry reference of Windows 2000), begins with two segments and counts acknowledgements as RFC 2581 has it (both
unverified). Windows Server 2012 begins with four (`Get-NetTCPSetting`, template Internet, as users quote it), does not
begin anew after a pause (CwndRestart False) and counts bytes (unverified); its Compound TCP and DCTCP are not modeled,
NewReno stands for both. Linux: CUBIC, ten segments (RFC 6928), tcp_slow_start_after_idle 1, tcp_reordering 3,
tcp_early_retrans 3 and tcp_recovery 1 (tail-loss probes and RACK; `tcp_recovery` says what of it is modeled).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sim.env import ms, s
from sim.net.congestion import CongestionControl
from sim.net.cubic import Cubic
from sim.net.newreno import NewReno, NewRenoByAcks


@dataclass(frozen=True, slots=True)
class TcpProfile:
    """One operating system's TCP.

    Retries count retransmissions, so a SYN is sent `syn_retries + 1` times. `window_scale` None means the option is not
    offered and the window ends at 65,535 bytes. `send_buffer_bytes` is what the socket takes before a transport's own
    buffer begins to fill. With `media_sense` a lost carrier takes the address away and its connections are aborted at
    once; without it the stack waits for answers that do not come. `neighbour_ns` is how long address resolution is
    tried before a connection that is being opened ends with "No route to host"; None: SYNs go on until their
    retries are used up. (Linux: three probes a second apart, `mcast_solicit` and `retrans_time_ms` of
    Documentation/networking/ip-sysctl.rst. What Windows does is not modeled.)

    `initial_segments` is the first congestion window; with `idle_decay` it shrinks while nothing is sent (RFC 2861).
    `dup_threshold` is how many duplicate acknowledgements, or how many segments sacked above it, make a segment lost.
    `probe_slack_ns` is what a tail-loss probe waits beyond two round trips (RFC 8985 7), None for a stack without RACK.
    """

    name: str
    receive_window_bytes: int
    window_scale: int | None
    timestamps: bool
    sack: bool
    send_buffer_bytes: int
    initial_rto_ns: int
    min_rto_ns: int
    max_rto_ns: int
    syn_retries: int
    syn_ack_retries: int
    data_retries: int
    delayed_ack_ns: int
    time_wait_ns: int
    fin_wait_2_ns: int
    first_port: int
    last_port: int
    media_sense: bool
    congestion: type[CongestionControl]
    initial_segments: int
    idle_decay: bool
    dup_threshold: int
    probe_slack_ns: int | None = None
    neighbour_ns: int | None = None


WINDOWS_2003 = TcpProfile(
    name="windows-2003",
    receive_window_bytes=65_535,
    window_scale=None,
    timestamps=False,
    sack=True,
    send_buffer_bytes=65_536,
    initial_rto_ns=s(3),
    min_rto_ns=ms(300),
    max_rto_ns=s(240),
    syn_retries=2,
    syn_ack_retries=2,
    data_retries=5,
    delayed_ack_ns=ms(150),  # TcpDelAckTicks: two ticks of a free-running 100 ms timer, so 100 to 200 ms; the middle
    time_wait_ns=s(240),
    fin_wait_2_ns=s(240),
    first_port=1_025,
    last_port=5_000,
    media_sense=True,
    congestion=NewRenoByAcks,
    initial_segments=2,
    idle_decay=False,
    dup_threshold=2,
)

WINDOWS_2012 = TcpProfile(
    name="windows-2012",
    receive_window_bytes=262_144,
    window_scale=8,
    timestamps=False,
    sack=True,
    send_buffer_bytes=131_072,
    initial_rto_ns=s(3),
    min_rto_ns=ms(300),
    max_rto_ns=s(240),
    syn_retries=2,
    syn_ack_retries=2,
    data_retries=5,
    delayed_ack_ns=ms(50),
    time_wait_ns=s(120),
    fin_wait_2_ns=s(120),
    first_port=49_152,
    last_port=65_535,
    media_sense=True,
    congestion=NewReno,
    initial_segments=4,
    idle_decay=False,
    dup_threshold=3,
)

LINUX = TcpProfile(
    name="linux",
    receive_window_bytes=1_048_576,
    window_scale=7,
    timestamps=True,
    sack=True,
    send_buffer_bytes=262_144,
    initial_rto_ns=s(1),
    min_rto_ns=ms(200),
    max_rto_ns=s(120),
    syn_retries=6,
    syn_ack_retries=5,
    data_retries=15,
    delayed_ack_ns=ms(40),
    time_wait_ns=s(60),
    fin_wait_2_ns=s(60),
    first_port=32_768,
    last_port=60_999,
    media_sense=False,
    congestion=Cubic,
    initial_segments=10,
    idle_decay=True,
    dup_threshold=3,
    probe_slack_ns=ms(2),  # TCP_TIMEOUT_MIN, two jiffies, at 1000 jiffies a second (unverified)
    neighbour_ns=s(3),
)

PROFILES: Mapping[str, TcpProfile] = MappingProxyType({each.name: each for each in (WINDOWS_2003, WINDOWS_2012, LINUX)})


def profile(name: str) -> TcpProfile:
    """The profile called `name`. Raises ValueError naming those there are."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"no TCP profile {name!r}; there are {', '.join(PROFILES)}") from None
