"""The file of CHAP secrets: the one place they may come from when an array is served.

It is read only when nobody but its owner can read it, and the owner is whoever runs the array, or root. Nothing of its
values is ever repeated: not in an error text, not in a repr. What it holds:

    [chap]                           # by these the hosts prove themselves
    w2k3 = "only-the-host-knows"

    [mutual_chap]                    # by these the array does
    ps100 = "only-the-array-knows"
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from harness.fields import ChapSecret, ChapText, Table
from harness.load import parse_toml, validated
from harness.mistakes import Mistake, ScenarioError, dotted

MAX_SECRETS_BYTES = 1 << 20

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretsFile(Table):
    """CHAP names and their secrets, by direction."""

    chap: dict[ChapText, ChapSecret] = Field(default_factory=dict, json_schema_extra={"writeOnly": True})
    """What each user proves itself with."""
    mutual_chap: dict[ChapText, ChapSecret] = Field(default_factory=dict, json_schema_extra={"writeOnly": True})
    """What the array proves itself with, by the name it goes by."""


def load_secrets(path: Path) -> SecretsFile:
    """Read the file. Raises ScenarioError: readable by others, somebody else's, not such a file."""
    file = str(path)
    secrets = validated(SecretsFile, parse_toml(_read(path), file), file)
    if mistakes := [Mistake(file, key, message) for key, message in _both_ways(secrets)]:
        raise ScenarioError(mistakes)
    return secrets


def _read(path: Path) -> bytes:
    """The bytes of a file that only its owner can read; what is checked is what is read."""
    file = str(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hang us
    except OSError as error:
        raise ScenarioError([Mistake(file, "", f"cannot be read: {error.strerror}")]) from None
    try:
        if complaint := _exposed(os.fstat(fd)):
            raise ScenarioError([Mistake(file, "", complaint)])
        return os.read(fd, MAX_SECRETS_BYTES)
    finally:
        os.close(fd)


def _exposed(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "expected a regular file"
    if status.st_size > MAX_SECRETS_BYTES:
        return f"expected at most {MAX_SECRETS_BYTES} bytes"
    if status.st_uid not in (0, os.geteuid()):
        return f"it belongs to user {status.st_uid}: secrets are read from a file of your own, or of root's"
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        return f"others can get at it (mode {mode:04o}): expected mode 0600, so say chmod 600"
    return None


def _both_ways(secrets: SecretsFile) -> Iterator[tuple[str, str]]:
    for name, secret in secrets.mutual_chap.items():
        for user, other in secrets.chap.items():
            if secret == other:
                message = f"also the secret of chap.{user}: one must not serve both directions (RFC 7143 9.2.1)"
                yield dotted(("mutual_chap", name)), message
