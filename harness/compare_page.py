"""A chart with its numbers as one HTML file: no scripts, nothing to load, readable without the picture, too."""

import io
from html import escape

from rich.console import Console

from harness.compare_table import print_comparison
from harness.comparison import Comparison

TABLE_WIDTH = 160
"""Columns of the table below the chart."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.4 sans-serif; color: #222; background: #fff }}
body {{ max-width: 72rem; margin: 1.5rem auto; padding: 0 1rem }}
svg {{ width: 100%; height: auto }}
figure {{ margin: 0 }}
pre {{ font-size: 13px; overflow-x: auto }}
</style>
</head>
<body>
<figure role="img" aria-label="{title}; the numbers are in the table below">
{svg}
</figure>
<pre>
{table}</pre>
</body>
</html>"""


def page(comparison: Comparison, svg: str) -> str:
    """The page around an SVG document."""
    text = io.StringIO()
    print_comparison(Console(file=text, width=TABLE_WIDTH, highlight=False, color_system=None), comparison)
    return _PAGE.format(
        title=escape(f"{comparison.scenario.name}: policies compared"),
        svg=svg[svg.index("<svg") :].strip(),
        table=escape(text.getvalue()),
    )
