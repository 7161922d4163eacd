"""A comparison as a picture: throughput, latency and path shares by phase, and stalls, a colour per policy throughout.

Drawn by matplotlib as SVG: no scripts, no fonts and nothing else to load when it is looked at, and the same bytes for
the same results. (A chart that brings its JavaScript along weighs megabytes; this one some ten kilobytes.) What could
differ from machine to machine is pinned: the settings are matplotlib's own defaults, ids are hashed with a fixed salt,
no date is written, and letters are drawn as outlines of the font that matplotlib ships.

A path is a shade of its policy's colour, because the colours are taken.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.compare_page import page
from harness.comparison import Comparison
from harness.result import Phase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.patches import Patch

WIDTH_IN = 11.0
PANEL_IN = 2.6
GROUP = 0.84
"""Of a phase's place that its bars take, the rest being the gap to the next."""
MAX_LABELLED = 40
"""More bars than that are drawn without numbers."""
LEVEL = 12
"""Up to so many bars their numbers lie level, above that they stand."""
LOG_FROM = 30
"""Latencies further apart than that factor want a logarithmic axis."""

# Okabe and Ito, "Color Universal Design": told apart with every kind of colour vision.
COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#777777")
HATCHES: Final = ("", "///", "...")
"""The ninth policy has the first one's colour, hatched."""

_SETTINGS: Final[dict[Any, Any]] = {
    "svg.hashsalt": "mpiolab",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "hatch.color": "white",
}


class ChartError(Exception):
    """A chart that cannot be drawn: unknown kind of file, or no library."""


def drawing_for(file: Path) -> Callable[[Comparison], str]:
    """What draws a file of that name. Raises ChartError."""
    if file.suffix not in (".html", ".svg"):
        raise ChartError("expected a file that ends in .html or .svg")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ChartError("charts want matplotlib: pip install 'mpiolab[report]'") from None
    return svg if file.suffix == ".svg" else _html


def _html(comparison: Comparison) -> str:
    return page(comparison, svg(comparison))


def svg(comparison: Comparison) -> str:
    """The chart as an SVG document."""
    import matplotlib
    from matplotlib.figure import Figure

    stalls = any(column.worst_stall_s is not None for column in comparison.columns)
    panels = [_throughput, _latency, _shares, *([_stalls] if stalls else [])]
    file = io.StringIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(WIDTH_IN, PANEL_IN * len(panels) + 1.2), layout="constrained")
        world = "virtual time" if comparison.net == "sim" else "real TCP on loopback"
        title = f"{comparison.scenario.name}   {world}, seed {comparison.seed}"
        figure.suptitle(f"{title}\n{textwrap.fill(comparison.scenario.title, 110)}".rstrip())
        for draw, axes in zip(panels, figure.subplots(len(panels), 1, squeeze=False)[:, 0], strict=True):
            draw(axes, comparison)
            axes.grid(axis="y", linewidth=0.4)
        handles = [_swatch(_colour(at), _hatch(at)) for at in range(len(comparison.columns))]
        names = [column.policy for column in comparison.columns]
        figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)), frameon=False)
        figure.savefig(file, format="svg", metadata={"Date": None, "Title": title})
    return file.getvalue()


# -- panels ------------------------------------------------------------------------------------------------------------


def _throughput(axes: Axes, comparison: Comparison) -> None:
    axes.set_title("Throughput")
    axes.set_ylabel("MB/s")
    _grouped(axes, comparison, lambda phase: phase.throughput_bytes_per_s / 1e6, lambda value: f"{value:,.1f}")


def _latency(axes: Axes, comparison: Comparison) -> None:
    axes.set_title("Latency, 99 of 100 I/Os within")
    values = _grouped(axes, comparison, lambda phase: phase.latency_us.p99 / 1e3, _milliseconds)
    apart = bool(values) and max(values) > LOG_FROM * min(values)
    axes.set_ylabel("p99, ms (log)" if apart else "p99, ms")
    if apart:
        axes.set_yscale("log")
        axes.set_ylim(top=max(values) * (max(values) / min(values)) ** 0.25)
    axes.yaxis.set_major_formatter(lambda value, _: _milliseconds(value))


def _shares(axes: Axes, comparison: Comparison) -> None:
    """Bars of 100 %, a shade per path: the first path in full colour, the others ever lighter."""
    axes.set_title("Share of each path")
    axes.set_ylabel("% of I/Os")
    axes.set_ylim(0, 100)
    _phase_axis(axes, comparison)
    places = _labels_by_place(comparison)
    wide = GROUP / len(comparison.columns)
    for at, column in enumerate(comparison.columns):
        for group, name in enumerate(comparison.phases):
            phase = column.result.phase(name)
            if phase is None:
                continue
            below = 0.0
            for place, path in enumerate(phase.paths):
                share = path.share * 100
                colour = _shade(_colour(at), place, len(places))
                x = _place(group, at, len(comparison.columns))
                axes.bar(x, share, wide * 0.94, bottom=below, color=colour, hatch=_hatch(at), edgecolor="white")
                if share >= 9 and _bars(comparison) <= MAX_LABELLED // 2:
                    ink = _ink(colour)
                    axes.text(x, below + share / 2, f"{share:.0f}", ha="center", va="center", fontsize=7, color=ink)
                below += share
    handles = [_swatch(_shade("#555555", place, len(places)), "") for place in range(len(places))]
    axes.legend(
        handles,
        places,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=min(4, len(places)),
        frameon=False,
        fontsize=8,
    )


