"""An array file and its secrets in a folder, to change one thing of in each test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HOST_SECRET = "only-the-host-knows"
ARRAY_SECRET = "only-the-array-knows"

ARRAY = """
[serve]
secrets = "secrets.toml"

[array]
name = "PS100"
group = "192.168.107.1/24"
portals = ["192.168.107.2", "192.168.107.3"]

[[array.volumes]]
name = "mail-db"
size = "1MiB"
[[array.volumes.access]]
source = "0.0.0.0/0"
chap = { user = "w2k3", mutual_user = "ps100" }
"""

SECRETS = f"""
[chap]
w2k3 = "{HOST_SECRET}"
[mutual_chap]
ps100 = "{ARRAY_SECRET}"
"""


class Folder:
    """Two files side by side: ``array`` names ``secrets``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.array = path / "array.toml"
        self.secrets = path / "secrets.toml"
        self.write(ARRAY)
        self.write_secrets(SECRETS)

    def write(self, text: str) -> None:
        self.array.write_text(text)

    def change(self, old: str, new: str) -> None:
        """Replace a passage of the array file, which must be there."""
        text = self.array.read_text()
        assert old in text
        self.write(text.replace(old, new))

    def write_secrets(self, text: str, mode: int = 0o600) -> None:
        self.secrets.write_text(text)
        os.chmod(self.secrets, mode)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """The two files, without a mistake."""
    return Folder(tmp_path)
