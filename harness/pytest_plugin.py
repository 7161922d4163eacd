"""The pytest plugin: fixtures to test an initiator, a policy or a scenario with, and seeds for them.

    mpio_lab       a simulated lab (`harness.lab.Lab`): scenarios that must pass, coroutines in virtual time
    iscsi_array    the array on real TCP (`harness.lab.LoopbackArray`); `iscsi_array_tables` says which
    mpio_seed      a test that asks for it runs once per seed of --mpio-seeds; its lab runs under that seed

--mpio-replay SEED runs the one seed, --mpio-replay FILE the scenario that a failure has saved, instead of any that the
test asks its lab for. A failing test names the command that runs it once more. This is the one module that imports
pytest; what the fixtures are made of is imported when a test asks for them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from harness.lab import Lab, LoopbackArray, Setting
    from harness.scenario import Scenario

SEED: Final = "mpio_seed"
FIXTURES: Final = ("mpio_lab", SEED)
DEFAULT_SEEDS: Final = "3"
RUNS: Final = "runs"


def pytest_addoption(parser: pytest.Parser) -> None:
    """--mpio-seeds and --mpio-replay."""
    group = parser.getgroup("mpiolab", "iSCSI multipath in virtual time")
    group.addoption(
        "--mpio-seeds",
        metavar="N|A..B",
        default=DEFAULT_SEEDS,
        help=f"run tests that ask for mpio_seed under so many seeds, or from and to (default: {DEFAULT_SEEDS})",
    )
    group.addoption(
        "--mpio-replay",
        metavar="SEED|FILE",
        help="run them under this seed alone; of a scenario file also its scenario, instead of the test's",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, where a mistake in them is a usage error."""
    config.stash[_SEEDS], config.stash[_INSTEAD] = _chosen(config)


def _chosen(config: pytest.Config) -> tuple[list[int], Scenario | None]:
    seeds, replay = config.getoption("--mpio-seeds"), config.getoption("--mpio-replay")
    if replay is None and seeds == DEFAULT_SEEDS:
        return list(range(int(DEFAULT_SEEDS))), None
    from harness.minimize.command import NotASeed, scenario_of
    from harness.mistakes import ScenarioError
    from harness.sweep.command import SeedsError, parse_seeds

    try:
        if replay is None:
            return list(parse_seeds(seeds, "--mpio-seeds")), None
        if replay.isdecimal():
            return [int(replay)], None
        scenario, _ = scenario_of(replay)
    except SeedsError as error:
        raise pytest.UsageError(str(error)) from None
    except (NotASeed, ScenarioError) as error:
        raise pytest.UsageError(f"--mpio-replay {error}") from None
    return [scenario.seed], scenario


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per seed."""
    if SEED in metafunc.fixturenames:
        seeds = metafunc.config.stash[_SEEDS]
        metafunc.parametrize(SEED, seeds, ids=[f"seed-{seed}" for seed in seeds], scope="session", indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember the test that runs: a lab serves all of a session's."""
    item.config.stash[_ITEM] = item


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure of a test with a seed says how to run that seed again, whatever it was that failed."""
    report = yield
    if report.failed and _seed_of(item) is not None:
        report.sections.append(("mpiolab", f"seed {_seed_of(item)}; again: {_again(item)}"))
    return report


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def mpio_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test: it runs once for each of --mpio-seeds."""
    seed: int = request.param
    return seed


@pytest.fixture(scope="session")
def mpio_lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A simulated lab: `run_scenario` and `run`. One for the session, so that Hypothesis may use it, too."""
    from harness.lab import Lab

    return Lab(_setting_of(request.config, lambda: tmp_path_factory.mktemp(RUNS)))


@pytest.fixture
def iscsi_array_tables() -> dict[str, Any]:
    """The `[array]` that `iscsi_array` serves, as in a scenario file. Override it to serve another."""
    from harness.lab.machines import ARRAY

    return ARRAY


@pytest.fixture
def iscsi_array(iscsi_array_tables: dict[str, Any]) -> Iterator[LoopbackArray]:
    """An array on loopback addresses and a free port, new for each test."""
    from harness.lab import LoopbackArray

    array = LoopbackArray(iscsi_array_tables)
    array.start()
    try:
        yield array
    finally:
        array.stop()


# -- inside ------------------------------------------------------------------------------------------------------------

_SEEDS: Final = pytest.StashKey[list[int]]()
_INSTEAD: Final = pytest.StashKey["Scenario | None"]()
_ITEM: Final = pytest.StashKey[pytest.Item]()


def _setting_of(config: pytest.Config, make_directory: Callable[[], Path]) -> Callable[[], Setting]:
    """What the lab asks at each run: the seed and the command of the test that runs then."""
    from harness.lab import Setting

    directories: dict[str, Path] = {}

    def setting() -> Setting:
        item = config.stash[_ITEM]

        def runs() -> Path:
            """One directory per test, made when something fails."""
            if item.nodeid not in directories:
                directories[item.nodeid] = make_directory()
            return directories[item.nodeid]

        return Setting(runs=runs, seed=_seed_of(item), instead=config.stash[_INSTEAD], again=_again(item))

    return setting


def _seed_of(item: pytest.Item) -> int | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get(SEED)


def _again(item: pytest.Item) -> str:
    replay = item.config.getoption("--mpio-replay")
    if replay is None and (seed := _seed_of(item)) is not None:
        replay = str(seed)
    options = [] if replay is None else ["--mpio-replay", replay]
    return shlex.join(["pytest", item.nodeid, *options])