def _stalls(axes: Axes, comparison: Comparison) -> None:
    axes.set_title("Worst failover stall")
    axes.set_ylabel("s")
    axes.set_xticks(range(len(comparison.columns)), [textwrap.fill(one.policy, 16) for one in comparison.columns])
    axes.set_xlim(-0.5, len(comparison.columns) - 0.5)
    for at, column in enumerate(comparison.columns):
        stall_s = column.worst_stall_s
        if stall_s is None or stall_s == float("inf"):
            why = "refused" if column.refused is not None else "no path lost" if stall_s is None else "never resumed"
            axes.text(at, 0, why, ha="center", va="bottom")
            continue
        bar = axes.bar(at, stall_s, 0.5, color=_colour(at), hatch=_hatch(at))
        axes.bar_label(bar, [f"{stall_s:.3f}"], padding=2, fontsize=8)
    axes.margins(y=0.15)


def _grouped(
    axes: Axes, comparison: Comparison, take: Callable[[Phase], float], show: Callable[[float], str]
) -> list[float]:
    """One group of bars per phase, one bar per policy; the values drawn."""
    _phase_axis(axes, comparison)
    drawn: list[float] = []
    count = len(comparison.columns)
    for at, column in enumerate(comparison.columns):
        found = [column.result.phase(name) for name in comparison.phases]
        for group, phase in enumerate(found):
            if phase is None:
                why = "refused" if column.refused is not None else "not reached"
                axes.text(
                    _place(group, at, count),
                    0.02,
                    why,
                    rotation=90,
                    fontsize=7,
                    ha="center",
                    va="bottom",
                    color="#777777",
                    transform=axes.get_xaxis_transform(),
                )
        there = [(group, take(phase)) for group, phase in enumerate(found) if phase is not None and phase.ios]
        places = [_place(group, at, count) for group, _ in there]
        values = [value for _, value in there]
        bars = axes.bar(places, values, GROUP / count * 0.94, color=_colour(at), hatch=_hatch(at))
        _number(axes, bars, [show(value) for value in values], _bars(comparison))
        drawn += values
    axes.margins(y=0.18)
    return drawn


def _milliseconds(value: float) -> str:
    """Three digits of it: 0.0986, 2.28, 35.4, 105, 15,942."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _number(axes: Axes, bars: BarContainer, texts: Sequence[str], bars_in_panel: int) -> None:
    if bars_in_panel <= MAX_LABELLED:
        axes.bar_label(bars, list(texts), padding=2, fontsize=7, rotation=0 if bars_in_panel <= LEVEL else 90)


def _phase_axis(axes: Axes, comparison: Comparison) -> None:
    names = comparison.phases
    axes.set_xticks(range(len(names)), [textwrap.fill(name, max(10, 90 // max(1, len(names)))) for name in names])
    axes.set_xlim(-0.5, max(1, len(names)) - 0.5)
    axes.tick_params(axis="x", length=0)


def _bars(comparison: Comparison) -> int:
    return len(comparison.phases) * len(comparison.columns)


def _place(group: int, at: int, count: int) -> float:
    """The middle of a bar."""
    return group + GROUP * ((at + 0.5) / count - 0.5)


def _labels_by_place(comparison: Comparison) -> list[str]:
    """What the first, second, … path of a phase is called: its source address; several where phases differ."""
    labels: list[dict[str, None]] = []
    for phase in [phase for column in comparison.columns for phase in column.result.phases]:
        for place, path in enumerate(phase.paths):
            if place == len(labels):
                labels.append({})
            labels[place][path.local] = None
    return [f"{place}: {', '.join(names)}" for place, names in enumerate(labels, start=1)]


# -- colours -----------------------------------------------------------------------------------------------------------


def _colour(at: int) -> str:
    return COLOURS[at % len(COLOURS)]


def _hatch(at: int) -> str:
    return HATCHES[at // len(COLOURS) % len(HATCHES)]


def _shade(colour: str, place: int, places: int) -> tuple[float, float, float]:
    """The colour itself for the first path, mixed with ever more white for the others."""
    white = 0.7 * place / max(1, places - 1)
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red + (1 - red) * white, green + (1 - green) * white, blue + (1 - blue) * white


def _ink(colour: tuple[float, float, float]) -> str:
    """Black or white, whichever is read more easily on it (relative luminance, weights of ITU-R BT.709)."""
    red, green, blue = colour
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45 else "black"


def _swatch(colour: str | tuple[float, float, float], hatch: str) -> Patch:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, hatch=hatch)
