"""Whatever leaves the simulation is refused by name."""

import asyncio
import inspect

import pytest

from sim.fence import FencedLoop, SimFence
from sim.loop import SimLoop

REFUSED = [name for name, member in vars(FencedLoop).items() if inspect.isfunction(member)]


@pytest.mark.parametrize("operation", REFUSED)
def test_every_refusal_names_itself(operation: str) -> None:
    with pytest.raises(SimFence, match=f"^{operation}: ") as refusal:
        getattr(SimLoop(), operation)()
    assert refusal.value.operation == operation


def test_every_method_of_the_abstract_loop_is_either_simulated_or_refused() -> None:
    inherited = [
        name
        for name, member in vars(asyncio.AbstractEventLoop).items()
        if inspect.isfunction(member) and getattr(SimLoop, name) is member and not name.startswith("__")
    ]
    assert inherited == []


def test_a_thread_is_refused_where_it_is_asked_for() -> None:
    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(SimFence, match="run_in_executor: a thread"):
        SimLoop().run_coroutine(main())


def test_a_network_option_that_is_not_simulated_is_refused() -> None:
    loop = SimLoop()
    with pytest.raises(SimFence, match=r"create_connection\(ssl=\.\.\.\)"):
        loop.run_until_complete(loop.create_connection(asyncio.Protocol, "10.0.0.1", 1, ssl=True))
    with pytest.raises(SimFence, match="no Network was built"):
        loop.run_until_complete(loop.create_connection(asyncio.Protocol, "10.0.0.1", 1))
