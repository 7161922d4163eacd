"""SimLoop: asyncio in virtual time, over one SimPy heap.

The code under test is ordinary asyncio code. Here it runs on a loop whose only timeline is the environment's heap of
whole nanoseconds: a callback costs no time, and when nothing is ready the clock jumps to the next event. The order of
things is asyncio's own: `call_soon` is first in, first out, and a callback added while a batch runs waits for the next
batch. Where asyncio leaves the order to chance (timers for one instant, the cancelling of tasks at the end) the order
here is that of creation.

Errors do not stay in a log: what would reach the exception handler stops the run and is raised from it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from heapq import heappop
from typing import Any, TypeVar, TypeVarTuple, Unpack

from sim.env import NS_PER_S, Call, Environment
from sim.loop_network import NetworkedLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]

# Batches run at one instant before the run is declared stuck in it: `while True: await sleep(0)` moves no clock.
MAX_BATCHES_PER_INSTANT = 1_000_000
# Rounds of cancelling in shutdown(), for tasks that start others while they die.
MAX_SHUTDOWN_ROUNDS = 100


class SimDeadlock(RuntimeError):
    """Nothing can ever happen again, and the awaited work is not done. `tasks` names who waits, oldest first."""

    def __init__(self, now_ns: int, tasks: tuple[str, ...]) -> None:
        waiting = ", ".join(tasks) if tasks else "no task"
        super().__init__(f"at {now_ns} ns no event is left to happen, and these still wait: {waiting}")
        self.now_ns = now_ns
        self.tasks = tasks


class SimLivelock(RuntimeError):
    """Callbacks keep calling one another without letting time pass."""


class SimLoopError(RuntimeError):
    """Something was reported to the loop's exception handler without an exception of its own."""


class SimTimer(asyncio.TimerHandle):
    """A timer handle that knows its heap entry, so that cancelling can remove it."""

    __slots__ = ("entry",)

    entry: Call


