"""docs/failover.md has the figures that the timers give, and names scenarios that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.stall_causes import tcp_give_up_ns
from initiator_model.profiles import Profile, profile_named
from initiator_model.stalls import StallCause, expected_stall_ns
from initiator_model.timers import SECOND_NS
from sim.net.tcp_profiles import profile as tcp_profile
from target.config import Limits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "failover.md").read_text(encoding="utf-8")
HOSTS = [profile_named(name) for name in ("msdsm-2008", "linux-dm-multipath-eql", "esxi")]


def pinging(profile: Profile) -> Profile:
    return profile if profile.timers.ping_interval_ns else profile.with_timers({"enable_nop_out": 1})


def stall_s(profile: Profile, row: str) -> float:
    tcp = tcp_profile(profile.tcp_profile)
    match row:
        case "carrier lost" if tcp.media_sense:
            ns = expected_stall_ns(profile, StallCause.CARRIER_LOST)
        case "carrier lost" | "silent, pinged":
            ns = expected_stall_ns(pinging(profile), StallCause.SILENT_PINGED)
        case "silent, not pinged":
            ns = expected_stall_ns(profile, StallCause.SILENT, tcp_give_up_ns=tcp_give_up_ns(tcp))
        case "fin or rst, no login in time":
            ns = expected_stall_ns(profile, StallCause.FIN_OR_RST)
        case _:
            wait_s = max(profile.offered.default_time2wait, int(Limits().time2wait_s))
            ns = expected_stall_ns(profile, StallCause.FIN_OR_RST, reconnects=True, time2wait_s=wait_s)
    return ns / SECOND_NS


ROWS = re.findall(
    r"^\| ([^|]*?) \| `failover[^|]*\| ([\d.]+) s \| ([\d.]+) s \| ([\d.]+) s \|$",
    PAGE.partition("## A path is lost")[2].partition("\n## ")[0],
    re.MULTILINE,
)


def test_every_row_was_found() -> None:
    assert len(ROWS) == 5


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_figures_are_those_of_the_timers(row: tuple[str, str, str, str]) -> None:
    name, *figures = row
    assert [float(figure) for figure in figures] == [stall_s(profile, name) for profile in HOSTS]


def test_the_scenarios_named_are_there_and_all_are_named() -> None:
    named = set(re.findall(r"`(failover_\w+)`", PAGE))
    assert named == {path.stem for path in (ROOT / "scenarios").glob("failover_*.toml")}
