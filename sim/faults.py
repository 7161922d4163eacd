"""What can be broken, and mended: each fault is an object with `apply()` and `heal()`.

Applying a fault that is applied does nothing, and so does healing one that is not. Two faults at one place hold
independently: the cable is back when the last of them is healed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from sim.net.host import Host
from sim.net.impairment import (
    Clog,
    Corruption,
    Darkness,
    Direction,
    FrameLoss,
    Impairment,
    Jitter,
    QueueLimit,
    Reordering,
)
from sim.net.nic import Nic


def _nothing() -> None:
    """The hook of those who have none."""


class Fault(ABC):
    """Something that is broken while `active`."""

    def __init__(self) -> None:
        self.active = False

    def apply(self) -> None:
        """Break it; nothing happens when it is broken already."""
        if not self.active:
            self.active = True
            self._apply()

    def heal(self) -> None:
        """Mend it; nothing happens when it is not broken."""
        if self.active:
            self.active = False
            self._heal()

    @abstractmethod
    def _apply(self) -> None: ...

    @abstractmethod
    def _heal(self) -> None: ...


class LinkDown(Fault):
    """A cable is pulled.

    With `carrier` the host's own port loses its carrier: a stack with media sense (the Windows profiles) aborts the
    connections of that interface at once and refuses new ones. Without it the break lies beyond the first device, the
    port stays up, and frames disappear.
    """

    def __init__(self, nic: Nic, *, carrier: bool = True) -> None:
        super().__init__()
        self.nic = nic
        self.carrier = carrier

    def _apply(self) -> None:
        if self.carrier:
            self.nic.pull_cable()
        else:
            self.nic.swallow()

    def _heal(self) -> None:
        if self.carrier:
            self.nic.plug_cable()
        else:
            self.nic.stop_swallowing()


class CableFault(Fault):
    """An impairment of an interface's cable: of what comes to the NIC, of what it sends, or (None) of both."""

    def __init__(self, nic: Nic, impairment: Impairment, direction: Direction | None) -> None:
        super().__init__()
        self.nic = nic
        self.impairment = impairment
        self.directions = tuple(Direction) if direction is None else (direction,)

    def _apply(self) -> None:
        for direction in self.directions:
            self.nic.impair(direction, self.impairment)

    def _heal(self) -> None:
        for direction in self.directions:
            self.nic.mend(direction, self.impairment)


class Blackhole(CableFault):
    """Everything to and from an interface disappears, silently, or only what goes one way."""

    def __init__(self, nic: Nic, direction: Direction | None = None) -> None:
        super().__init__(nic, Darkness(), direction)


class Loss(CableFault):
    """Each frame is lost with the probability `share`: a bad plug, a worn cable."""

    def __init__(self, nic: Nic, share: float, direction: Direction | None = None) -> None:
        super().__init__(nic, FrameLoss(_share(nic, share)), direction)


class Corrupt(CableFault):
    """A `share` of the frames arrives with a changed byte that TCP's checksum does not notice; iSCSI's digests do."""

    def __init__(self, nic: Nic, share: float, direction: Direction | None = None) -> None:
        super().__init__(nic, Corruption(_share(nic, share)), direction)


class Reorder(CableFault):
    """A `share` of the frames comes `delay_ns` after its turn."""

    def __init__(self, nic: Nic, share: float, delay_ns: int, direction: Direction | None = None) -> None:
        if delay_ns < 1:
            raise ValueError(f"{nic.label}: a frame that comes late is late by more than 0 ns, not {delay_ns}")
        super().__init__(nic, Reordering(_share(nic, share), delay_ns), direction)


class JitterFault(CableFault):
    """Every segment takes up to `extra_ns` longer, at random; their order stays."""

    def __init__(self, nic: Nic, extra_ns: int, direction: Direction | None = None) -> None:
        if extra_ns < 1:
            raise ValueError(f"{nic.label}: jitter is more than 0 ns, not {extra_ns}")
        super().__init__(nic, Jitter(extra_ns), direction)