class SimLoop(NetworkedLoop):
    """An asyncio event loop in virtual time.

    `env` is the SimPy environment (processes started on it share the clock); `network` is set by the `Network` built on
    this loop.
    """

    def __init__(self) -> None:
        self.env = Environment()
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self._task_count = 0
        self._failures: list[dict[str, Any]] = []
        self._exception_handler: ExceptionHandler | None = None
        self._running = False
        self._stopping = False
        self._closed = False
        self._debug = False

    # -- clock ---------------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """The present instant, in nanoseconds since the loop was made."""
        return self.env._now

    def time(self) -> float:
        """The present instant in seconds."""
        return self.env._now / NS_PER_S

    # -- callbacks -----------------------------------------------------------------------------------------------------

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call `callback(*args)` in the next batch, at this instant, after everything that is already waiting."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> SimTimer:
        """Call `callback(*args)` after `delay` seconds, rounded once to whole nanoseconds."""
        return self.call_at_ns(self.env._now + round(delay * NS_PER_S), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> SimTimer:
        """Call `callback(*args)` when `time()` reaches `when` seconds, rounded to whole nanoseconds."""
        return self.call_at_ns(round(when * NS_PER_S), callback, *args, context=context)

    def call_at_ns(
        self, when_ns: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> SimTimer:
        """Call `callback(*args)` at the instant `when_ns`, or now when that is past."""
        timer = SimTimer(when_ns / NS_PER_S, callback, args, self, context)
        timer.entry = self.env.at(max(when_ns, self.env._now), self._timer_due, timer)
        return timer

    def _timer_due(self, entry: Call) -> None:
        self._ready.append(entry.payload)

    def _timer_handle_cancelled(self, handle: SimTimer) -> None:
        # asyncio.TimerHandle.cancel() calls this by name.
        self.env.cancel(handle.entry)

    # -- tasks and futures ---------------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """A task, numbered in order of creation; unnamed ones are called `task-<number>`."""
        self._check_open()
        self._task_count += 1
        task: asyncio.Task[T] = asyncio.Task(
            coro,
            loop=self,
            name=name if name is not None else f"task-{self._task_count}",
            context=context,
        )
        # Held until done: a forgotten task must show up in a deadlock report, not disappear with the garbage.
        self._tasks[task] = self._task_count
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def pending_tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks that are not done, in order of creation."""
        return [task for task in self._tasks if not task.done()]

    # -- errors --------------------------------------------------------------------------------------------------------

    def get_exception_handler(self) -> ExceptionHandler | None:
        """The handler set by `set_exception_handler`, or None."""
        return self._exception_handler

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        """Let `handler(loop, context)` take errors instead of the run; None restores raising."""
        self._exception_handler = handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take an error that has no one to go to. Unless a handler is set, the run raises it at its next step."""
        if self._exception_handler is not None:
            self._exception_handler(self, context)
        else:
            self._failures.append(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Make the run raise the error in `context`."""
        self._failures.append(context)

    def _raise_failure(self) -> None:
        first, *others = self._failures
        self._failures.clear()
        error = first.get("exception") or SimLoopError(first["message"])
        error.add_note(f"reported to SimLoop at {self.env._now} ns: {first['message']}")
        for other in others:
            error.add_note(f"reported at the same instant: {other['message']}")
        raise error

    # -- running -------------------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Awaitable[T]) -> T:  # type: ignore[override]
        """Run until `future` (or the coroutine given) is done, and return its result.

        Raises SimDeadlock when nothing is left to happen, SimLivelock when time stands still, and any error that no one
        else took.
        """
        self._check_open()
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(self._stop_on_done)
        try:
            self.run_forever()
        except BaseException:
            if task is not future and task.done() and not task.cancelled():
                task.exception()  # the run raises something else; this one is not to be reported as never seen
            raise
        finally:
            task.remove_done_callback(self._stop_on_done)
        if not task.done():
            raise RuntimeError("the loop was stopped before the future was done")
        return task.result()

    def _stop_on_done(self, _: asyncio.Future[Any]) -> None:
        self._stopping = True

    def run_forever(self) -> None:
        """Run until `stop()`. Raises as `run_until_complete` does."""
        self._check_open()
        if self._running or asyncio._get_running_loop() is not None:
            raise RuntimeError("a loop is running already in this thread")
        self._running = True
        asyncio._set_running_loop(self)
        try:
            self._run()
        finally:
            self._stopping = False
            self._running = False
            asyncio._set_running_loop(None)

    def _run(self) -> None:
        env, ready, queue, failures = self.env, self._ready, self.env._queue, self._failures
        instant_ns, batches = env._now, 0
        while True:
            if ready:
                for _ in range(len(ready)):
                    handle = ready.popleft()
                    if not handle._cancelled:
                        handle._run()
                del handle  # it may be all that keeps a failed task from reporting
            elif queue:
                # SimPy's step() written out, four times for every read. What stops Environment.run has no place here.
                while True:
                    env._now, _, _, event = heappop(queue)  # type: ignore[assignment]
                    callbacks = event.callbacks
                    event.callbacks = None  # type: ignore[assignment]
                    for callback in callbacks:
                        callback(event)
                    if not event._ok:
                        env.raise_unless_defused(event)
                    if ready or failures or self._stopping or not queue:
                        break
            else:
                raise SimDeadlock(env._now, tuple(task.get_name() for task in self.pending_tasks()))
            if failures:
                self._raise_failure()
            if self._stopping:
                return
            if ready:  # events of this instant come before the callbacks that were added during the batch
                env.run_due()
                if env._now != instant_ns:
                    instant_ns, batches = env._now, 0
                batches += 1
                if batches > MAX_BATCHES_PER_INSTANT:
                    self._raise_livelock(batches)

    def _raise_livelock(self, batches: int) -> None:
        names = ", ".join(task.get_name() for task in self.pending_tasks())
        raise SimLivelock(
            f"at {self.env._now} ns {batches} batches of callbacks ran and time stood still; tasks: {names}"
        )

    def run_coroutine(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run `coro` to its end, then `shutdown()`: what `asyncio.run` is to a stock loop."""
        try:
            return self.run_until_complete(coro)
        finally:
            self.shutdown()

    def shutdown(self) -> None:
        """Cancel every task in order of creation and run until they are done.

        Raises RuntimeError when tasks keep starting others; errors of the dying tasks are raised as from a run.
        """
        for _ in range(MAX_SHUTDOWN_ROUNDS):
            tasks = self.pending_tasks()
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            for task in tasks:
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
        names = ", ".join(task.get_name() for task in self.pending_tasks())
        raise RuntimeError(f"tasks kept appearing during shutdown: {names}")

    def stop(self) -> None:
        """End the run after the present batch of callbacks."""
        self._stopping = True

    def close(self) -> None:
        """End the loop's life. An error still waiting to be raised is raised here."""
        if self._running:
            raise RuntimeError("cannot close a running loop")
        self._closed = True
        self._ready.clear()
        if self._failures:
            self._raise_failure()

    def is_running(self) -> bool:
        """Whether the loop runs."""
        return self._running

    def is_closed(self) -> bool:
        """Whether the loop was closed."""
        return self._closed

    def get_debug(self) -> bool:
        """Debug mode; never taken from the environment."""
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        """Set debug mode."""
        self._debug = enabled

    def get_task_factory(self) -> None:
        """None: tasks are asyncio's own."""

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: the loop does not track asynchronous generators."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing to do: there is no executor."""

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the loop is closed")
