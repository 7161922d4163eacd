"""What a check may ask of a run beyond its result: states at a moment, and what the model's own figures predict.

The runner implements `RunFacts` over the live host model; tests implement it over a few constants. All answers are in
the words of the applet, which are the words scenario files use.
"""

from typing import Protocol

from harness.goodput import Framing
from harness.result import Failover


class RunFacts(Protocol):
    """Answers about the run at the moment of asking. Hosts and volumes are named as in the scenario."""

    def path_states(self, host: str, volume: str) -> tuple[str, ...]:
        """The state of each path of the host's disk, in the order of the MPIO pane; empty without a disk."""

    def policy(self, host: str, volume: str) -> str | None:
        """The disk's load balance policy; None without a disk."""

    def target_state(self, host: str, volume: str) -> str | None:
        """The volume's row in the Targets list; None when it was not discovered."""

    def redirects(self, host: str) -> tuple[str, ...]:
        """Addresses the host's logins were redirected to since the run began, in order."""

    def framing(self, phase: str) -> Framing:
        """What the session of a workload wrapped its data in, in the data's direction."""

    def io_complaints(self) -> tuple[str, ...]:
        """Why I/Os failed: the first few reasons of the run."""

    def expected_stall_ns(self, failover: Failover) -> int | None:
        """How long the profile's timers let I/O stand still after such a loss; None when no fault explains it."""
