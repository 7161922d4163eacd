"""The plugin as a user's test run meets it: fixtures, seeds, replay, and what a failure says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

FAILS_WITH_SEED_1 = """
    from tests.support.runs import LOGINS, two_paths, workload

    EXPECTED = {"do": "expect", "that": [{"check": "io", "failed": 3}]}

    def test_it(mpio_lab, mpio_seed):
        steps = [*LOGINS, workload(ios=5), *([EXPECTED] if mpio_seed == 1 else [])]
        mpio_lab.run_scenario(two_paths(*steps))
"""
ASKS_FOR_A_SEED = """
    import pytest

    @pytest.fixture
    def doubled(mpio_seed):
        return 2 * mpio_seed

    def test_it(doubled, mpio_seed):
        assert doubled == 2 * mpio_seed
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test file, with warnings as errors."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    pytester.makeini("[pytest]\nfilterwarnings = error")

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-v", *options)

    return run


def seeds(result: pytest.RunResult) -> list[int]:
    """Those that ran, in order."""
    return [int(seed) for seed in re.findall(r"::test_it\[seed-(\d+)\] (?:PASSED|FAILED)", result.stdout.str())]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [0, 1, 2]),
        (["--mpio-seeds", "5"], [0, 1, 2, 3, 4]),
        (["--mpio-seeds", "70..72"], [70, 71, 72]),
        (["--mpio-replay", "71"], [71]),
    ],
)
def test_a_test_that_asks_for_a_seed_runs_once_per_seed(run: Run, options: list[str], expected: list[int]) -> None:
    result = run(ASKS_FOR_A_SEED, *options)

    assert seeds(result) == expected
    result.assert_outcomes(passed=len(expected))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--mpio-seeds", "many"], "--mpio-seeds many: expected how many"),
        (["--mpio-seeds", "9..3"], "--mpio-seeds 9..3: expected how many"),
        (["--mpio-replay", "nothing.toml"], "--mpio-replay nothing.toml: cannot be read"),
        (["--mpio-replay", "what"], "--mpio-replay what: expected a seed"),
    ],
)
def test_a_mistake_in_an_option_is_a_usage_error(run: Run, options: list[str], expected: str) -> None:
    result = run(ASKS_FOR_A_SEED, *options)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert expected in result.stderr.str()


def test_a_failure_names_its_seed_its_scenario_and_the_commands_that_run_it_again(run: Run) -> None:
    result = run(FAILS_WITH_SEED_1)

    result.assert_outcomes(passed=2, failed=1)
    text = result.stdout.str()
    assert "scenario two_paths fails with seed 1: io" in text
    saved = Path(re.findall(r"saved +(\S+)", text)[0])
    assert saved.is_file()
    assert f"mpiolab replay {saved}" in text
    (again,) = set(re.findall(r"pytest '?(\S+test_it\[seed-1\])'? --mpio-replay 1", text))
    assert again.endswith(".py::test_it[seed-1]")
    assert "seed 1; again: pytest" in text


def test_the_seed_and_the_scenario_can_be_replayed_alone(run: Run) -> None:
    saved = re.findall(r"saved +(\S+)", run(FAILS_WITH_SEED_1).stdout.str())[0]
    by_seed, by_file = run(FAILS_WITH_SEED_1, "--mpio-replay", "1"), run(FAILS_WITH_SEED_1, "--mpio-replay", saved)

    for result in (by_seed, by_file):
        result.assert_outcomes(failed=1)
        assert seeds(result) == [1]
    assert f"--mpio-replay {saved}" in by_file.stdout.str()


def test_a_failure_that_is_no_scenarios_names_its_seed_too(run: Run) -> None:
    result = run("def test_it(mpio_seed):\n    assert mpio_seed != 2\n")

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["seed 2; again: pytest '*::test_it[[]seed-2[]]' --mpio-replay 2"])


def test_a_coroutine_runs_under_the_tests_seed(run: Run) -> None:
    result = run(
        """
        HASHES = {}

        async def main(lab):
            await lab.step("discover")
            await lab.step("login", volume="disk")

        def test_it(mpio_lab, mpio_seed):
            for _ in range(2):
                mpio_lab.run(main(mpio_lab))
                HASHES.setdefault(mpio_lab.trace_sha256, mpio_seed)

        def test_that_seeds_differ():
            assert list(HASHES.values()) == [0, 1, 2]
        """
    )

    result.assert_outcomes(passed=4)


def test_the_array_is_the_one_of_the_tables_and_new_for_each_test(run: Run) -> None:
    result = run(
        """
        import pytest
        from harness.lab.machines import ARRAY

        @pytest.fixture
        def iscsi_array_tables():
            return {**ARRAY, "portals": ["192.168.51.9"]}

        def test_one(iscsi_array):
            assert iscsi_array.portals == ("127.0.51.9",)
            with iscsi_array.fault("portal_down", portal="127.0.51.9"):
                pass
            assert len(iscsi_array.log) == 2

        def test_two(iscsi_array):
            assert iscsi_array.log == ()
        """
    )

    result.assert_outcomes(passed=2)


def test_hypothesis_may_draw_for_a_test_with_a_lab_and_seeds(run: Run) -> None:
    result = run(
        """
        from hypothesis import given, settings
        from harness.strategies import scenarios

        @settings(max_examples=2, deadline=None)
        @given(scenario=scenarios())
        def test_it(mpio_lab, mpio_seed, scenario):
            assert mpio_lab.run_scenario(scenario).seed == mpio_seed
        """
    )

    result.assert_outcomes(passed=3)


def test_it_costs_nothing_until_a_test_asks_for_something() -> None:
    code = "import sys, harness.pytest_plugin; print({'simpy', 'pydantic', 'rich', 'hypothesis'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "set()\n"
