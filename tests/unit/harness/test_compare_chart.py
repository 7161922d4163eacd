"""The chart: one file that loads nothing, the same bytes for the same results, a colour per policy."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.compare_chart import COLOURS, ChartError, drawing_for, svg
from harness.result import Result
from tests.support.comparing import comparison, faster, refused

# What would fetch something: any reference but to an id of the same file (namespaces are names, not addresses).
LOADS = re.compile(r"""(?:src|href|data)\s*=\s*["'](?!#)|url\(\s*["']?(?!#)|@import|<script|<link|<iframe|<image""")


@pytest.mark.parametrize("name", ["a.svg", "a.html"])
def test_the_file_loads_nothing(name: str, tables: dict[str, Any], result: Result) -> None:
    text = drawing_for(Path(name))(comparison(tables, a=result, b=faster(result, 2, "b")))
    assert not LOADS.search(text)


def test_equal_results_give_equal_bytes(tables: dict[str, Any], result: Result) -> None:
    """Also in another process, with another order of sets and another wall clock."""
    found = comparison(tables, a=result, b=faster(result, 2, "b"))
    later = comparison(tables, a=replace(result, wall_seconds=9.0), b=faster(result, 2, "b"))
    assert svg(found) == svg(later)
    program = (
        "import tomllib, pickle, sys; from harness.compare_chart import svg;"
        "sys.stdout.buffer.write(svg(pickle.load(sys.stdin.buffer)).encode())"
    )
    import pickle

    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=pickle.dumps(found),
            capture_output=True,
            env={"PYTHONHASHSEED": seed, "LC_ALL": "C.UTF-8"},
            timeout=60,
            check=True,
        )
        assert done.stdout.decode() == svg(found)


def test_it_is_well_formed_and_holds_every_policys_colour(tables: dict[str, Any], result: Result) -> None:
    text = svg(comparison(tables, a=result, b=result, c=result))
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    for colour in COLOURS[:3]:
        assert text.lower().count(f"fill: {colour.lower()}") >= 4  # throughput, latency, share, stall, and the legend
    assert COLOURS[3].lower() not in text.lower()


def test_other_results_are_another_picture(tables: dict[str, Any], result: Result) -> None:
    assert svg(comparison(tables, a=result)) != svg(comparison(tables, a=faster(result, 2, "a")))


def test_names_are_text_not_markup(tables: dict[str, Any], result: Result) -> None:
    """Neither TeX in a title nor tags in a page."""
    tables["title"] = r"$\frac{1}{ <b>costs $5 & more</b>"
    text = drawing_for(Path("a.html"))(comparison(tables, a=result))
    assert "<b>" not in text
    assert "&lt;b&gt;costs $5 &amp; more&lt;/b&gt;" in text


@pytest.mark.parametrize("count", [1, 9, 20])
def test_it_draws_what_is_missing_and_as_many_as_there_are(tables: dict[str, Any], result: Result, count: int) -> None:
    """Refused policies, runs without a lost path, I/O that never resumed, phases without I/O."""
    [loss], [phase] = result.failovers, result.phases
    idle = replace(phase, ios=0, bytes=0, throughput_bytes_per_s=0.0, iops=0.0)
    runs = {f"p{n}": faster(result, n + 1, "p") for n in range(count)}
    found = comparison(
        tables,
        refused=refused(result, "no"),
        calm=replace(result, failovers=()),
        endless=replace(result, failovers=(replace(loss, resumed_at_s=None, stall_s=None),)),
        idle=replace(result, phases=(idle,)),
        **runs,
    )
    assert svg(found).startswith("<?xml")


def test_without_a_phase_there_is_a_picture_too(tables: dict[str, Any], result: Result) -> None:
    assert svg(comparison(tables, a=refused(result, "no"))).startswith("<?xml")


def test_other_kinds_of_file_are_refused() -> None:
    with pytest.raises(ChartError, match=r"\.html or \.svg"):
        drawing_for(Path("a.png"))


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ChartError, match=r"pip install 'mpiolab\[report\]'"):
        drawing_for(Path("a.svg"))


def test_the_command_does_without_the_library_where_no_chart_is_wanted() -> None:
    program = "import sys; import harness.cli, harness.compare_command; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
