"""One seed, run to a row, whatever happens.

An error of the harness is the seed's row and stops nothing. So is a run that takes too long: in the main thread an
alarm ends it, and where that does not help, or cannot be had, a watchdog outside of Python's reach ends the process.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from harness.mistakes import ScenarioError
from harness.narration import QuietNarrator
from harness.run import run_scenario
from harness.swarm import features_of
from harness.sweep.job import Job
from harness.sweep.row import HARNESS_FAILURE, SeedRow, harness_failure, row_of

__all__ = ["TooLong", "run_seed", "watchdog_s", "write_last_words_to"]

_AGAIN_S = 1.0
"""The alarm rings again so often: the first one may have been swallowed."""


_last_words: list[TextIO] = [sys.stderr]


def write_last_words_to(file: TextIO) -> None:
    """Where the watchdog writes what the process was at when it ends it; stderr unless said."""
    _last_words[0] = file


class TooLong(BaseException):
    """A run has used up its wall-clock time. No `Exception`, so that nothing in the run takes it for its own."""


def watchdog_s(limit_s: float) -> float:
    """When the process is ended that the alarm could not stop."""
    return 1.5 * limit_s + 1.0


def run_seed(job: Job, seed: int) -> SeedRow:
    """Run it. Never raises but for what must end the process."""
    began_s = time.monotonic()
    began_cpu_s = time.process_time()
    name = ""
    try:
        with _limited(job.limit_s):
            scenario = job.scenario(seed)
            name = scenario.name
            result = run_scenario(scenario, seed=seed, net="sim", pcap=None, narrator=QuietNarrator())
            return row_of(result, features_of(scenario), time.process_time() - began_cpu_s)
    except TooLong:
        return harness_failure(
            seed,
            f"the run took longer than {job.limit_s:g} s of wall-clock time",
            what=f"{HARNESS_FAILURE}: too long",
            scenario=name,
            wall_seconds=time.monotonic() - began_s,
        )
    except ScenarioError as error:
        return harness_failure(seed, str(error), what=f"{HARNESS_FAILURE}: scenario", scenario=name)
    except Exception as error:
        return harness_failure(
            seed,
            traceback.format_exc(limit=-6),
            what=f"{HARNESS_FAILURE}: {type(error).__name__}",
            scenario=name,
            wall_seconds=time.monotonic() - began_s,
        )


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    faulthandler.dump_traceback_later(watchdog_s(limit_s), exit=True, file=_last_words[0])
    alarmed = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGALRM)
    try:
        if alarmed:
            signal.signal(signal.SIGALRM, _too_long)
            signal.setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_S)
        yield
    finally:
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLong
