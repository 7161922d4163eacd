"""docs/disk.md shows the disk as it is: its array file is one, its commands are those of the table, its tests exist."""

from __future__ import annotations

import re
from pathlib import Path

from harness.array import group_config
from harness.serving.array_file import load_serving
from iscsi.port_groups import AccessState
from target.access_config import STATES, AccessConfig, PortGroupConfig
from target.access_states import REFUSALS
from target.command import Access, Command
from target.disk import Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.port_groups import PortGroups
from target.store import MemoryStore

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "disk.md").read_text(encoding="utf-8")
HEAD = """
[array]
name = "PS100"
group = "192.168.51.1/24"
portals = ["192.168.51.2", "192.168.51.3"]
"""


def row(command: Command) -> str:
    action = "" if command.service_action is None else f"/{command.service_action:02X}"
    access = "own" if command.access is Access.RESERVE else command.access.value
    medium = "wanted" if command.needs_medium else ""
    return f"| {command.opcode:02X}{action} | {command.name} | {access} | {medium} |"


def test_the_commands_shown_are_those_of_the_table() -> None:
    groups = PortGroups(AccessConfig((PortGroupConfig(1, ("192.168.51.2",)),), explicit=True), ("192.168.51.2",), "v")
    units = [
        LogicalUnit(Disk(MemoryStore(512), volume_identity("g", "v"), thin=thin, port_groups=groups))
        for thin in (True, False)
    ]
    commands = {(row.opcode, row.service_action or 0): row for unit in units for row in unit.commands}
    expected = [row(commands[key]) for key in sorted(commands)]
    assert re.findall(r"^\| [0-9A-F]{2}(?:/[0-9A-F]{2})? \|.*\|$", PAGE, re.MULTILINE) == expected


def test_the_volumes_shown_can_be_served(tmp_path: Path) -> None:
    file = tmp_path / "array.toml"
    file.write_text(HEAD + PAGE.split("```toml\n")[1].split("```")[0])
    everyday, odd = group_config(load_serving(file).array).volumes
    assert (everyday.block_size, everyday.thin, everyday.size_bytes) == (4096, False, 4 << 40)
    assert [(lun.number, lun.removable, lun.read_only, lun.block_size) for lun in odd.luns] == [
        (0, True, False, 512),
        (1, False, True, 512),
        (2, False, False, 4096),
    ]


def test_the_port_groups_shown_can_be_served(tmp_path: Path) -> None:
    volumes, alua = PAGE.split("```toml\n")[1:3]
    file = tmp_path / "array.toml"
    file.write_text(HEAD + alua.split("```")[0] + volumes.split("```")[0])
    access = group_config(load_serving(file).array).access
    assert access is not None
    assert (access.tpgs, access.failover, access.transition_s, access.non_optimized_latency_s) == (3, True, 0.5, 0.002)
    assert [(group.state, group.preferred) for group in access.groups] == [
        (AccessState.ACTIVE_OPTIMIZED, True),
        (AccessState.ACTIVE_NON_OPTIMIZED, False),
    ]


def test_the_states_shown_are_those_of_the_tables() -> None:
    shown = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| (?:2/04/(\w\w) )?\|$", PAGE, re.MULTILINE))
    refusals = {state.words: f"{sense.ascq:02X}" for state, sense in REFUSALS.items()}
    assert shown == {state.words: refusals.get(state.words, "") for state in STATES}


def test_the_tests_named_are_there() -> None:
    named = re.findall(r"`((?:tests/\S+?/)?test_\w+\.py)`", PAGE)
    assert len(named) > 10
    places = [ROOT, ROOT / "tests" / "unit" / "target"]
    assert [name for name in named if not any((place / name).is_file() for place in places)] == []
