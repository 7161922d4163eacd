"""Room for as many connections as the array takes: each is an open file, and a process starts with few of those."""

from __future__ import annotations

import resource
from typing import Final

BESIDE: Final = 128
"""Open files that are no connections: listeners, volumes, the control socket and its clients, the log."""


def make_room(connections: int) -> str | None:
    """Raise the soft limit as far as it takes and may; returns a complaint when that is not far enough."""
    wanted = connections + BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    reach = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reach, hard))
    if reach < wanted:
        return f"only {reach} files may be open at once: not enough for {connections} connections (max_connections)"
    return None
