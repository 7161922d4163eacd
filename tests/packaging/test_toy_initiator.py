"""examples/toy-initiator as its author has it: mpiolab installed from a wheel, into an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]

EXAMPLE = Path("examples/toy-initiator")


def done(*command: str | Path, cwd: Path | None = None, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)


def wheel(project: Path, into: Path) -> Path:
    """Built without a network, by the hatchling that is here."""
    built = done(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", into, cwd=project)
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = into.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that has both, and what they require from the package index."""
    place = tmp_path_factory.mktemp("packaging")
    mpiolab, toy = wheel(Path.cwd(), place / "mpiolab"), wheel(EXAMPLE, place / "toy")
    made = done(sys.executable, "-m", "venv", place / "venv")
    assert made.returncode == 0, made.stderr
    python = place / "venv" / "bin" / "python"
    options = ["-q", "--disable-pip-version-check", "--retries", "1"]
    got = done(python, "-m", "pip", "install", *options, f"{mpiolab}[check]", f"{toy}[test]", timeout=500)
    if got.returncode and "No matching distribution" in got.stderr and not os.environ.get("MPIOLAB_REQUIRE_PEERS"):
        pytest.skip("there is no package index to be had")
    assert got.returncode == 0, got.stderr
    return python


def test_its_tests_pass_there(python: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)

    ran = done(python, "-m", "pytest", "-q", "--mpio-seeds", "5", cwd=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(".") >= 11


def test_the_options_and_the_fixtures_are_there(python: Path, tmp_path: Path) -> None:
    options = done(python, "-m", "pytest", "--help", cwd=tmp_path).stdout
    fixtures = done(python, "-m", "pytest", "--fixtures", cwd=tmp_path).stdout

    assert "--mpio-seeds" in options
    assert "--mpio-replay" in options
    for name in ("mpio_lab", "mpio_seed", "iscsi_array", "iscsi_array_tables"):
        assert f"\n{name}" in fixtures


def test_a_test_run_that_asks_for_nothing_loads_nothing(python: Path, tmp_path: Path) -> None:
    (tmp_path / "test_alone.py").write_text(
        "import sys\ndef test_it():\n    assert not {'pydantic', 'simpy', 'rich'} & set(sys.modules)\n"
    )
    ran = done(python, "-m", "pytest", "-q", "-p", "no:hypothesispytest", cwd=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
