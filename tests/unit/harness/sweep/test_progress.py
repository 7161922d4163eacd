"""A sweep shows on a terminal how far it is, and says nothing of it in a pipe."""

from __future__ import annotations

import io

from rich.console import Console

from harness.sweep.command import progress_on


def test_a_terminal_gets_a_bar() -> None:
    text = io.StringIO()
    with progress_on(Console(file=text, force_terminal=True, width=80), 40) as moved:
        moved(8, 0)
        moved(16, 3)

    assert "24/40" in text.getvalue()
    assert "3 failed" in text.getvalue()


def test_a_pipe_gets_nothing() -> None:
    text = io.StringIO()
    with progress_on(Console(file=text), 40) as moved:
        moved(8, 0)

    assert text.getvalue() == ""
