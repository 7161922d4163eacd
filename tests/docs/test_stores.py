"""The array file that docs/stores.md shows is one."""

from __future__ import annotations

from pathlib import Path

from harness.array import group_config
from harness.serving.array_file import load_serving

HEAD = """
[array]
name = "PS100"
group = "192.168.51.1/24"
portals = ["192.168.51.2"]
"""


def test_the_volumes_shown_can_be_served(tmp_path: Path) -> None:
    shown = Path("docs/stores.md").read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    file = tmp_path / "array.toml"
    file.write_text(HEAD + shown)
    serving = load_serving(file)
    scratch, logs, trial = group_config(serving.array).volumes
    assert (scratch.size_bytes, scratch.path) == (10 << 40, None)
    assert (logs.path, logs.snapshot_of) == (str(tmp_path / "logs.data"), None)
    assert (trial.path, trial.snapshot_of) == (str(tmp_path / "trial.delta"), str(tmp_path / "golden.data"))
