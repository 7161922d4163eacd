"""Callbacks, timers, tasks and their tools behave alike on the stock loop and on the simulated one."""

import asyncio
import contextvars

import pytest

from tests.parity.worlds import Simulated, Stock, World

pytestmark = pytest.mark.parametrize("world", [Stock, Simulated], ids=lambda world: world.name)


def both(test):
    """Run a coroutine test in the world that pytest hands in."""

    def run(world):
        world().run(test)

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@both
async def test_call_soon_is_first_in_first_out(world: World) -> None:
    order: list[int] = []
    for number in range(10):
        world.loop.call_soon(order.append, number)
    await asyncio.sleep(0)
    assert order == list(range(10))


@both
async def test_a_callback_added_in_a_batch_waits_for_the_next(world: World) -> None:
    order: list[str] = []

    def first() -> None:
        order.append("first")
        world.loop.call_soon(order.append, "added")

    world.loop.call_soon(first)
    world.loop.call_soon(order.append, "second")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["first", "second", "added"]


@both
async def test_a_timer_that_is_due_comes_before_callbacks_added_meanwhile(world: World) -> None:
    order: list[str] = []
    world.loop.call_later(0, order.append, "timer")
    world.loop.call_soon(lambda: (order.append("soon"), world.loop.call_soon(order.append, "added")))
    await asyncio.sleep(0.01)
    assert order == ["soon", "timer", "added"]


@both
async def test_timers_fire_in_order_of_time(world: World) -> None:
    order: list[int] = []
    for delay in (3, 1, 2):
        world.loop.call_later(delay / 100, order.append, delay)
    await asyncio.sleep(0.05)
    assert order == [1, 2, 3]


@both
async def test_a_cancelled_handle_does_not_run(world: World) -> None:
    order: list[str] = []
    soon = world.loop.call_soon(order.append, "soon")
    timer = world.loop.call_later(0.001, order.append, "timer")
    soon.cancel()
    timer.cancel()
    await asyncio.sleep(0.01)
    assert order == []
    assert soon.cancelled()
    assert timer.cancelled()


@both
async def test_a_timer_knows_when(world: World) -> None:
    when = world.loop.time() + 5
    timer = world.loop.call_at(when, print)
    assert timer.when() == pytest.approx(when, abs=1e-9)
    timer.cancel()


@both
async def test_callbacks_keep_their_context(world: World) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    seen: list[str] = []
    who.set("outer")
    world.loop.call_soon(lambda: seen.append(who.get()))
    world.loop.call_later(0.001, lambda: seen.append(who.get()))
    world.loop.call_soon(lambda: seen.append(who.get()), context=contextvars.Context())
    who.set("later")
    await asyncio.sleep(0.01)
    assert seen == ["outer", "nobody", "outer"]


@both
async def test_a_timeout_cancels_what_it_guards(world: World) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await world.loop.create_future()


@both
async def test_a_timeout_that_is_not_needed_leaves_no_trace(world: World) -> None:
    async with asyncio.timeout(10):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    assert await asyncio.wait_for(asyncio.sleep(0, "in time"), 10) == "in time"


@both
async def test_gather_keeps_the_order_of_its_arguments(world: World) -> None:
    async def after(delay: float) -> float:
        await asyncio.sleep(delay)
        return delay

    assert await asyncio.gather(after(0.02), after(0.0), after(0.01)) == [0.02, 0.0, 0.01]


@both
async def test_gather_raises_the_first_error(world: World) -> None:
    async def fails() -> None:
        raise LookupError

    sleeper = asyncio.create_task(asyncio.sleep(0.01, "finished"))
    with pytest.raises(LookupError):
        await asyncio.gather(fails(), sleeper)
    assert await sleeper == "finished"


@both
async def test_a_cancelled_task_may_clean_up(world: World) -> None:
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
            log.append("cleaned")
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["cleaned"]


@both
async def test_shield_lets_its_task_finish(world: World) -> None:
    inner = asyncio.create_task(asyncio.sleep(0.01, "done"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(inner), 0.001)
    assert await inner == "done"


@both
async def test_waiters_of_an_event_wake_in_the_order_they_came(world: World) -> None:
    event, order = asyncio.Event(), []

    async def wait(number: int) -> None:
        await event.wait()
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    event.set()
    await asyncio.gather(*tasks)
    assert order == list(range(5))


@both
async def test_a_queue_hands_over_in_order_and_holds_back_its_producer(world: World) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=2)

    async def produce() -> None:
        for number in range(6):
            await queue.put(number)

    producer = asyncio.create_task(produce())
    await asyncio.sleep(0)
    assert queue.full()
    assert [await queue.get() for _ in range(6)] == list(range(6))
    await producer


@both
async def test_tasks_start_in_the_order_they_were_made(world: World) -> None:
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)

    tasks = [asyncio.create_task(note(name), name=name) for name in "cab"]
    await asyncio.gather(*tasks)
    assert order == ["c", "a", "b"]
    assert [task.get_name() for task in tasks] == ["c", "a", "b"]


@both
async def test_an_error_of_a_callback_goes_to_the_handler(world: World) -> None:
    seen: list[type[Exception]] = []
    world.loop.set_exception_handler(lambda loop, context: seen.append(type(context["exception"])))
    world.loop.call_soon(lambda: 1 // 0)
    await asyncio.sleep(0)
    world.loop.set_exception_handler(None)
    assert seen == [ZeroDivisionError]


@both
async def test_a_loop_that_runs_cannot_be_run(world: World) -> None:
    with pytest.raises(RuntimeError):
        world.loop.run_forever()
    assert world.loop.is_running()
    assert asyncio.get_running_loop() is world.loop
