"""multipath-tools and sg3-utils at target port groups: they ask for the states themselves, and rank the paths by them.

The guest's kernel has no handler of its own (scsi_dh_alua), so what a path refuses makes it fail there and come back.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.linux_host.array import PORTALS
from tests.linux_host.host import all_is_well, wait_until
from tests.linux_host.lab import Lab

pytestmark = [pytest.mark.linux_host, pytest.mark.timeout(600)]

ALUA = f"""
[array.alua]
explicit = true
groups = [
    {{ id = 1, portals = ["{PORTALS[0]}"] }},
    {{ id = 258, portals = ["{PORTALS[1]}", "{PORTALS[2]}"], state = "active-non-optimized" }},
]
"""
OPTIMIZED, NON_OPTIMIZED, STANDBY = 50, 10, 1
"""What multipath-tools' alua prioritizer makes of the states that REPORT TARGET PORT GROUPS tells."""


@pytest.fixture
def grouped(lab: Lab) -> Iterator[Lab]:
    """The lab with another array, and a host that has two paths to it."""
    lab.disconnect()
    lab.array.become(ALUA)
    lab.connect()
    yield lab
    lab.host.give_up_writing()
    lab.disconnect()
    lab.array.become("")


def priorities(lab: Lab) -> list[int]:
    """Of the paths, the lowest first."""
    return sorted(int(line) for line in lab.host.run("multipathd show paths raw format '%p'").split())


def wait_for(lab: Lab, *wanted: int) -> None:
    wait_until(lambda: priorities(lab) == list(wanted), f"the priorities are {wanted}")


def test_the_host_ranks_its_paths_by_the_states_it_is_told(grouped: Lab) -> None:
    wait_for(grouped, NON_OPTIMIZED, OPTIMIZED)
    grouped.host.start_writing()
    grouped.array.ctl("access-state", "258", "active-optimized")
    wait_for(grouped, OPTIMIZED, OPTIMIZED)
    grouped.array.ctl("access-state", "1", "standby")
    wait_for(grouped, STANDBY, OPTIMIZED)
    wait_until(lambda: any("ghost" in path for path in grouped.host.paths()), "a path is a ghost")
    grouped.host.wait_for_writes(100)
    grouped.array.ctl("access-state", "1", "active-non-optimized")
    wait_for(grouped, NON_OPTIMIZED, OPTIMIZED)
    grouped.host.wait_for_writes(100)
    all_is_well(grouped.host.stop_writing())


def test_sg3_utils_reads_the_group_of_each_port(grouped: Lab) -> None:
    told = grouped.host.run("for disk in /dev/sd?; do sg_inq $disk; sg_inq -p 0x83 $disk; done")
    assert told.count("TPGS=3") == 2
    groups = {line.rpartition(" ")[2] for line in told.splitlines() if "Target port group: " in line}
    assert groups == {"0x1", "0x102"}
