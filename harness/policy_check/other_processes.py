"""The same stories in two processes whose strings have other hash values: the choices must be the same.

This module is also what those processes run: event lists as JSON on stdin, the choices of each on stdout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from harness.policy_check.events import Event, from_document, to_document
from harness.policy_check.rules import ORDER_OF_SETS, Broken
from harness.policy_check.trial import try_events

__all__ = ["OtherProcessFailed", "choices_elsewhere", "first_difference"]

HASH_SEEDS: Final = ("1", "2")
TIMEOUT_S: Final = 300


class OtherProcessFailed(Exception):
    """A process ended without an answer; the message is its last line."""


def first_difference(option: str, stories: Sequence[Sequence[Event]]) -> int | None:
    """Which is the first story whose choices depend on PYTHONHASHSEED; None: none does."""
    one, other = (choices_elsewhere(option, stories, seed) for seed in HASH_SEEDS)
    return next((index for index, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), None)


def difference(option: str, story: Sequence[Event]) -> Broken:
    """What differs in a story that does."""
    one, other = (choices_elsewhere(option, [story], seed)[0] for seed in HASH_SEEDS)
    at = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return Broken(ORDER_OF_SETS, "with PYTHONHASHSEED=1 a rule is broken at another place than with =2")
    paths = [f"path {choice[at]}" if choice[at] else "no path" for choice in (one, other)]
    return Broken(
        ORDER_OF_SETS, f"choice {at + 1} is {paths[0]} with PYTHONHASHSEED=1 and {paths[1]} with PYTHONHASHSEED=2"
    )


def choices_elsewhere(option: str, stories: Sequence[Sequence[Event]], hash_seed: str) -> list[list[int]]:
    """The choices of each story in a process of its own. Raises OtherProcessFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.policy_check.other_processes", option],
        input=json.dumps([[to_document(event) for event in story] for story in stories]),
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    try:
        answer: list[list[int]] = json.loads(done.stdout.rpartition("\n\n")[2])
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise OtherProcessFailed(f"with PYTHONHASHSEED={hash_seed}: {last}") from None
    return answer


def main() -> None:
    """Answer on stdout, after a blank line: a policy may print."""
    option, stories = sys.argv[1], json.load(sys.stdin)
    answer = [try_events(option, [from_document(event) for event in story])[0].choices for story in stories]
    sys.stdout.write(f"\n\n{json.dumps(answer)}")


if __name__ == "__main__":
    main()
