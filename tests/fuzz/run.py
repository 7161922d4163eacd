"""Coverage-guided fuzzing with atheris: ``python -m tests.fuzz.run TARGET CORPUS [libFuzzer options]``.

``make fuzz`` runs every target of `tests.fuzz.targets`, ten minutes in all. An input that breaks something is written
to tests/fuzz/crashes/TARGET/; once the fault is mended it stays there, and `test_fuzz.py` replays it for ever.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found,unused-ignore]

with atheris.instrument_imports(include=["iscsi", "target"]):
    from tests.fuzz.targets import TARGETS, seeds


def main() -> None:
    name, corpus, *options = sys.argv[1:]
    directory = Path(corpus)
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (directory / f"seed-{number}").write_bytes(seed)
    crashes = Path(__file__).parent / "crashes" / name
    crashes.mkdir(parents=True, exist_ok=True)
    arguments = [sys.argv[0], corpus, f"-artifact_prefix={crashes}/", "-timeout=10", "-rss_limit_mb=1024", *options]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
