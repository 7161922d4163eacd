"""A network interface: its cable to the switch, its addresses, and the two events every segment costs.

A frame crosses its first link, is forwarded by the switch once it is complete there, and crosses the second link. For a
burst this is pipelined: its first frame leaves the switch while later ones are still arriving. The switch event is set
for the earliest instant from which the egress can send the burst without a gap: when the first frame has arrived if the
egress is no faster than the ingress, and otherwise so late that the last frame goes out just as it has arrived. So a
burst costs two events however long it is, and its last frame arrives exactly when it would have alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.env import Environment
from sim.net.link import Link
from sim.net.segment import SEQUENCE_MASK, Segment, SegmentRecord

if TYPE_CHECKING:
    from sim.net.host import Host
    from sim.net.switch import Switch

# A NIC takes at once what it can send in this time, so that what a burst hides from others on the wire stays small at
# any rate (Linux sizes its bursts alike: tcp_tso_autosize).
BURST_NS = 128_000


class Nic:
    """An interface of a host, plugged into the switch. Made by `Host.add_nic`.

    `carrier` is what the host's own PHY reports; a blackhole drops everything though the carrier stays. Both count the
    faults that hold them, so that one fault's end does not end another's.
    """

    def __init__(
        self,
        host: Host,
        name: str,
        mac: str,
        prefix_length: int,
        rate_bits_per_s: int,
        latency_ns: int,
        offload: bool,
        mtu: int,
        switch: Switch,
        observers: list[Callable[[SegmentRecord], None]],
    ) -> None:
        self.host = host
        self.name = name
        self.label = f"{host.name}/{name}"
        self.mac = mac
        self.prefix_length = prefix_length
        self.offload = offload
        self.mtu = mtu
        self.addresses: list[str] = []
        self.to_switch = Link(switch.env, rate_bits_per_s, latency_ns)
        self.from_switch = Link(switch.env, rate_bits_per_s, latency_ns)
        self.passing = True
        self._env: Environment = switch.env
        self._switch = switch
        self._ports = switch.ports
        self._observers = observers
        self._at_switch = (self._forward,)
        self._at_host = (self._arrive,)
        self._pulled = 0
        self._blackholes = 0

    def __repr__(self) -> str:
        return f"<Nic {self.label} {', '.join(self.addresses)}>"

    # -- configuration -------------------------------------------------------------------------------------------------

    @property
    def rate_bits_per_s(self) -> int:
        """The rate of both directions."""
        return self.to_switch.rate_bits_per_s

    @rate_bits_per_s.setter
    def rate_bits_per_s(self, rate: int) -> None:
        if rate < 1:
            raise ValueError(f"{self.label}: a rate must be above 0 bits per second, not {rate}")
        self.to_switch.rate_bits_per_s = self.from_switch.rate_bits_per_s = rate

    @property
    def latency_ns(self) -> int:
        """The latency of each direction, between host and switch."""
        return self.to_switch.latency_ns

    @latency_ns.setter
    def latency_ns(self, latency_ns: int) -> None:
        if latency_ns < 0:
            raise ValueError(f"{self.label}: a latency cannot be negative ({latency_ns} ns)")
        self.to_switch.latency_ns = self.from_switch.latency_ns = latency_ns

    @property
    def burst_bytes(self) -> int:
        """The longest burst this NIC takes from TCP."""
        return self.rate_bits_per_s * BURST_NS // (8 * 1_000_000_000)

    @property
    def carrier(self) -> bool:
        """Whether the host sees a carrier."""
        return not self._pulled

    def add_address(self, ip: str) -> None:
        """Give the NIC an address; from now on it answers for it. Raises ValueError when a NIC has it already."""
        self._switch.attach(ip, self)
        self.addresses.append(ip)
        self.host.address_added(ip, self)

    def remove_address(self, ip: str) -> None:
        """Take the address away: nobody answers for it, and what its connections send goes nowhere."""
        if ip not in self.addresses:
            raise ValueError(f"{self.label} has no address {ip}")
        self._switch.detach(ip)
        self.addresses.remove(ip)
        self.host.address_removed(ip)

    # -- faults --------------------------------------------------------------------------------------------------------

    def pull_cable(self) -> None:
        """The carrier is lost; nothing passes. The host's stack may see it (`TcpProfile.media_sense`)."""
        self._pulled += 1
        self._update()
        if self._pulled == 1:
            self.host.carrier_lost(self)

    def plug_cable(self) -> None:
        """Undo one `pull_cable`."""
        if not self._pulled:
            raise ValueError(f"{self.label}: the cable is plugged in")
        self._pulled -= 1
        self._update()

    def swallow(self) -> None:
        """Drop everything in both directions, silently."""
        self._blackholes += 1
        self._update()

    def stop_swallowing(self) -> None:
        """Undo one `swallow`."""
        if not self._blackholes:
            raise ValueError(f"{self.label}: nothing swallows its frames")
        self._blackholes -= 1
        self._update()

    def _update(self) -> None:
        self.passing = not (self._pulled or self._blackholes)

    # -- data path -----------------------------------------------------------------------------------------------------

    def transmit(self, segment: Segment) -> None:
        """Put `segment` on the cable towards the switch."""
        env = self._env
        now = env._now
        if self._observers:
            record = self._record(now, segment)
            for observer in self._observers:
                observer(record)
        if not self.passing:
            return
        egress = self._ports.get(segment.flow[0][0])
        if egress is None:
            return  # no one answers for the address
        link = self.to_switch
        if segment.frames == 1:
            link.carry(now, segment, self._at_switch)
            return
        # As the module says: when the egress may begin, having the rest of the burst in time.
        full = segment.full_frame_bytes
        first = max(link.free_ns, now) + link.duration_ns(full) + link.latency_ns
        arrival = link.reserve(now, segment.wire_bytes) - egress.from_switch.duration_ns((segment.frames - 1) * full)
        env.carry(arrival if arrival > first else first, segment, self._at_switch)

    def _forward(self, segment: Segment) -> None:
        # At the switch. The cable may have been pulled, the address may have moved, since the segment was sent.
        egress = self._ports.get(segment.flow[0][0])
        if egress is not None and self.passing:
            egress.from_switch.carry(self._env._now + self._switch.latency_ns, segment, egress._at_host)

    def _arrive(self, segment: Segment) -> None:
        if self.passing:
            self.host.receive(segment)

    def _record(self, now_ns: int, segment: Segment) -> SegmentRecord:
        dst, src = segment.flow
        timestamps = segment.timestamps
        if timestamps is not None:
            timestamps = (timestamps[0] & SEQUENCE_MASK, timestamps[1] & SEQUENCE_MASK)
        return SegmentRecord(
            now_ns,
            self.label,
            self.mac,
            self._switch.mac_of(dst[0]),
            src,
            dst,
            segment.flags,
            segment.seq & SEQUENCE_MASK,
            segment.ack & SEQUENCE_MASK,
            segment.window,
            segment.payload,
            segment.frames,
            segment.mss,
            tuple((start & SEQUENCE_MASK, end & SEQUENCE_MASK) for start, end in segment.sack),
            segment.options,
            timestamps,
        )
