"""Where a run leaves what it found: `runs/<scenario>-<seed>/`.

`scenario.toml` is the file's own bytes, `result.json` the result, `trace.jsonl` the story as data, one event in
virtual time per line, `replay.txt` the command that does it all again. A second run of the same scenario and seed
replaces the first: on the simulated network it is the same run. A run on real TCP ends in `-tcp`, so neither hides
the other; a run of a comparison names its policy before that.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from harness.result import Net, Result

RESULT, TRACE, SCENARIO, REPLAY = "result.json", "trace.jsonl", "scenario.toml", "replay.txt"


class RunDirectory:
    """One run's directory."""

    def __init__(
        self,
        runs: Path,
        scenario: str,
        seed: int,
        net: Net,
        source: bytes,
        *,
        kind: str = "",
        command: Sequence[str] = ("run",),
    ) -> None:
        """Create it, with the scenario's copy and the replay command. Raises OSError.

        ``kind`` tells it from other runs of the scenario, ``command`` is what replays it with the scenario's copy.
        """
        kinds = [part for part in (kind, "" if net == "sim" else net) if part]
        self.path = runs / "-".join([scenario, str(seed), *kinds])
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / SCENARIO).write_bytes(source)
        (self.path / REPLAY).write_text(f"{replay_command(self.path / SCENARIO, seed, net, command)}\n")
        # A run that crashes must not leave the result of the run before it.
        (self.path / RESULT).unlink(missing_ok=True)

    @property
    def trace(self) -> Path:
        """Where the story goes."""
        return self.path / TRACE

    def write(self, result: Result) -> None:
        """Save the result."""
        (self.path / RESULT).write_text(result.to_json() + "\n")


def replay_command(scenario: Path, seed: int, net: Net, command: Sequence[str] = ("run",)) -> str:
    """The command that runs this scenario file again the same way."""
    name, *options = command
    return shlex.join(["mpiolab", name, str(scenario), *options, "--seed", str(seed), "--net", net])
