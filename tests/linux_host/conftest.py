"""The lab is started once for all tests of this directory; each test begins with everything mended.

It needs root, /dev/net/tun and Debian's packages. Where they cannot be had a test says so and is skipped, or fails
where MPIOLAB_REQUIRE_PEERS=1.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.interop.support import find, lacking
from tests.linux_host.image import ImageError
from tests.linux_host.lab import Lab
from tests.linux_host.network import lacks

NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86",
    "ip": "iproute2",
    "cpio": "cpio",
    "nsenter": "util-linux",
    "dpkg-deb": "dpkg, on Debian",
}
"""Programs and the packages that bring them."""

_DIRECTORY = pytest.StashKey[Path]()
_WAITS = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def running_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Built and booted once. Its directory stays when a test has failed, and only then."""
    missing = [
        f"{program} is not installed (package {package})" for program, package in NEEDED.items() if not find(program)
    ]
    if complaint := "; ".join(missing) or lacks():
        lacking(f"no Linux host: {complaint}")
    directory = Path(tempfile.mkdtemp(prefix="mpiolab-linux-host-"))
    request.config.stash[_DIRECTORY] = directory
    lab = None
    try:
        lab = Lab(directory)
        request.config.stash[_WAITS] = lab.waits
        yield lab
    except ImageError as error:
        lacking(f"no Linux host: {error}")
    finally:
        if lab is not None:
            lab.close()
        if lab is None or request.session.testsfailed:
            for image in (*directory.glob("*.cpio"), *directory.glob("*.img")):
                image.unlink()
        else:
            shutil.rmtree(directory)


@pytest.fixture
def lab(running_lab: Lab) -> Lab:
    """The lab with every cable plugged in, every address there, and the array running."""
    running_lab.mend()
    return running_lab


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says where the logs are."""
    report = yield
    directory = item.config.stash.get(_DIRECTORY, None)
    if report.failed and directory is not None:
        report.sections.append(("the logs of the array and of the Linux host", f"are in {directory}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How long writes waited when a path was lost."""
    if waits := config.stash.get(_WAITS, []):
        terminalreporter.section("longest waits of the Linux host")
        for line in waits:
            terminalreporter.line(line)
