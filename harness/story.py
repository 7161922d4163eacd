"""A run's story as data: the narrator that writes `trace.jsonl`.

One JSON object per line: `event`, `at_ns` where the event has a time, and its content. On the simulated network equal
runs write equal bytes, so two stories can be compared with diff; wall-clock figures are left to the result.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import IO

from harness.result import Net, Phase, Result
from harness.scenario import Scenario
from harness.steps import AnyStep


class StoryNarrator:
    """Writes each event to an open text file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def scenario(self, scenario: Scenario, net: Net, seed: int) -> None:
        self._write("scenario", name=scenario.name, net=net, seed=seed)

    def step(self, step: AnyStep, at_ns: int) -> None:
        self._write("step", at_ns=at_ns, step=step.model_dump(mode="json", by_alias=True, exclude_unset=True))

    def line(self, text: str, at_ns: int) -> None:
        self._write("line", at_ns=at_ns, text=text)

    def pane(self, title: str, text: str) -> None:
        self._write("pane", title=title, text=text)

    def phase(self, phase: Phase) -> None:
        self._write("phase", phase=asdict(phase))

    def fault(self, text: str, at_ns: int) -> None:
        self._write("fault", at_ns=at_ns, text=text)

    def finding(self, check: str, ok: bool, why: str) -> None:
        self._write("finding", check=check, ok=ok, why=why)

    def end(self, result: Result, rundir: Path | None) -> None:
        self._write("end", verdict=result.verdict, trace_sha256=result.trace_sha256)

    def _write(self, event: str, **content: object) -> None:
        json.dump({"event": event, **content}, self._file, ensure_ascii=False)
        self._file.write("\n")
