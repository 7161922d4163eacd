"""What a fault means to the host that suffers it: how the loss is noticed, and so how long I/O must stall."""

from __future__ import annotations

from harness.fault_step import Fault
from harness.scenario import Scenario
from initiator_model.profiles import Profile
from initiator_model.stalls import StallCause, expected_stall_ns
from sim.net.segment import TIMESTAMP_OPTION_BYTES
from sim.net.tcp_profiles import TcpProfile
from sim.net.tcp_profiles import profile as tcp_profile

_NO_PATH_LEFT_OR_NONE_LOST = (
    "array_kill",
    "host_reboot",
    "latency",
    "rate",
    "loss",
    "reorder",
    "jitter",
    "corrupt",
    "queue_limit",
)
"""After these the stall is as long as the fault, or as the traffic makes it: no timer fixes it."""


class StallCauses:
    """The faults of a scenario by the names failovers give as their cause."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._faults = {step.fault_name: step for step in scenario.steps if isinstance(step, Fault)}

    def expected_stall_ns(self, cause: str, profile: Profile) -> int | None:
        """What the profile's timers let I/O stand still after this fault; None where they say nothing about it."""
        fault = self._faults.get(cause)
        if fault is None or fault.kind in _NO_PATH_LEFT_OR_NONE_LOST or fault.array_fault is not None:
            return None
        tcp = tcp_profile(profile.tcp_profile)
        if fault.kind == "link_down" and fault.nic is not None and not fault.carrier and tcp.media_sense:
            noticed = StallCause.CARRIER_LOST
        elif profile.timers.ping_interval_ns:
            noticed = StallCause.SILENT_PINGED
        else:
            noticed = StallCause.SILENT
        silent = noticed in (StallCause.SILENT_PINGED, StallCause.SILENT)
        redirects = self._scenario.array.kind == "equallogic" and len(self._scenario.array.portals) > 1
        return expected_stall_ns(
            profile,
            noticed,
            reconnects=redirects and fault.portal is not None and fault.kind in ("portal_down", "link_down"),
            time2wait_s=max(profile.offered.default_time2wait, self._scenario.array.time2wait_ns // 10**9),
            tcp_give_up_ns=tcp_give_up_ns(tcp) if silent else None,
        )

    def addresses(self, fault: Fault) -> tuple[str, ...] | None:
        """The ends of the paths that feel a fault; None for all paths."""
        if fault.nic is not None:
            host, _, nic = fault.nic.partition("/")
            return (self._scenario.host(host).nic(nic).ip,)
        if fault.portal is not None:
            return (fault.portal,)
        if fault.host is not None:
            return tuple(nic.ip for nic in self._scenario.host(fault.host).nics)
        return None


def tcp_option_bytes(profile: Profile) -> int:
    """Per data segment between this host and the array: timestamps when the host offers them."""
    return TIMESTAMP_OPTION_BYTES if tcp_profile(profile.tcp_profile).timestamps else 0


def tcp_give_up_ns(tcp: TcpProfile) -> int:
    """From the first transmission of a segment to the reset after its last retransmission went unanswered.

    The retransmission timer stands at its minimum on a fast network and doubles each time.
    """
    total, timer = 0, tcp.min_rto_ns
    for _ in range(tcp.data_retries + 1):
        total += timer
        timer = min(2 * timer, tcp.max_rto_ns)
    return total
