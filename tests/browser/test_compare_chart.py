"""A chart opens in a real browser that can reach nobody: it is not blank, and each policy's colour is on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import matplotlib.image
import pytest

from harness.compare_chart import drawing_for
from harness.comparison import Column, Comparison
from harness.load import load_scenario
from harness.policy_choice import choices
from harness.policy_swap import under_policy
from tests.interop import support
from tests.support.runs import run

pytestmark = pytest.mark.interop

POLICIES = "failover-only,round-robin,least-queue-depth"
WIDTH, HEIGHT = 1200, 1400
LEAST = 0.001
"""Of the picture: a bar is larger, a letter smaller."""


@pytest.mark.parametrize("suffix", ["html", "svg"])
def test_it_is_drawn_in_the_colours_of_its_policies(tmp_path: Path, suffix: str) -> None:
    chromium = support.require("chromium")
    file, picture = tmp_path / f"chart.{suffix}", tmp_path / "chart.png"
    file.write_text(_chart(file), encoding="utf-8")

    done = support.run(
        chromium,
        "--headless",
        "--no-sandbox",  # root, as in a container, has no other choice; the page is our own
        "--disable-gpu",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--hide-scrollbars",
        f"--window-size={WIDTH},{HEIGHT}",
        f"--screenshot={picture}",
        file.as_uri(),
        limit_s=60,
    )

    assert picture.is_file(), done.stderr
    counts = _colours(picture)
    total = WIDTH * HEIGHT
    assert counts[(255, 255, 255)] < 0.98 * total, "the page is blank"
    for colour in ("#0072B2", "#E69F00", "#009E73"):
        rgb = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
        assert counts[rgb] > LEAST * total, f"{colour} is hardly there"
    assert counts[(34, 34, 34)] + counts[(0, 0, 0)] > 500, "no letters"


def _chart(file: Path) -> str:
    scenario = load_scenario(Path("scenarios/queue_depth_one.toml"))
    columns = [
        Column(str(choice), choice.name, run(under_policy(scenario, choice, "sim", "")))
        for choice in choices([POLICIES])
    ]
    return drawing_for(file)(Comparison(scenario, 1, "sim", tuple(columns)))


def _colours(picture: Path) -> Counter[tuple[int, ...]]:
    """How many pixels have each colour."""
    pixels = matplotlib.image.imread(picture)
    rgb = (pixels[:, :, :3] * 255).round().astype("uint8").reshape(-1, 3)
    return Counter(map(tuple, rgb.tolist()))
