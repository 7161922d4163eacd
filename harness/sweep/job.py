"""What a sweep runs for each seed, as a value that worker processes can be sent.

Without a file it is the seed's swarm scenario; with one it is that scenario under the seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

from harness.load import parse_toml, scenario_from
from harness.scenario import Scenario
from harness.swarm import swarm_scenario

__all__ = ["Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with a seed."""

    toml: bytes | None = None
    """A scenario file's bytes; None: every seed has its own scenario, drawn by `swarm_scenario`."""
    file: str = ""
    """Where they come from, for the command that replays a seed."""
    twice: bool = False
    """Each seed runs a second time, in a process with another PYTHONHASHSEED."""
    limit_s: float = 120.0
    """Wall-clock time one run of one seed may take."""

    def scenario(self, seed: int) -> Scenario:
        """The seed's scenario. Raises ScenarioError."""
        return swarm_scenario(seed) if self.toml is None else _parsed(self.toml, self.file)

    @property
    def kind(self) -> str:
        """ "swarm", or "scenario" for one from a file."""
        return "swarm" if self.toml is None else "scenario"

    @property
    def scenario_sha256(self) -> str:
        """Of the file's bytes; empty for a swarm."""
        return "" if self.toml is None else hashlib.sha256(self.toml).hexdigest()


@cache
def _parsed(toml: bytes, file: str) -> Scenario:
    return scenario_from(parse_toml(toml, file), file=file)
