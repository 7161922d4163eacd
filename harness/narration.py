"""What a run tells while it happens.

The runner calls a `Narrator` at each thing a person at the bench would see: the applet's panes, a redirect, a pulled
cable, I/O that goes on. Narrators are observers: they draw no randomness, schedule nothing, and a run is the same
with any of them. Times are nanoseconds since the scenario began, in virtual time on `sim` and measured on `tcp`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from harness.result import Net, Phase, Result
from harness.scenario import Scenario
from harness.steps import AnyStep


class Narrator(Protocol):
    """Receives the story of one run, in order."""

    def scenario(self, scenario: Scenario, net: Net, seed: int) -> None:
        """The run begins."""

    def step(self, step: AnyStep, at_ns: int) -> None:
        """A step begins; its `note` is the heading."""

    def line(self, text: str, at_ns: int) -> None:
        """Something happened. Redirects read `… SOURCE → GROUP  login → moved temporarily (0x0101) to PORTAL`."""

    def pane(self, title: str, text: str) -> None:
        """A window of the applet or the output of a command, as monospace text."""

    def phase(self, phase: Phase) -> None:
        """A workload has ended."""

    def fault(self, text: str, at_ns: int) -> None:
        """Something was broken or mended."""

    def finding(self, check: str, ok: bool, why: str) -> None:
        """A check was judged; `why` is a sentence in either case."""

    def end(self, result: Result, rundir: Path | None) -> None:
        """The run is over."""


class QuietNarrator:
    """Says nothing: for `--json -`, and for runs nobody watches."""

    def scenario(self, scenario: Scenario, net: Net, seed: int) -> None: ...

    def step(self, step: AnyStep, at_ns: int) -> None: ...

    def line(self, text: str, at_ns: int) -> None: ...

    def pane(self, title: str, text: str) -> None: ...

    def phase(self, phase: Phase) -> None: ...

    def fault(self, text: str, at_ns: int) -> None: ...

    def finding(self, check: str, ok: bool, why: str) -> None: ...

    def end(self, result: Result, rundir: Path | None) -> None: ...


class Narrators:
    """Several narrators as one, told in order."""

    def __init__(self, narrators: Sequence[Narrator]) -> None:
        self._narrators = tuple(narrators)

    def scenario(self, scenario: Scenario, net: Net, seed: int) -> None:
        for narrator in self._narrators:
            narrator.scenario(scenario, net, seed)

    def step(self, step: AnyStep, at_ns: int) -> None:
        for narrator in self._narrators:
            narrator.step(step, at_ns)

    def line(self, text: str, at_ns: int) -> None:
        for narrator in self._narrators:
            narrator.line(text, at_ns)

    def pane(self, title: str, text: str) -> None:
        for narrator in self._narrators:
            narrator.pane(title, text)

    def phase(self, phase: Phase) -> None:
        for narrator in self._narrators:
            narrator.phase(phase)

    def fault(self, text: str, at_ns: int) -> None:
        for narrator in self._narrators:
            narrator.fault(text, at_ns)

    def finding(self, check: str, ok: bool, why: str) -> None:
        for narrator in self._narrators:
            narrator.finding(check, ok, why)

    def end(self, result: Result, rundir: Path | None) -> None:
        for narrator in self._narrators:
            narrator.end(result, rundir)
