"""A network interface: its cable to the switch, its addresses, and the two events every segment costs.

A frame crosses its first link, is forwarded by the switch once it is complete there, and crosses the second link. For a
burst this is pipelined: its first frame leaves the switch while later ones are still arriving. The switch event is set
for the earliest instant from which the egress can send the burst without a gap: when the first frame has arrived if the
egress is no faster than the ingress, and otherwise so late that the last frame goes out just as it has arrived. So a
burst costs two events however long it is, and its last frame arrives exactly when it would have alone.

What ails the cable (`sim.net.impairment`) stands in `outward` and `inward`, which are None while a direction is well.
Each frame's fate is decided where it enters the cable; at its end it may still find that nothing comes through by now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.env import Call, Environment
from sim.net.impairment import Clog, Darkness, Direction, Impairment, Impairments
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

    `carrier` is what the host's own PHY reports; a blackhole drops everything though the carrier stays. `passing` says
    whether frames get through in both directions. What is done to a NIC counts, so that one fault's end does not end
    another's.
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
        observers: list[SegmentObserver],
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
        self.outward: Impairments | None = None
        self.inward: Impairments | None = None
        self._impairments: dict[Direction, Impairments] = {}
        self._env: Environment = switch.env
        self._switch = switch
        self._ports = switch.ports
        self._observers = observers
        self._at_switch = (self._forward,)
        self._at_host = (self._arrive,)
        self._pulled = 0

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
        self.swallow()
        if self._pulled == 1:
            self.host.carrier_lost(self)

    def plug_cable(self) -> None:
        """Undo one `pull_cable`."""
        if not self._pulled:
            raise ValueError(f"{self.label}: the cable is plugged in")
        self._pulled -= 1
        self.stop_swallowing()

    def swallow(self) -> None:
        """Drop everything in both directions, silently."""
        for direction in Direction:
            self.impair(direction, Darkness())

    def stop_swallowing(self) -> None:
        """Undo one `swallow`."""
        for direction in Direction:
            self.mend(direction, Darkness())

    def impair(self, direction: Direction, impairment: Impairment) -> None:
        """Let `impairment` ail one direction of the cable, beside what does already."""
        ailing = self._impairments.get(direction)
        if ailing is None:
            link = self.from_switch if direction is Direction.IN else self.to_switch
            name = f"{self.label}:{direction.value}"
            ailing = self._impairments[direction] = Impairments(link, name, self.host.network.stream)
        ailing.add(impairment)
        self._update()

    def mend(self, direction: Direction, impairment: Impairment) -> None:
        """Undo one `impair`. Raises ValueError when there is none such."""
        ailing = self._impairments.get(direction)
        if ailing is None:
            raise ValueError(f"{self.label}: nothing ails this direction ({direction.value})")
        ailing.remove(impairment)
        if isinstance(impairment, Clog) and not ailing.clogged:
            # Through the queue of events, as everything that arrives; until then what comes waits behind.
            self._env.at(self._env._now, self._release, ailing)
        self._update()

    def _release(self, call: Call) -> None:
        ailing: Impairments = call.payload
        for segment, onward in ailing.release():
            onward(segment)
        self._update()

    def _update(self) -> None:
        out, into = (self._impairments.get(direction) for direction in (Direction.OUT, Direction.IN))
        self.outward = out if out is not None and out.any else None
        self.inward = into if into is not None and into.any else None
        self.passing = not any(way is not None and (way.dark or way.clogged) for way in (out, into))

    # -- data path -----------------------------------------------------------------------------------------------------

    def transmit(self, segment: Segment) -> None:
        """Put `segment` on the cable towards the switch."""
        env = self._env
        now = env._now
        for observer in self._observers:
            observer(now, self, segment)
        egress = self._ports.get(segment.flow[0][0])
        if egress is None:
            return  # no one answers for the address
        if self.outward is not None:
            self._transmit_ailing(now, segment, egress, self.outward)
            return
        link = self.to_switch
        if segment.frames == 1:
            link.carry(now, segment, self._at_switch)
            return
        # As the module says: when the egress may begin, having the rest of the burst in time.
        full = segment.full_frame_bytes
        first = max(link.free_ns, now) + link.duration_ns(full) + link.latency_ns
        arrival = link.reserve(now, segment.wire_bytes) - egress.from_switch.duration_ns((segment.frames - 1) * full)
        env.carry(arrival if arrival > first else first, segment, self._at_switch)

    def _transmit_ailing(self, now_ns: int, segment: Segment, egress: Nic, ailing: Impairments) -> None:
        if ailing.dark:
            return
        for piece, first_ns, last_ns in ailing.pieces(segment, lambda frame: now_ns):
            egress_ns = egress.from_switch.duration_ns((piece.frames - 1) * piece.full_frame_bytes)
            self._env.carry(max(first_ns, last_ns - egress_ns), piece, self._at_switch)

    def _forward(self, segment: Segment) -> None:
        # At the switch. The cable may have been pulled, the address may have moved, since the segment was sent.
        if self.outward is not None and not self.outward.lets_through(segment, self._forward):
            return
        egress = self._ports.get(segment.flow[0][0])
        if egress is None:
            return
        now = self._env._now + self._switch.latency_ns
        if egress.inward is None:
            egress.from_switch.carry(now, segment, egress._at_host)
        else:
            self._forward_ailing(now, segment, egress, egress.inward)

    def _forward_ailing(self, now_ns: int, segment: Segment, egress: Nic, ailing: Impairments) -> None:
        frames, full = segment.frames, segment.full_frame_bytes
        gap_ns = self.to_switch.duration_ns(full)
        complete_ns = now_ns + (frames - 1) * min(gap_ns, egress.from_switch.duration_ns(full))

        def comes_ns(frame: int) -> int:
            return max(now_ns, complete_ns - (frames - 1 - frame) * gap_ns)

        if ailing.limited and frames > 1:
            # What of two bursts finds the queue full is decided frame by frame, in the order in which they come.
            for frame in range(frames):
                here_ns = comes_ns(frame) - self._switch.latency_ns
                self._env.carry(here_ns, segment.piece(frame, frame), self._at_switch)
            return
        for piece, _, last_ns in ailing.pieces(segment, comes_ns):
            self._env.carry(last_ns, piece, egress._at_host)

    def _arrive(self, segment: Segment) -> None:
        if self.inward is None or self.inward.lets_through(segment, self._arrive):
            self.host.receive(segment)

    def record(self, now_ns: int, segment: Segment) -> SegmentRecord:
        """What a capture wants to know of a segment that this NIC takes now."""
        dst, src = segment.flow
        timestamps = segment.timestamps
        if timestamps is not None:
            timestamps = (timestamps[0] & SEQUENCE_MASK, timestamps[1] & SEQUENCE_MASK)
        sack = segment.sack
        if sack:
            sack = tuple((start & SEQUENCE_MASK, end & SEQUENCE_MASK) for start, end in sack)
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
            sack,
            segment.options,
            timestamps,
        )


SegmentObserver = Callable[[int, Nic, Segment], None]
"""Told of every segment at the moment its NIC takes it: the time in ns, the NIC, the segment. It looks, no more."""
