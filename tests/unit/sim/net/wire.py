"""Two endpoints and a wire between them, without a network: what the TCP tests drive by hand."""

from collections.abc import Callable

from sim.net.segment import Segment
from sim.net.tcp import NEVER_NS, TcpEndpoint, TcpState
from sim.net.tcp_profiles import LINUX, TcpProfile

CLIENT = ("10.0.0.1", 40_000)
SERVER = ("10.0.0.2", 3_260)
TILL_QUIET_NS = NEVER_NS - 1


class Wire:
    """A client and a server `latency_ns` apart. `lose(segment)` decides what does not arrive; both ends read at once
    unless `reading` says otherwise. `log` keeps what either end sent, and when."""

    def __init__(
        self,
        profile: TcpProfile = LINUX,
        *,
        client: TcpProfile | None = None,
        latency_ns: int = 50_000,
        kind: type[TcpEndpoint] = TcpEndpoint,
    ) -> None:
        self.now_ns = 0
        self.latency_ns = latency_ns
        self.client = kind(client or profile, CLIENT, SERVER, 1_000)
        self.server = kind(profile, SERVER, CLIENT, 4_294_967_000)  # its numbers soon pass 2**32
        self.lose: Callable[[Segment], bool] = lambda segment: False
        self.log: list[tuple[int, Segment]] = []
        self.got = {self.client: bytearray(), self.server: bytearray()}
        self.reading = {self.client: True, self.server: True}
        self._flying: list[tuple[int, Segment]] = []

    @property
    def sent(self) -> list[Segment]:
        """What either end sent."""
        return [segment for _, segment in self.log]

    def _collect(self) -> None:
        for end in (self.client, self.server):
            outgoing, end.outgoing = end.outgoing, []
            for segment in outgoing:
                self.log.append((self.now_ns, segment))
                if not self.lose(segment):
                    self._flying.append((self.now_ns + self.latency_ns, segment))

    def read(self, end: TcpEndpoint) -> None:
        """Take what has arrived, as an application would."""
        for payload in end.received.hand_over():
            self.got[end] += payload
        end.acknowledge(self.now_ns)

    def run(self, until_ns: int = TILL_QUIET_NS) -> None:
        """Let time pass until nothing is left to happen or `until_ns` comes."""
        self._collect()
        while True:
            arrival = self._flying[0][0] if self._flying else NEVER_NS
            deadline = min(self.client.deadline_ns, self.server.deadline_ns)
            if min(arrival, deadline) > until_ns:
                if until_ns != TILL_QUIET_NS:
                    self.now_ns = until_ns
                return
            if arrival <= deadline:
                self.now_ns = arrival
                segment = self._flying.pop(0)[1]
                end = self.server if segment.flow[0] == SERVER else self.client
                end.receive(self.now_ns, segment)
                if self.reading[end]:
                    self.read(end)
            else:
                self.now_ns = deadline
                for end in (self.client, self.server):
                    end.on_deadline(self.now_ns)
            self._collect()

    def handshake(self) -> None:
        """Connect, until both ends are established; the clock then starts anew for the test."""
        self.client.connect(self.now_ns)
        [syn], self.client.outgoing = self.client.outgoing, []
        self.log.append((self.now_ns, syn))
        self.server.accept(self.now_ns, syn)
        self.run(self.now_ns + 4 * self.latency_ns)
        assert self.client.state is self.server.state is TcpState.ESTABLISHED
        self.log.clear()