class ShortQueue(CableFault):
    """What waits for the cable, each way, is at most `limit_bytes`; frames beyond that are dropped."""

    def __init__(self, nic: Nic, limit_bytes: int, direction: Direction | None = None) -> None:
        if limit_bytes < 1:
            raise ValueError(f"{nic.label}: a queue has room for 1 byte at least, not {limit_bytes}")
        super().__init__(nic, QueueLimit(limit_bytes), direction)


class ClogFault(CableFault):
    """Nothing arrives, and nothing is lost: when it is healed, all that was held comes at once, in order."""

    def __init__(self, nic: Nic, direction: Direction | None = None) -> None:
        super().__init__(nic, Clog(), direction)


def _share(nic: Nic, share: float) -> float:
    if not 0 < share <= 1:
        raise ValueError(f"{nic.label}: expected a share of the frames above 0 and at most 1, not {share}")
    return share


class Latency(Fault):
    """An interface's cable becomes `extra_ns` longer, in each direction."""

    def __init__(self, nic: Nic, extra_ns: int) -> None:
        if extra_ns < 0:
            raise ValueError(f"{nic.label}: extra latency cannot be negative ({extra_ns} ns)")
        super().__init__()
        self.nic = nic
        self.extra_ns = extra_ns

    def _apply(self) -> None:
        self.nic.latency_ns += self.extra_ns

    def _heal(self) -> None:
        self.nic.latency_ns -= self.extra_ns


class Rate(Fault):
    """An interface negotiates another rate. Healing gives back the rate found when the fault was applied."""

    def __init__(self, nic: Nic, rate_bits_per_s: int) -> None:
        if rate_bits_per_s < 1:
            raise ValueError(f"{nic.label}: a rate must be above 0 bits per second, not {rate_bits_per_s}")
        super().__init__()
        self.nic = nic
        self.rate_bits_per_s = rate_bits_per_s
        self._before = nic.rate_bits_per_s

    def _apply(self) -> None:
        self._before = self.nic.rate_bits_per_s
        self.nic.rate_bits_per_s = self.rate_bits_per_s

    def _heal(self) -> None:
        self.nic.rate_bits_per_s = self._before


class PortalDown(Fault):
    """An address is gone: nobody answers for it. The interface and its other addresses stay."""

    def __init__(self, nic: Nic, ip: str) -> None:
        super().__init__()
        self.nic = nic
        self.ip = ip

    def _apply(self) -> None:
        self.nic.remove_address(self.ip)

    def _heal(self) -> None:
        self.nic.add_address(self.ip)


class ProcessKill(Fault):
    """What runs on a host is killed: connections end with a reset, or silently, and connects are refused.

    A killed program is told nothing. `stopped` is called when it has died, to throw its objects away; `restarted` when
    the fault is healed, to start it anew.
    """

    def __init__(
        self,
        host: Host,
        *,
        reset: bool = True,
        stopped: Callable[[], None] = _nothing,
        restarted: Callable[[], None] = _nothing,
    ) -> None:
        super().__init__()
        self.host = host
        self.reset = reset
        self._stopped = stopped
        self._restarted = restarted

    def _apply(self) -> None:
        self.host.kill_process(reset=self.reset)
        self._stopped()

    def _heal(self) -> None:
        self._restarted()


class HostReboot(Fault):
    """A host loses power when applied and is up again, with an empty memory, when healed.

    Until then it answers nothing; afterwards segments of its former connections get a reset. The hooks are those of
    `ProcessKill`.
    """

    def __init__(
        self, host: Host, *, stopped: Callable[[], None] = _nothing, restarted: Callable[[], None] = _nothing
    ) -> None:
        super().__init__()
        self.host = host
        self._stopped = stopped
        self._restarted = restarted

    def _apply(self) -> None:
        self.host.crash()
        self._stopped()

    def _heal(self) -> None:
        self.host.boot()
        self._restarted()
