"""The simulated lab: whole scenarios that must pass, and coroutines in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.lab import Lab, ScenarioFailed, Setting
from harness.lab.machines import MACHINES
from harness.load import load_scenario, scenario_from
from harness.mistakes import ScenarioError
from tests.support.runs import LOGINS, two_paths, workload

PASSES = two_paths(*LOGINS, workload(ios=10))
FAILS = two_paths(*LOGINS, workload(ios=10), {"do": "expect", "that": [{"check": "io", "failed": 3}]})


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(lambda: Setting(runs=lambda: tmp_path, again="pytest again"))


class Echo(asyncio.Protocol):
    """A client that only notes that it is connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.source = transport.get_extra_info("sockname")[0]


# -- scenarios ---------------------------------------------------------------------------------------------------------


def test_a_scenario_that_passes_gives_its_result_and_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    assert lab.run_scenario(PASSES).io.ok == 10
    assert list(tmp_path.iterdir()) == []


def test_it_may_be_a_scenario_or_its_file(lab: Lab) -> None:
    file = "scenarios/queue_depth_one.toml"

    hashes = {lab.run_scenario(what).trace_sha256 for what in (file, Path(file), load_scenario(Path(file)))}

    assert len(hashes) == 1


def test_a_failure_says_which_check_what_happened_and_how_to_see_it_again(lab: Lab) -> None:
    with pytest.raises(ScenarioFailed) as failed:
        lab.run_scenario(FAILS, seed=7)

    text = str(failed.value)
    assert text.startswith("scenario two_paths fails with seed 7: io\n  ✗ io: of 10 I/Os 10 succeeded")
    assert "▸ Log On logs from 192.168.76.105" in text
    assert f"mpiolab replay {failed.value.file}" in text
    assert f"mpiolab minimize {failed.value.file}" in text
    assert "pytest again" in text
    assert [failure.check for failure in failed.value.result.failures] == ["io"]


def test_what_it_saves_is_the_run_that_failed(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(ScenarioFailed) as failed:
        lab.run_scenario(FAILS, seed=7)

    saved = load_scenario(failed.value.file)
    assert saved.seed == 7
    assert saved.steps == scenario_from(FAILS).steps
    with pytest.raises(ScenarioFailed) as again:
        lab.run_scenario(saved)
    assert again.value.result.trace_sha256 == failed.value.result.trace_sha256
    assert {"result.json", "trace.jsonl", "replay.txt"} <= {path.name for path in failed.value.file.parent.iterdir()}


def test_the_seed_is_the_callers_then_the_tests_then_the_scenarios(tmp_path: Path) -> None:
    with_seed = Lab(lambda: Setting(runs=lambda: tmp_path, seed=5))
    without = Lab(lambda: Setting(runs=lambda: tmp_path))

    assert with_seed.run_scenario(PASSES, seed=9).seed == 9
    assert with_seed.run_scenario(PASSES).seed == 5
    assert without.run_scenario(PASSES | {"seed": 3}).seed == 3


def test_a_replayed_scenario_takes_the_place_of_any_other(tmp_path: Path) -> None:
    other = scenario_from(PASSES | {"name": "other", "seed": 8})
    result = Lab(lambda: Setting(runs=lambda: tmp_path, instead=other)).run_scenario(FAILS, seed=9)

    assert (result.scenario, result.seed) == ("other", 8)


def test_what_is_no_scenario_is_told_with_its_key(lab: Lab) -> None:
    with pytest.raises(ScenarioError, match=r"steps\[0\].host"):
        lab.run_scenario({**MACHINES, "steps": [{"do": "discover", "host": "nobody"}]})


# -- coroutines --------------------------------------------------------------------------------------------------------


def test_a_coroutine_has_the_array_and_its_time_costs_nothing(lab: Lab) -> None:
    async def main() -> str:
        transport, protocol = await asyncio.get_running_loop().create_connection(Echo, *lab.address)
        await asyncio.sleep(3000)
        transport.close()
        return protocol.source

    assert lab.run(main()) == lab.sources[0], "whoever says no source comes from the first NIC that reaches"
    assert lab.now_s > 3000


def test_a_source_of_ones_own_is_another_nic(lab: Lab) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Echo, *lab.address, local_addr=(lab.sources[1], 0))
        transport.close()
        return protocol.source

    assert lab.run(main()) == lab.sources[1]


