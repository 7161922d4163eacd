"""The loop in virtual time: its clock, its order, and the ways a run can end."""

import asyncio
from collections.abc import Generator

import pytest
import simpy

from sim.loop import SimDeadlock, SimLivelock, SimLoop, SimLoopError


@pytest.fixture
def loop() -> SimLoop:
    return SimLoop()


def test_sleeping_costs_no_time_but_the_clocks(loop: SimLoop) -> None:
    loop.run_until_complete(asyncio.sleep(86_400))
    assert loop.now_ns == 86_400_000_000_000
    assert loop.time() == 86_400.0


def test_delays_do_not_gather_float_error(loop: SimLoop) -> None:
    async def main() -> None:
        for _ in range(1_000):
            await asyncio.sleep(0.1)

    loop.run_until_complete(main())
    assert loop.now_ns == 100_000_000_000


def test_a_timeout_long_after_the_start_is_exact_to_the_nanosecond(loop: SimLoop) -> None:
    async def main() -> None:
        await asyncio.sleep(100_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.000_000_001):
                await loop.create_future()

    loop.run_until_complete(main())
    assert loop.now_ns == 100_000_000_000_001


def test_timers_of_one_instant_fire_in_the_order_they_were_set(loop: SimLoop) -> None:
    order: list[object] = []
    loop.call_at(5.0, order.append, "a")
    loop.call_later(5, order.append, "b")
    loop.call_at_ns(5_000_000_000, order.append, "c")
    loop.call_at(4.0, order.append, "before")
    loop.call_at(5.0, order.append, "d")
    loop.call_at(5.0, order.append, "cancelled").cancel()
    loop.run_until_complete(asyncio.sleep(6))
    assert order == ["before", "a", "b", "c", "d"]


def test_an_event_that_fails_ends_the_run_unless_a_process_catches_it(loop: SimLoop) -> None:
    caught: list[str] = []

    def patient(event: simpy.Event) -> Generator[simpy.Event, None, None]:
        try:
            yield event
        except ValueError as error:
            caught.append(str(error))

    expected, unexpected = loop.env.event(), loop.env.event()
    loop.env.process(patient(expected))
    loop.call_later(1, expected.fail, ValueError("expected"))
    loop.call_later(2, unexpected.fail, ValueError("unexpected"))
    with pytest.raises(ValueError, match="unexpected"):
        loop.run_until_complete(asyncio.sleep(3))
    assert caught == ["expected"]
    assert loop.time() == 2


def test_a_deadlock_names_the_stuck_tasks_in_order_of_creation(loop: SimLoop) -> None:
    async def stuck() -> None:
        await loop.create_future()

    async def main() -> None:
        children = [loop.create_task(stuck(), name=name) for name in ("zoe", "adam", None)]
        await asyncio.sleep(1)
        await children[0]

    with pytest.raises(SimDeadlock, match="at 1000000000 ns") as deadlock:
        loop.run_until_complete(main())
    assert deadlock.value.tasks == ("task-1", "zoe", "adam", "task-4")
    loop.shutdown()
    assert loop.pending_tasks() == []


def test_polling_without_time_is_a_livelock(loop: SimLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.loop.MAX_BATCHES_PER_INSTANT", 100)

    async def poll() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(SimLivelock, match="time stood still; tasks: poller"):
        loop.run_until_complete(loop.create_task(poll(), name="poller"))
    loop.shutdown()


def test_shutdown_cancels_in_order_of_creation(loop: SimLoop) -> None:
    order: list[str] = []

    async def child(name: str) -> None:
        try:
            await loop.create_future()
        finally:
            order.append(name)

    async def main() -> None:
        for name in "hgfedcba":
            loop.create_task(child(name), name=name)
        await asyncio.sleep(0)

    loop.run_coroutine(main())
    assert order == list("hgfedcba")


def test_an_error_in_a_callback_ends_the_run(loop: SimLoop) -> None:
    loop.call_later(1, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError) as error:
        loop.run_until_complete(asyncio.sleep(2))
    assert "at 1000000000 ns" in error.value.__notes__[0]
    loop.shutdown()


def test_the_error_of_a_forgotten_task_ends_the_run(loop: SimLoop) -> None:
    async def fails() -> None:
        raise LookupError("lost")

    async def main() -> None:
        loop.create_task(fails())
        await asyncio.sleep(10)

    with pytest.raises(LookupError, match="lost"):
        loop.run_coroutine(main())
    assert loop.now_ns == 0


def test_an_error_in_an_event_ends_the_run(loop: SimLoop) -> None:
    loop.env.at(5, lambda call: loop.call_exception_handler({"message": "the wire is on fire"}))
    with pytest.raises(SimLoopError, match="the wire is on fire"):
        loop.run_until_complete(asyncio.sleep(1))
    loop.shutdown()


def test_a_handler_takes_the_errors_when_there_is_one(loop: SimLoop) -> None:
    seen: list[str] = []
    loop.set_exception_handler(lambda where, context: seen.append(context["message"]))
    loop.call_soon(lambda: 1 // 0)
    loop.run_until_complete(asyncio.sleep(0))
    assert len(seen) == 1
    assert seen[0].startswith("Exception in callback")


def test_events_of_the_present_come_before_callbacks_added_meanwhile(loop: SimLoop) -> None:
    order: list[str] = []
    loop.env.at(0, lambda call: order.append("event"))
    loop.call_soon(lambda: (order.append("first"), loop.call_soon(order.append, "added")))
    loop.run_until_complete(asyncio.sleep(0.1))
    assert order == ["first", "event", "added"]


def test_an_event_can_stop_the_loop(loop: SimLoop) -> None:
    loop.env.at(5, lambda call: loop.stop())
    loop.env.at(6, lambda call: None)
    loop.run_forever()
    assert loop.now_ns == 5
    loop.stop()
    with pytest.raises(RuntimeError, match="stopped before"):
        loop.run_until_complete(loop.create_future())


def test_a_closed_loop_stays_closed(loop: SimLoop) -> None:
    loop.close()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_until_complete(loop.create_future())


def test_a_runner_can_use_it() -> None:
    with asyncio.Runner(loop_factory=SimLoop) as runner:
        assert runner.run(asyncio.sleep(3, "done")) == "done"
        assert runner.get_loop().time() == 3.0
