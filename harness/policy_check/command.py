"""What `mpiolab check` does: check, tell, leave the failing story as a scenario."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness.policy_check.replay import Replayed, replay, scenario_name
from harness.policy_check.telling import document, tell
from harness.policy_check.verdict import check_policy
from harness.result import ExitCode
from harness.run_command import STDOUT, OutputError
from harness.walkthrough import console_for

__all__ = ["check"]


def check(option: str, *, examples: int, seed: int, json_place: str | None, scenario: Path | None) -> ExitCode:
    """Check one policy. Raises PolicyError, MissingHypothesis, OtherProcessFailed, OutputError."""
    if json_place not in (None, STDOUT) and not Path(json_place).parent.is_dir():
        raise OutputError(f"--json {json_place}: there is no directory {Path(json_place).parent}")
    console = console_for(sys.stdout)
    quiet = json_place == STDOUT
    if console.is_terminal and not quiet:
        with console.status("") as status:
            verdict = check_policy(
                option, examples=examples, seed=seed, progress=lambda doing: status.update(f"{option}: {doing}")
            )
    else:
        verdict = check_policy(option, examples=examples, seed=seed)
    replayed: Replayed | None = None
    if verdict.failing is not None:
        file = scenario if scenario is not None else Path("runs") / f"{scenario_name(option)}.toml"
        try:
            replayed = replay(verdict, verdict.failing, file)
        except OSError as error:
            raise OutputError(f"--scenario {file}: {error.strerror}") from None
    if not quiet:
        tell(console, verdict, replayed, examples=examples, seed=seed)
    if json_place is not None:
        text = json.dumps(document(verdict, replayed, examples=examples, seed=seed), ensure_ascii=False)
        _write(json_place, text)
    return ExitCode.PASS if verdict.failing is None else ExitCode.CORRECTNESS


def _write(place: str, text: str) -> None:
    if place == STDOUT:
        sys.stdout.write(text + "\n")
        return
    try:
        Path(place).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--json {place}: {error.strerror}") from None