def test_the_steps_of_a_scenario_file_can_be_done_one_by_one(lab: Lab) -> None:
    async def main() -> None:
        await lab.step("discover")
        for source in lab.sources:
            await lab.step("login", volume="disk", source=source, multipath=True)
        async with lab.fault("link_down", nic="host/a"):
            await lab.step("io", volume="disk", op="write", lba=4, blocks=2)

    lab.run(main())

    assert lab.read_medium("disk", 3) == bytes(512)
    assert lab.read_medium("disk", 4, 2).startswith(b"mpio")
    assert any("moved temporarily" in line for line in lab.log)


def test_a_step_that_fails_fails_the_test(lab: Lab) -> None:
    async def main() -> None:
        await lab.step("io", volume="disk", op="read", lba=0)

    with pytest.raises(AssertionError, match="step io: refused: host has no disk"):
        lab.run(main())


def test_a_check_that_does_not_hold_fails_the_test(lab: Lab) -> None:
    async def main() -> None:
        await lab.step("discover")
        await lab.step("login", volume="disk")
        await lab.step("expect", that=[{"check": "path_states", "volume": "disk", "states": {"Active": 5}}])

    with pytest.raises(AssertionError, match="path_states"):
        lab.run(main())


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"do": "drain", "portal": "192.168.51.9"}, r"steps\[0\].portal"),
        ({"do": "heal", "name": "nothing"}, "no earlier fault"),
        ({"do": "dance"}, r'do = "dance" is unknown'),
    ],
)
def test_a_step_that_means_nothing_here_is_told(lab: Lab, step: dict[str, Any], expected: str) -> None:
    async def main() -> None:
        await lab.step(**step)

    with pytest.raises(ScenarioError, match=expected):
        lab.run(main())


def test_the_same_seed_is_the_same_run(tmp_path: Path) -> None:
    def traced(seed: int) -> str:
        lab = Lab(lambda: Setting(runs=lambda: tmp_path, seed=seed))

        async def main() -> None:
            await lab.step("discover")
            await lab.step("login", volume="disk")

        lab.run(main())
        return lab.trace_sha256

    assert traced(1) == traced(1)
    assert traced(1) != traced(2)


def test_what_a_coroutine_raises_comes_out_and_nothing_is_left_broken(lab: Lab) -> None:
    async def main() -> None:
        await lab.step("fault", kind="link_down", nic="host/a")
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        lab.run(main())
    lab.run(asyncio.sleep(1))  # in a new world
    assert lab.now_s == 1


def test_a_coroutine_that_never_ends_is_ended(lab: Lab) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError, match="not ended after 5 virtual seconds"):
        lab.run(main(), within_s=5)


def test_a_time_out_of_its_own_is_its_own(lab: Lab) -> None:
    async def main() -> None:
        raise TimeoutError("the login took too long")

    with pytest.raises(TimeoutError, match="the login took too long"):
        lab.run(main(), within_s=5)


def test_other_machines(lab: Lab) -> None:
    array = {**MACHINES["array"], "portals": ["192.168.51.7"], "group": "192.168.51.6/22", "port": 860}
    other = lab.with_machines({"array": array})

    assert (other.address, other.portals) == (("192.168.51.6", 860), ("192.168.51.7",))
    assert other.sources == lab.sources
    assert lab.with_machines("scenarios/ps100_three_nics.toml").sources[0] == "192.168.50.105"
    with pytest.raises(ScenarioError, match=r"array\.portals"):
        lab.with_machines({"array": {**array, "portals": []}})


def test_outside_of_a_run_there_is_no_clock(lab: Lab) -> None:
    with pytest.raises(RuntimeError, match="nothing runs in this lab yet"):
        _ = lab.now_s
