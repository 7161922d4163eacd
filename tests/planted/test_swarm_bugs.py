"""Each of the ten mistakes is found by a sweep, named by its oracle, and made as small as can be.

docs/planted-bugs.md says which seed was the first to find it (`python -m tests.planted.bugs_page` writes it); these
tests run that seed again, with the mistake and without.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.minimize import minimize
from harness.narration import QuietNarrator
from harness.result import Result
from harness.run import run_scenario
from harness.signature import signatures_of
from harness.swarm import swarm_scenario
from tests.planted.swarm_bugs import BUGS, SwarmBug
from tests.support.runs import verdicts

PAGE = Path("docs/planted-bugs.md").read_text()
SEEDS_MAX = 500
FAULTS_MAX, OPERATIONS_MAX, SECONDS_MAX = 3, 10, 60


def ids(bug: SwarmBug) -> str:
    return bug.plant.__name__


def seed_of(bug: SwarmBug) -> int:
    """The first seed that finds it, as the page says."""
    row = re.search(rf"^\| {re.escape(bug.what)} \|.*$", PAGE, re.MULTILINE)
    assert row is not None, f"docs/planted-bugs.md has no row for {bug.what!r}"
    cells = [cell.strip() for cell in row.group().strip("|").split("|")]
    assert cells[1:3] == [bug.whose, f"`{bug.oracle}`"]
    return int(cells[3]) - 1


def run_seed(seed: int) -> Result:
    return run_scenario(swarm_scenario(seed), seed=seed, net="sim", pcap=None, narrator=QuietNarrator())


def test_there_are_ten_and_the_page_has_no_other() -> None:
    assert len(BUGS) == 10
    assert len(re.findall(r"^\| .* \| (?:target|host) \|", PAGE, re.MULTILINE)) == len(BUGS)
    assert all(seed_of(bug) < SEEDS_MAX for bug in BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=ids)
def test_the_seed_passes_without_the_mistake_and_its_oracle_fails_with_it(
    bug: SwarmBug, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = seed_of(bug)
    assert run_seed(seed).verdict == "pass"
    bug.plant(monkeypatch)
    assert verdicts(run_seed(seed))[bug.oracle] == "fail"


@pytest.mark.parametrize("bug", BUGS, ids=ids)
def test_what_is_left_of_it_fits_on_a_page(bug: SwarmBug, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = seed_of(bug)
    bug.plant(monkeypatch)
    found = minimize(swarm_scenario(seed), seed, budget_s=SECONDS_MAX)
    assert found.faults <= FAULTS_MAX
    assert found.operations <= OPERATIONS_MAX
    assert bug.oracle in [one.partition(":")[0] for one in signatures_of(found.result)]
